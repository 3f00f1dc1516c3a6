//! Handshakes that we begin, for templates that say so.
//!
//! A policy may be replaced at any time: templates are known by name, and an index is only good
//! for the policy in force.

use crate::Shard;
use crate::asks::Asker;
use crate::index::ASK_EVERY;
use crate::io::{DeviceId, KeAnswer, Question};
use crate::peer::Peer;
use crate::timers::TimerKey;
use hawser_flight::{HandshakeFailure, Path};
use hawser_ike::IkeSa;
use hawser_ike::handshake::initiator::{Initiator, Step};
use hawser_ike::header::Header;
use hawser_ike::io::{Output, Token};
use hawser_policy::{PeerTemplate, TemplateId};
use slab::Slab;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// First and longest wait before a handshake of ours is begun again.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Handshakes of ours.
#[derive(Default)]
pub(crate) struct Initiators {
    slab: Slab<Begun>,
    by_spi_i: HashMap<u64, usize>,
    /// By the SPI of the first Child SA, which the peer may use before its answer is here.
    by_child: HashMap<u32, usize>,
    attempts: HashMap<Arc<str>, Attempts>,
}

struct Begun {
    initiator: Initiator,
    /// The device that it is to bring back.
    revives: Option<DeviceId>,
    since: Instant,
    /// The device is not waited for any more, but its answer may still come.
    given_up: bool,
    /// When a request was last sent again to where something came from.
    asked_again: Option<Instant>,
    /// Its Child SA's SPI, where it is known to the peer.
    awaits: Option<u32>,
    armed: Option<Instant>,
}

/// How a template's handshakes went: what fails soon, or does not last, waits longer.
struct Attempts {
    template: TemplateId,
    /// How long the next one waits.
    wait: Duration,
    /// When the last one was to begin.
    last: Instant,
    armed: Option<Instant>,
}

impl Initiators {
    pub(crate) fn by_spi(&self, spi_i: u64) -> Option<usize> {
        self.by_spi_i.get(&spi_i).copied()
    }

    /// The handshake that makes a Child SA with this SPI.
    pub(crate) fn by_child(&self, spi: u32) -> Option<usize> {
        self.by_child.get(&spi).copied()
    }

    pub(crate) fn of_spi(&self, spi_i: u64) -> Option<&Initiator> {
        self.slab.get(self.by_spi(spi_i)?).map(|b| &b.initiator)
    }

    pub(crate) fn is_initiating(&self, template: &str) -> bool {
        self.slab
            .iter()
            .any(|(_, b)| b.revives.is_none() && &*b.initiator.template().name == template)
    }
}

impl Shard {
    /// Whether it is this shard that begins the handshakes of a template: the same one whatever
    /// else a policy holds.
    fn begins(&self, template: &PeerTemplate) -> bool {
        let fnv = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let hash = template.name.bytes().fold(0x811c_9dc5, fnv);
        template.initiate.is_some() && hash % u32::from(self.shards) == u32::from(self.id.0)
    }

    /// Begins the handshakes of every template that initiates and is this shard's.
    pub(crate) fn initiate_all(&mut self, now: Instant) {
        let policy = Arc::clone(&self.policy);
        for template in &policy.templates {
            self.initiate(now, template.id.0);
        }
    }

    pub(crate) fn initiate(&mut self, now: Instant, template: u16) {
        let Some(settings) = self.policy.templates.get(usize::from(template)).cloned() else {
            return;
        };
        if let Some(attempts) = self.initiators.attempts.get_mut(&settings.name) {
            let timer = TimerKey::Initiate(attempts.template.0);
            self.timers.arm(&mut attempts.armed, None, timer);
        }
        if !self.begins(&settings) || self.stage.is_ending() {
            return;
        }
        let live = |p: &Peer| p.template.name == settings.name && p.has_usable_ike_sa();
        let live = self.peers.iter().find(|(_, p)| live(p)).map(|(key, _)| key);
        if let Some(key) = live {
            self.complete(now, key);
        } else if !self.initiators.is_initiating(&settings.name) {
            self.begin_initiator(now, &settings);
        }
    }

    /// Begins the handshake of a template though its tunnel is up: what that makes takes its place.
    pub(crate) fn initiate_anew(&mut self, now: Instant, template: &Arc<PeerTemplate>) {
        let initiating = self.initiators.is_initiating(&template.name);
        if !initiating && !self.stage.is_ending() {
            self.begin_initiator(now, template);
        }
    }

    /// Asks for the Child SAs that a device of ours has lost while its IKE SA lives.
    fn complete(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let template = Arc::clone(&peer.template);
        // A pair that only waits for the answer to its DELETE is not there.
        let there = |child| peer.ike_sas.iter().any(|sa| sa.has_child(child));
        let missing: Vec<usize> = (0..template.children.len())
            .filter(|c| !there(*c))
            .collect();
        if missing.is_empty() || template.initiate.is_none() {
            return;
        }
        let newest = peer.newest();
        let idle = |sa: &&mut IkeSa| !sa.is_waiting();
        match newest.and_then(|spi| peer.ike_sa(spi)).filter(idle) {
            Some(sa) => {
                let ours = 0..sa.template().children.len();
                for child in missing.into_iter().filter(|c| ours.contains(c)) {
                    sa.create_child(&mut crate::env!(self, now), child);
                }
                self.drive(now, key);
            }
            None => self.initiate_again(now, &template),
        }
    }

    fn begin_initiator(&mut self, now: Instant, settings: &Arc<PeerTemplate>) {
        let Some(remote) = settings.initiate.as_ref().map(|i| i.remote) else {
            return;
        };
        let listen = &self.policy.listen;
        let same_family = |a: &&IpAddr| a.is_ipv4() == remote.is_ipv4();
        let unspecified = if remote.is_ipv4() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        let local = listen.addresses.iter().find(same_family).copied();
        let local = SocketAddr::new(local.unwrap_or(unspecified), listen.port);
        let (nat_port, force) = (listen.nat_port, !listen.native_esp);
        let mut env = crate::env!(self, now);
        if let Some(initiator) = Initiator::begin(&mut env, settings, local, nat_port, force) {
            self.add_initiator(now, initiator, None);
        }
    }

    /// Goes on with a handshake of ours; its key.
    pub(crate) fn add_initiator(
        &mut self,
        now: Instant,
        initiator: Initiator,
        revives: Option<DeviceId>,
    ) -> usize {
        let spi_i = initiator.spi_i();
        let key = self.initiators.slab.insert(Begun {
            initiator,
            revives,
            since: now,
            given_up: false,
            asked_again: None,
            awaits: None,
            armed: None,
        });
        self.initiators.by_spi_i.insert(spi_i, key);
        self.drive_initiator(now, key);
        key
    }

    /// Begins the handshake of a template anew, after a while that grows until an SA has lasted.
    pub(crate) fn initiate_again(&mut self, now: Instant, template: &PeerTemplate) {
        if template.initiate.is_none() {
            return;
        }
        let named = |t: &&Arc<PeerTemplate>| t.name == template.name;
        let Some(current) = self.policy.templates.iter().find(named).cloned() else {
            return;
        };
        if !self.begins(&current) || self.stage.is_ending() {
            return;
        }
        let name = Arc::clone(&current.name);
        let attempts = self.initiators.attempts.entry(name).or_insert(Attempts {
            template: current.id,
            wait: FIRST_WAIT,
            last: now,
            armed: None,
        });
        if attempts.armed.is_some() {
            return;
        }
        if now.saturating_duration_since(attempts.last) > LONGEST_WAIT {
            attempts.wait = FIRST_WAIT;
        }
        let at = now + attempts.wait;
        attempts.wait = (attempts.wait * 2).min(LONGEST_WAIT);
        attempts.last = at;
        let timer = TimerKey::Initiate(attempts.template.0);
        self.timers.arm(&mut attempts.armed, Some(at), timer);
    }

    pub(crate) fn initiator_message(
        &mut self,
        now: Instant,
        key: usize,
        path: Path,
        header: &Header,
        message: &[u8],
    ) {
        let Some(begun) = self.initiators.slab.get_mut(key) else {
            return;
        };
        let mut env = crate::env!(self, now);
        match begun
            .initiator
            .datagram(&mut env, path, header, &mut message.to_vec())
        {
            Ok(step) => self.initiator_step(now, key, step),
            Err(reason) => {
                self.refuse_message(now, path, reason);
                self.ask_half_open(now, key, path);
            }
        }
    }

    /// Something has come for an SA that a handshake of ours is to make: the peer has made it, and
    /// its answer was lost. IKE_AUTH is sent again to where that came from.
    pub(crate) fn ask_half_open(&mut self, now: Instant, key: usize, path: Path) {
        let proved = |b: &&mut Begun| b.initiator.has_proved();
        let Some(begun) = self.initiators.slab.get_mut(key).filter(proved) else {
            return;
        };
        let recently = |at: Instant| now.saturating_duration_since(at) < ASK_EVERY;
        if !begun.asked_again.is_some_and(recently) && path.encapsulated {
            begun.asked_again = Some(now);
            begun.initiator.ask_again_at(path);
            self.drive_initiator(now, key);
        }
    }

    pub(crate) fn initiator_timeout(&mut self, now: Instant, key: usize) {
        let Some(begun) = self.initiators.slab.get_mut(key) else {
            return;
        };
        begun.armed = None;
        let step = begun.initiator.timeout(&mut crate::env!(self, now));
        self.initiator_step(now, key, step);
    }

    pub(crate) fn initiator_key(
        &mut self,
        now: Instant,
        key: usize,
        spi_i: u64,
        token: Token,
        answer: KeAnswer,
    ) {
        let ours = |b: &&Begun| b.initiator.spi_i() == spi_i;
        if self.initiators.slab.get(key).filter(ours).is_none() {
            return;
        }
        if let Some(answer) = self.hold_back(now, key, token, answer) {
            self.go_on(now, key, token, answer);
        }
    }

    /// A handshake of ours goes on with these keys.
    pub(crate) fn go_on(&mut self, now: Instant, key: usize, token: Token, answer: KeAnswer) {
        if let Some(begun) = self.initiators.slab.get_mut(key) {
            let mut env = crate::env!(self, now);
            let step = begun.initiator.key_exchanged(&mut env, token, answer);
            self.initiator_step(now, key, step);
        }
    }

    fn initiator_step(&mut self, now: Instant, key: usize, step: Step) {
        self.drive_initiator(now, key);
        if matches!(step, Step::Continue) {
            return;
        }
        let revives = self.revives(key);
        let given_up = self.initiators.slab.get(key).is_some_and(|b| b.given_up);
        if let (Step::Unanswered, Some(device)) = (&step, revives) {
            if let Some(begun) = self.initiators.slab.get_mut(key) {
                begun.given_up = true;
            }
            return self.revival_failed(now, device, None);
        }
        let since = now - self.has_taken(now, key);
        let Some(begun) = self.remove_initiator(key) else {
            return;
        };
        match (step, revives) {
            (Step::Established(sa), None) => self.place_initiated(now, *sa),
            (Step::Established(sa), Some(device)) => self.place_revived(now, device, *sa, since),
            (Step::Unanswered, _) => {
                self.counters.failures.count(HandshakeFailure::Timeout);
                self.initiate_again(now, begun.template());
            }
            (Step::Failed(reason), None) => {
                self.counters.failures.count(reason);
                self.initiate_again(now, begun.template());
            }
            (Step::Failed(_), _) if given_up => {}
            (Step::Failed(reason), Some(device)) => {
                self.counters.failures.count(reason);
                self.revival_failed(now, device, Some(reason));
            }
            (Step::Continue, _) => {}
        }
    }

    /// The device that a handshake of ours is to bring back.
    pub(crate) fn revives(&self, key: usize) -> Option<DeviceId> {
        self.initiators.slab.get(key).and_then(|b| b.revives)
    }

    /// How long a handshake of ours has gone on.
    pub(crate) fn has_taken(&self, now: Instant, key: usize) -> Duration {
        let since = self.initiators.slab.get(key).map_or(now, |b| b.since);
        now.saturating_duration_since(since)
    }

    /// Whether the peer of a handshake of ours may believe in its IKE SA already.
    pub(crate) fn has_proved(&self, key: usize) -> bool {
        let begun = self.initiators.slab.get(key);
        begun.is_some_and(|b| b.initiator.has_proved())
    }

    pub(crate) fn remove_initiator(&mut self, key: usize) -> Option<Initiator> {
        let mut begun = self.initiators.slab.try_remove(key)?;
        let timer = TimerKey::Initiator(key);
        self.timers.arm(&mut begun.armed, None, timer);
        self.initiators.by_spi_i.remove(&begun.initiator.spi_i());
        if let Some(spi) = begun.awaits {
            self.initiators.by_child.remove(&spi);
        }
        Some(begun.initiator)
    }

    /// No handshake of ours goes on, and none waits to be begun.
    pub(crate) fn drop_initiators(&mut self) {
        let ours = self.initiators.slab.iter();
        let ours = ours.filter(|(_, b)| b.revives.is_none());
        let keys: Vec<usize> = ours.map(|(key, _)| key).collect();
        for key in keys {
            self.remove_initiator(key);
        }
        for (_, mut attempts) in std::mem::take(&mut self.initiators.attempts) {
            let timer = TimerKey::Initiate(attempts.template.0);
            self.timers.arm(&mut attempts.armed, None, timer);
        }
    }

    fn drive_initiator(&mut self, now: Instant, key: usize) {
        while let Some(begun) = self.initiators.slab.get_mut(key) {
            let Some(output) = begun.initiator.poll_output() else {
                break;
            };
            match output {
                Output::Transmit { path, message } => self.transmit(path, &message),
                Output::Ask(token, work) => {
                    let spi_i = begun.initiator.spi_i();
                    let asker = Asker::Initiator { key, spi_i, token };
                    self.ask(now, asker, Question::KeyExchange(work));
                }
                Output::Retransmitted { .. } => self.counters.retransmits += 1,
                Output::Event(event) => self.event(None, event),
                // A half-open SA has no Child SA and no successor.
                _ => {}
            }
        }
        if let Some(begun) = self.initiators.slab.get_mut(key) {
            let awaits = begun.initiator.awaited_child_spi();
            if let Some(spi) = awaits.filter(|_| begun.awaits.is_none()) {
                begun.awaits = awaits;
                self.initiators.by_child.insert(spi, key);
            }
            let at = begun.initiator.next_timeout();
            let timer = TimerKey::Initiator(key);
            self.timers.arm(&mut begun.armed, at, timer);
        }
    }
}
