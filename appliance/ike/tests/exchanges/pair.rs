//! Two ends made by a real handshake, and the wire between them in the test's hand: every message
//! is delivered, held back or dropped one by one. What an owner (the shard) does with the outputs
//! is done here too, and checked: SAs that nobody owns, Child SAs installed twice, reused IVs.

use hawser_crypto::KePrivate;
use hawser_flight::{CloseCause, Event, Lineage, MessageError, Path};
use hawser_ike::IkeSa;
use hawser_ike::handshake::initiator::{Initiator, Step};
use hawser_ike::handshake::responder::{AuthOutcome, Responder};
use hawser_ike::header::Header;
use hawser_ike::ike_sa::SaState;
use hawser_ike::io::{
    ChildInstall, Env, KeAnswer, KeRequest, Output, ProbeOutcome, SpiSource, Token,
};
use hawser_ike::message::Message;
use hawser_ike::registry::ExchangeType;
use hawser_policy::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    A,
    B,
}
pub use Side::{A, B};

impl Side {
    pub fn other(self) -> Self {
        if self == A { B } else { A }
    }
}

/// What the two ends are configured with.
#[derive(Clone)]
pub struct Settings {
    pub ike: [&'static str; 2],
    pub esp: [&'static str; 2],
    /// Templates of Child SAs on either side.
    pub children: [usize; 2],
    pub ike_lifetimes: Lifetimes,
    pub child_lifetimes: [Lifetimes; 2],
    pub fragment_size: u16,
}

pub const FOREVER: Lifetimes = Lifetimes {
    time: None,
    bytes: None,
    margin: Duration::ZERO,
};

impl Default for Settings {
    fn default() -> Self {
        Self {
            ike: ["aes128gcm16-prfsha256-x25519"; 2],
            esp: ["aes128gcm16-x25519"; 2],
            children: [1; 2],
            ike_lifetimes: FOREVER,
            child_lifetimes: [FOREVER; 2],
            fragment_size: 1280,
        }
    }
}

pub fn net(text: &str) -> Vec<TrafficSelector> {
    vec![TrafficSelector::parse(text).unwrap()]
}

impl Settings {
    fn child(&self, side: Side, number: usize) -> ChildTemplate {
        let (near, far) = (format!("10.1.{number}.0/24"), format!("10.2.{number}.0/24"));
        let (local, remote) = if side == A { (near, far) } else { (far, near) };
        ChildTemplate {
            name: format!("net{number}"),
            proposals: vec![EspProposal::parse(self.esp[side as usize]).unwrap()],
            local: net(&local),
            remote: net(&remote),
            lifetimes: self.child_lifetimes[side as usize],
            replay_window: 64,
        }
    }

    pub fn template(&self, side: Side) -> Arc<PeerTemplate> {
        let secret = Secret::new(b"hush".to_vec());
        let children = 0..self.children[side as usize];
        Arc::new(PeerTemplate {
            id: TemplateId(0),
            name: "t".into(),
            tenant: TenantId(0),
            local_identity: Identity::parse(if side == A { "branch" } else { "hq" }),
            ike_proposals: vec![IkeProposal::parse(self.ike[side as usize]).unwrap()],
            ike_lifetimes: self.ike_lifetimes,
            children: children.map(|n| self.child(side, n)).collect(),
            dpd: None,
            nat_keepalive: None,
            retransmission: Retransmission::default(),
            upkeep: hawser_policy::Upkeep::default(),
            allow_any_route: false,
            fragment_size: self.fragment_size,
            initiate: (side == A).then(|| Initiate {
                remote: "192.0.2.2:500".parse().unwrap(),
                remote_identity: Identity::parse("hq").unwrap(),
                secret,
            }),
        })
    }

    /// What B is configured with.
    pub fn policy(&self) -> Policy {
        let template = self.template(B);
        Policy {
            revision: 1,
            listen: Listen {
                addresses: Vec::new(),
                port: 500,
                nat_port: 4500,
                native_esp: true,
            },
            shards: None,
            admission: Admission::default(),
            observability: Observability::default(),
            tenants: Vec::new(),
            ike_policies: Vec::new(),
            plugins: hawser_policy::PluginPolicy::default(),
            pad: Pad::new(vec![PadEntry {
                remote: IdentityPattern::parse("branch").unwrap(),
                local: Vec::new(),
                remote_networks: Vec::new(),
                template: TemplateId(0),
                secret: Secret::new(b"hush".to_vec()),
            }]),
            templates: vec![template],
        }
    }
}

/// SPIs in order.
pub struct Counter(u32);

impl SpiSource for Counter {
    fn ike_spi(&mut self, _: &mut dyn rand::CryptoRng) -> u64 {
        self.0 += 1;
        u64::from(self.0) << 32
    }
    fn esp_spi(&mut self, _: &mut dyn rand::CryptoRng) -> u32 {
        self.0 += 1;
        self.0
    }
}

/// A pair of Child SAs in the SAD of an end.
#[derive(Debug)]
pub struct Installed {
    pub install: Box<ChildInstall>,
    pub active: bool,
}

/// One end with what its owner keeps.
pub struct End {
    pub sas: Vec<IkeSa>,
    pub sad: HashMap<u32, Installed>,
    pub removed: Vec<(u32, CloseCause)>,
    pub closed: Vec<CloseCause>,
    pub events: Vec<Event>,
    pub probes: Vec<ProbeOutcome>,
    pub authentic: usize,
    /// Key-exchange work is left lying until [`Pair::do_key_work`].
    pub slow: bool,
    work: VecDeque<(u64, Token, KeRequest)>,
    pub works: usize,
    spis: Counter,
    rng: ChaCha20Rng,
}

/// A message on the wire.
#[derive(Clone, Debug)]
pub struct Held {
    pub from: Side,
    pub bytes: Vec<u8>,
}

impl Held {
    pub fn header(&self) -> Header {
        Header::parse(&self.bytes).unwrap()
    }

    pub fn is_request(&self, exchange: ExchangeType) -> bool {
        let header = self.header();
        header.exchange == exchange && !header.flags.response
    }
}

pub struct Pair {
    pub now: Instant,
    ends: [End; 2],
    pub wire: VecDeque<Held>,
    ivs: HashMap<(u64, u64, bool, [u8; 8]), Vec<u8>>,
    pub init: [Vec<u8>; 2],
    pub shared: Vec<u8>,
    pub refused: Vec<MessageError>,
}

pub fn path(side: Side) -> Path {
    let (a, b) = ("192.0.2.1:500", "192.0.2.2:500");
    let (local, remote) = if side == A { (a, b) } else { (b, a) };
    Path {
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        encapsulated: false,
    }
}

macro_rules! env {
    ($now:expr, $end:expr) => {
        Env {
            now: $now,
            rng: &mut $end.rng,
            spis: &mut $end.spis,
        }
    };
}

impl End {
    pub fn new(side: Side, seed: u64) -> Self {
        Self {
            sas: Vec::new(),
            sad: HashMap::new(),
            removed: Vec::new(),
            closed: Vec::new(),
            events: Vec::new(),
            probes: Vec::new(),
            authentic: 0,
            slow: false,
            work: VecDeque::new(),
            works: 0,
            spis: Counter(if side == A { 0xa000_0000 } else { 0xb000_0000 }),
            rng: ChaCha20Rng::seed_from_u64(seed * 2 + side as u64),
        }
    }

    pub fn env(&mut self, now: Instant) -> Env<'_> {
        env!(now, self)
    }

    /// The only IKE SA in use.
    pub fn sa(&mut self) -> &mut IkeSa {
        let mut used = self
            .sas
            .iter_mut()
            .filter(|sa| sa.state() == SaState::Established);
        let sa = used.next().expect("an IKE SA in use");
        assert!(used.next().is_none(), "two IKE SAs in use");
        sa
    }

    /// SPI of the only Child SA of the IKE SA in use.
    pub fn child(&mut self) -> u32 {
        let children = self.sa().children();
        assert_eq!(children.len(), 1);
        children[0].spi_in
    }

    pub fn collisions(&self) -> usize {
        let is = |e: &&Event| matches!(e, Event::Collision { .. });
        self.events.iter().filter(is).count()
    }

    pub fn work(&mut self, work: KeRequest) -> KeAnswer {
        self.works += 1;
        match work {
            KeRequest::Generate(method) => KeAnswer::Generated(method.generate(&mut self.rng)),
            KeRequest::Agree {
                private,
                peer_public,
            } => KeAnswer::Agreed(KePrivate::agree(private, &peer_public)),
            KeRequest::Respond {
                method,
                peer_public,
            } => {
                let pair = method.generate(&mut self.rng);
                let agreed = pair.and_then(|(private, public)| {
                    private.agree(&peer_public).map(|shared| (public, shared))
                });
                KeAnswer::Responded(agreed)
            }
        }
    }

    fn install(&mut self, install: Box<ChildInstall>) {
        let spi_in = install.spi_in;
        let outbound = install.outbound;
        let new = Installed {
            install,
            active: false,
        };
        assert!(self.sad.insert(spi_in, new).is_none(), "installed twice");
        if outbound {
            self.activate(spi_in);
        }
    }

    fn activate(&mut self, spi_in: u32) {
        let Some(pair) = self.sad.get_mut(&spi_in) else {
            return;
        };
        pair.active = true;
        if let Lineage::Rekey(old) = pair.install.lineage
            && let Some(old) = self.sad.get_mut(&u32::try_from(old).unwrap())
        {
            old.active = false;
        }
    }

    fn remove(&mut self, spi_in: u32, cause: CloseCause) {
        assert!(self.sad.remove(&spi_in).is_some(), "removed twice");
        self.removed.push((spi_in, cause));
        let follows = |p: &Installed| p.install.lineage == Lineage::Rekey(u64::from(spi_in));
        if self.sad.values().any(|p| follows(p) && p.active) {
            return;
        }
        let successor = self.sad.values().find(|p| follows(p));
        let successor = successor.map(|p| p.install.spi_in);
        successor.into_iter().for_each(|spi| self.activate(spi));
    }
}

/// A half-open pair: what a handshake needs, step by step.
pub struct Handshake {
    pub now: Instant,
    pub a: End,
    pub b: End,
    pub initiator: Initiator,
    pub policy: Policy,
    pub shared: Vec<u8>,
}

impl Handshake {
    pub fn new(settings: &Settings, seed: u64) -> Self {
        let now = Instant::now();
        let (mut a, b) = (End::new(A, seed), End::new(B, seed));
        let local = path(A).local;
        let template = settings.template(A);
        let initiator = Initiator::begin(&mut a.env(now), &template, local, 4500, false).unwrap();
        Self {
            now,
            a,
            b,
            initiator,
            policy: settings.policy(),
            shared: Vec::new(),
        }
    }

    /// Drains the initiator; what it sends.
    pub fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        while let Some(output) = self.initiator.poll_output() {
            match output {
                Output::Transmit { message, .. } => sent.push(message),
                Output::Ask(token, work) => {
                    let answer = self.a.work(work);
                    if let KeAnswer::Agreed(Ok(shared)) = &answer {
                        self.shared = shared.to_vec();
                    }
                    let mut env = env!(self.now, self.a);
                    self.initiator.key_exchanged(&mut env, token, answer);
                }
                Output::Event(event) => self.a.events.push(event),
                _ => {}
            }
        }
        sent
    }

    /// The initiator receives a message.
    pub fn receive(&mut self, mut bytes: Vec<u8>) -> Result<Step, MessageError> {
        let header = Header::parse(&bytes)?;
        let mut env = env!(self.now, self.a);
        self.initiator
            .datagram(&mut env, path(A), &header, &mut bytes)
    }

    /// B answers an IKE_SA_INIT.
    pub fn respond(&mut self, request: &[u8]) -> (Responder, Vec<u8>) {
        let message = Message::parse_clear(request).unwrap();
        let proposals = self.policy.templates[0].ike_proposals.clone();
        let mut env = env!(self.now, self.b);
        let begun = Responder::begin(&mut env, path(B), &message, request, &proposals, false);
        let (mut responder, work) = begun.unwrap();
        let KeAnswer::Responded(result) = self.b.work(work) else {
            panic!("asked to respond");
        };
        let response = responder.key_exchanged(result).unwrap();
        (responder, response)
    }

    /// B reads an IKE_AUTH, which may have several fragments.
    pub fn authenticate(&mut self, responder: &mut Responder, sent: &[Vec<u8>]) -> AuthOutcome {
        let mut outcome = AuthOutcome::Incomplete;
        for bytes in sent {
            let mut env = env!(self.now, self.b);
            outcome = responder.auth(&mut env, path(B), &mut bytes.clone(), &self.policy);
        }
        outcome
    }
}

impl Pair {
    pub fn new(seed: u64) -> Self {
        Self::with(&Settings::default(), seed)
    }

    pub fn with(settings: &Settings, seed: u64) -> Self {
        let mut half = Handshake::new(settings, seed);
        let mut request = half.sent().remove(0);
        let first = Message::parse_clear(&request).unwrap();
        if first.ke().unwrap().group != 31 || settings.ike[0] != settings.ike[1] {
            panic!("the handshake of a pair is plain");
        }
        let (mut responder, response) = half.respond(&request);
        half.receive(response.clone()).unwrap();
        let auth = half.sent();
        let AuthOutcome::Authenticated(mut sa, asked) = half.authenticate(&mut responder, &auth)
        else {
            panic!("not authenticated");
        };
        let child = asked.child.map(|c| (c.local, c.remote)).unwrap_or_default();
        sa.grant(&mut half.b.env(half.now), child.0, child.1);
        half.b.sas.push(*sa);
        let mut pair = Self {
            now: half.now,
            ends: [End::new(A, seed), half.b],
            wire: VecDeque::new(),
            ivs: HashMap::new(),
            init: [std::mem::take(&mut request), response],
            shared: half.shared.clone(),
            refused: Vec::new(),
        };
        let auth = auth.into_iter().map(|bytes| Held { from: A, bytes });
        auth.for_each(|held| pair.check_iv(&held));
        pair.drain(B);
        let answers: Vec<Held> = pair.wire.drain(..).collect();
        let mut established = None;
        for answer in answers {
            let mut bytes = answer.bytes;
            let header = Header::parse(&bytes).unwrap();
            let mut env = env!(half.now, half.a);
            let step = half
                .initiator
                .datagram(&mut env, path(A), &header, &mut bytes);
            if let Step::Established(sa) = step.unwrap() {
                established = Some(sa);
            }
        }
        half.a.sas.push(*established.expect("established"));
        pair.ends[0] = half.a;
        pair.drain(A);
        pair
    }

    pub fn end(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    /// Calls the IKE SA in use of one side.
    pub fn on(&mut self, side: Side, call: impl FnOnce(&mut IkeSa, &mut Env<'_>)) {
        let spi = self.end(side).sa().local_spi();
        self.on_sa(side, spi, call);
    }

    /// Calls the IKE SA with this local SPI.
    pub fn on_sa(&mut self, side: Side, spi: u64, call: impl FnOnce(&mut IkeSa, &mut Env<'_>)) {
        let now = self.now;
        let end = self.end(side);
        let sa = end.sas.iter_mut().find(|sa| sa.local_spi() == spi);
        call(sa.expect("the IKE SA"), &mut env!(now, end));
        self.drain(side);
    }

    pub fn rekey_child(&mut self, side: Side) {
        let spi = self.end(side).child();
        self.on(side, |sa, env| sa.rekey_child(env, spi));
    }

    pub fn delete_child(&mut self, side: Side, spi: u32) {
        self.on(side, |sa, env| sa.delete_child(env, spi, CloseCause::Admin));
    }

    pub fn rekey_ike(&mut self, side: Side) {
        self.on(side, IkeSa::rekey);
    }

    /// Takes the oldest message of a side off the wire.
    pub fn sent(&mut self, side: Side) -> Held {
        let at = self.wire.iter().position(|m| m.from == side);
        self.wire.remove(at.expect("a message")).unwrap()
    }

    /// Takes the oldest message off the wire, if it is what is expected.
    pub fn request(&mut self, side: Side, exchange: ExchangeType) -> Held {
        let held = self.sent(side);
        assert!(held.is_request(exchange), "{:?}", held.header());
        held
    }

    pub fn is_silent(&self, side: Side) -> bool {
        self.wire.iter().all(|m| m.from != side)
    }

    /// A message reaches the other side.
    pub fn arrive(&mut self, held: Held) {
        let (to, now) = (held.from.other(), self.now);
        let header = held.header();
        let local = if header.flags.initiator {
            header.spi_r
        } else {
            header.spi_i
        };
        let mut bytes = held.bytes;
        let end = self.end(to);
        let Some(sa) = end.sas.iter_mut().find(|sa| sa.local_spi() == local) else {
            return self.refused.push(MessageError::UnknownIkeSpi);
        };
        let result = sa.datagram(&mut env!(now, end), path(to), &header, &mut bytes);
        self.refused.extend(result.err());
        self.drain(to);
    }

    /// Everything on the wire arrives, and what that leads to.
    pub fn settle(&mut self) {
        for _ in 0..1000 {
            match self.wire.pop_front() {
                Some(held) => self.arrive(held),
                None => return,
            }
        }
        panic!("it never ends");
    }

    /// Time passes; what is sent arrives at once.
    pub fn wait(&mut self, time: Duration) {
        self.settle();
        self.sleep(time, Self::settle);
    }

    /// Time passes, and nothing arrives.
    pub fn wait_cut_off(&mut self, time: Duration) {
        self.wire.clear();
        self.sleep(time, |pair| pair.wire.clear());
    }

    /// Time passes, and what is under way stays there.
    pub fn pass(&mut self, time: Duration) {
        self.sleep(time, |_| {});
    }

    fn sleep(&mut self, time: Duration, meanwhile: impl Fn(&mut Self)) {
        let end = self.now + time;
        let next = |pair: &Self| {
            let sas = pair.ends.iter().flat_map(|end| &end.sas);
            sas.filter_map(|sa| sa.next_timeout().map(|(at, _)| at))
                .min()
        };
        let mut wakes = 0;
        while let Some(at) = next(self).filter(|at| *at <= end) {
            wakes += 1;
            assert!(wakes < 10_000, "a timer that fires for ever");
            self.now = at.max(self.now);
            for side in [A, B] {
                let now = self.now;
                let end = self.end(side);
                for sa in &mut end.sas {
                    sa.timeout(&mut env!(now, end));
                }
                self.drain(side);
            }
            meanwhile(self);
        }
        self.now = end;
    }

    /// Does the work that a slow side has left lying: the first, or all.
    pub fn do_key_work(&mut self, side: Side, all: bool) {
        while !self.end(side).work.is_empty() {
            let work = self.take_key_work(side);
            self.finish_key_work(side, work);
            if !all {
                return;
            }
        }
    }

    /// Takes the oldest work of a slow side.
    pub fn take_key_work(&mut self, side: Side) -> (u64, Token, KeRequest) {
        self.end(side).work.pop_front().expect("key exchange work")
    }

    /// Does work that was taken; nobody may be left who waits for it.
    pub fn finish_key_work(&mut self, side: Side, (spi, token, work): (u64, Token, KeRequest)) {
        let now = self.now;
        let end = self.end(side);
        let answer = end.work(work);
        if let Some(sa) = end.sas.iter_mut().find(|sa| sa.local_spi() == spi) {
            sa.key_exchanged(&mut env!(now, end), token, answer);
        }
        self.drain(side);
    }

    /// An AEAD's IV comes once under one key, whatever happens.
    fn check_iv(&mut self, held: &Held) {
        let header = held.header();
        let at = Header::LEN
            + if header.next_payload.to_u8() == 53 {
                8
            } else {
                4
            };
        let iv: [u8; 8] = held.bytes[at..at + 8].try_into().unwrap();
        let key = (header.spi_i, header.spi_r, header.flags.initiator, iv);
        let first = self.ivs.entry(key).or_insert_with(|| held.bytes.clone());
        assert_eq!(*first, held.bytes, "two messages under one IV");
    }

    fn drain(&mut self, side: Side) {
        while let Some((spi, output)) = self.next_output(side) {
            self.handle(side, spi, output);
        }
        if !self.end(side).slow {
            self.do_key_work(side, true);
        }
    }

    fn next_output(&mut self, side: Side) -> Option<(u64, Output)> {
        let mut sas = self.end(side).sas.iter_mut();
        sas.find_map(|sa| sa.poll_output().map(|out| (sa.local_spi(), out)))
    }

    fn handle(&mut self, side: Side, spi: u64, output: Output) {
        let now = self.now;
        let end = &mut self.ends[side as usize];
        match output {
            Output::Transmit { message, .. } => {
                let held = Held {
                    from: side,
                    bytes: message,
                };
                self.check_iv(&held);
                self.wire.push_back(held);
            }
            Output::Ask(token, work) => end.work.push_back((spi, token, work)),
            Output::Authorize(asked) => {
                let sa = end.sas.iter_mut().find(|sa| sa.local_spi() == spi).unwrap();
                sa.grant(&mut env!(now, end), asked.local, asked.remote);
            }
            Output::Authentic(_) => {
                end.authentic += 1;
                let heard = end.sas.iter().find(|sa| sa.local_spi() == spi);
                if let Some(old) = heard.and_then(IkeSa::replaces)
                    && let Some(old) = end.sas.iter_mut().find(|sa| sa.local_spi() == old)
                {
                    old.successor_seen(now);
                }
            }
            Output::InstallChild(install) => end.install(install),
            Output::ActivateOutbound(spi_in) => end.activate(spi_in),
            Output::RemoveChild { spi_in, cause, .. } => end.remove(spi_in, cause),
            Output::Successor(successor) => end.sas.push(*successor),
            Output::Inherit(inheritance) => {
                let heir = inheritance.successor;
                let sa = end.sas.iter_mut().find(|sa| sa.local_spi() == heir);
                let sa = sa.expect("an heir");
                sa.inherit(&mut env!(now, end), inheritance);
            }
            Output::Event(event) => end.events.push(event),
            Output::Probed(outcome) => end.probes.push(outcome),
            // Nobody resurrects it here.
            Output::Parked(cause) => {
                end.closed.push(cause);
                end.sas.retain(|sa| sa.local_spi() != spi);
                end.sad.clear();
            }
            Output::Closed(cause) => {
                end.closed.push(cause);
                end.sas.retain(|sa| sa.local_spi() != spi);
            }
            Output::Retransmitted { .. } | Output::ProbeUnanswered | Output::Keepalive(_) => {}
        }
    }

    /// Whether a packet of `side` gets through: it is sent on a pair that the other end receives on.
    pub fn gets_through(&mut self, side: Side) -> bool {
        let active = self.end(side).sad.values().filter(|p| p.active);
        let spis: Vec<u32> = active.map(|p| p.install.spi_out).collect();
        let far = &self.end(side.other()).sad;
        !spis.is_empty() && spis.iter().all(|spi| far.contains_key(spi))
    }

    /// Both ends agree on `count` Child SAs of one IKE SA, and nothing else is left, at once.
    pub fn agree_on(&mut self, count: usize) {
        let mut seen = Vec::new();
        for side in [A, B] {
            let end = self.end(side);
            assert_eq!(end.sas.len(), 1, "IKE SAs of {side:?}");
            let sa = end.sa();
            let spis = sa.spis();
            let mut children: Vec<(u32, u32)> = Vec::new();
            for child in sa.children() {
                assert_eq!(child.state, hawser_ike::child_sa::ChildState::Installed);
                children.push((child.spi_in, child.spi_out));
            }
            assert_eq!(children.len(), count, "Child SAs of {side:?}");
            assert_eq!(end.sad.len(), count, "leftovers in the SAD of {side:?}");
            for (spi_in, spi_out) in &children {
                let pair = &end.sad[spi_in];
                assert!(pair.active, "{side:?} does not send");
                assert_eq!(pair.install.spi_out, *spi_out);
            }
            let mut ends = children;
            if side == B {
                ends.iter_mut().for_each(|c| *c = (c.1, c.0));
            }
            ends.sort_unstable();
            seen.push((spis, ends));
        }
        assert_eq!(seen[0], seen[1], "the ends disagree");
        self.keys_fit();
    }

    fn keys_fit(&mut self) {
        let a: Vec<_> = self.ends[0].sad.values().map(|p| &p.install).collect();
        for near in a {
            let far = &self.ends[1].sad[&near.spi_out].install;
            assert_eq!(
                (&near.encr_in, &near.encr_out),
                (&far.encr_out, &far.encr_in)
            );
            assert_eq!((near.suite, &near.local), (far.suite, &far.remote));
        }
    }

    /// Everything arrives, every wait is over: one IKE SA and one Child SA stand, and both are new
    /// requests' equals.
    pub fn ends_with(&mut self, count: usize) {
        self.wait(Duration::from_secs(600));
        self.agree_on(count);
        self.wire.clear();
    }

    /// Everything arrives, every wait is over: nothing is left of anything.
    pub fn ends_with_nothing(&mut self) {
        self.wait(Duration::from_secs(600));
        for side in [A, B] {
            let end = self.end(side);
            assert!(
                end.sas.is_empty() && end.sad.is_empty(),
                "leftovers of {side:?}"
            );
        }
    }

    pub fn ends_well(&mut self) {
        self.ends_with(1);
    }
}
