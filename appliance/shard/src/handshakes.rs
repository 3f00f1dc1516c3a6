//! Half-open SAs, in both roles, and the way of an IKE datagram to its SA.

use crate::Shard;
use crate::io::{HandOff, KeAnswer, PacketSink, Question, ShardId};
use crate::placing::Asker;
use crate::spi::shard_of;
use crate::timers::TimerKey;
use hawser_esp::packet::Ecn;
use hawser_flight::{Event, HandshakeFailure, MessageError, Path, Role};
use hawser_ike::handshake::initiator::{Initiator, Step};
use hawser_ike::handshake::responder::{AuthOutcome, InitRefusal, Responder};
use hawser_ike::handshake::{header, init_notify};
use hawser_ike::header::Header;
use hawser_ike::io::{Output, Token};
use hawser_ike::message::Message;
use hawser_ike::payload::{Notify, Payload};
use hawser_ike::registry::{ExchangeType, NotifyType};
use hawser_policy::{CookieMode, PeerTemplate};
use slab::Slab;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// First and longest wait before a handshake of ours that failed is begun again.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Half-open SAs.
#[derive(Default)]
pub(crate) struct Handshakes {
    responders: Slab<Responder>,
    by_init: HashMap<(u64, SocketAddr), usize>,
    by_spi_r: HashMap<u64, usize>,
    initiators: Slab<Begun>,
    by_spi_i: HashMap<u64, usize>,
    /// How long the next failure of a template's handshake waits.
    waits: HashMap<u16, Duration>,
}

struct Begun {
    initiator: Initiator,
    armed: Option<Instant>,
}

impl Handshakes {
    pub(crate) fn half_open(&self) -> usize {
        self.responders.len()
    }

    pub(crate) fn is_initiating(&self, template: u16) -> bool {
        self.initiators
            .iter()
            .any(|(_, b)| b.initiator.template().id.0 == template)
    }

    fn remove_responder(&mut self, key: usize) -> Option<Responder> {
        let gone = self.responders.try_remove(key)?;
        self.by_init.remove(&(gone.spi_i, gone.path.remote));
        self.by_spi_r.remove(&gone.spi_r);
        Some(gone)
    }
}

impl Shard {
    /// An IKE message (non-ESP marker removed).
    pub(crate) fn ike_message(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        message: &[u8],
        handed: bool,
        sink: &mut dyn PacketSink,
    ) {
        self.counters.ike_received += 1;
        let header = match Header::parse(message) {
            Ok(header) if header.major == 2 => header,
            Ok(_) => return self.refuse_message(now, path, MessageError::BadVersion),
            Err(reason) => return self.refuse_message(now, path, reason),
        };
        if header.spi_r == 0 && !header.flags.response {
            return self.init_request(now, path, &header, message);
        }
        let local = if header.flags.initiator {
            header.spi_r
        } else {
            header.spi_i
        };
        if let Some(key) = self.ike_index.get(&local).copied() {
            return self.peer_message(now, key, local, path, &header, message);
        }
        if let Some(key) = self.handshakes.by_spi_r.get(&local).copied() {
            return self.responder_message(now, key, path, message);
        }
        if let Some(key) = self.handshakes.by_spi_i.get(&local).copied() {
            return self.initiator_message(now, key, path, &header, message);
        }
        match self.elsewhere(local) {
            Some(shard) if !handed => {
                self.counters.handed_off += 1;
                let marker: &[u8] = if path.encapsulated { &[0; 4] } else { &[] };
                let payload = &[marker, message].concat();
                sink.hand_off(shard, HandOff::Datagram { path, ecn, payload });
            }
            _ => self.unknown_ike_spi(now, path, &header),
        }
    }

    /// The shard that has the IKE SA of a local SPI, if that is another one.
    fn elsewhere(&self, local: u64) -> Option<ShardId> {
        let bucket = local.to_be_bytes()[0];
        let owner = shard_of(bucket, self.shards);
        let by_bucket = (bucket != 0 && owner != self.id).then_some(owner);
        self.forwards.get(&local).copied().or(by_bucket)
    }

    /// RFC 7296 2.21.4: at a bounded rate, and only for requests.
    fn unknown_ike_spi(&mut self, now: Instant, path: Path, request: &Header) {
        self.refuse_message(now, path, MessageError::UnknownIkeSpi);
        if request.flags.response || !self.gate.may_complain(now) {
            return;
        }
        let spis = (request.spi_i, request.spi_r);
        let from_initiator = !request.flags.initiator;
        let head = header(
            spis,
            request.exchange,
            request.message_id,
            from_initiator,
            true,
        );
        let payloads = vec![Payload::Notify(Notify::error(NotifyType::InvalidIkeSpi))];
        let message = hawser_ike::message::Message {
            header: head,
            payloads,
        }
        .encode_clear();
        self.transmit(path, &message);
    }

    /// Counts a datagram that is not processed; the record of it is at a bounded rate.
    pub(crate) fn refuse_message(&mut self, now: Instant, path: Path, reason: MessageError) {
        self.counters.message_errors.count(reason);
        let routine = matches!(reason, MessageError::Retransmission | MessageError::Pending);
        if !routine && self.gate.may_record(now) {
            self.event(
                None,
                Event::MessageRefused {
                    source: path.remote,
                    reason,
                },
            );
        }
    }

    fn peer_message(
        &mut self,
        now: Instant,
        key: usize,
        local: u64,
        path: Path,
        header: &Header,
        message: &[u8],
    ) {
        let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(local)) else {
            return;
        };
        let mut datagram = message.to_vec();
        let result = sa.datagram(&mut crate::env!(self, now), path, header, &mut datagram);
        if let Err(reason) = result {
            self.refuse_message(now, path, reason);
        }
        self.drive(now, key);
    }

    fn init_request(&mut self, now: Instant, path: Path, header: &Header, datagram: &[u8]) {
        if header.exchange != ExchangeType::IkeSaInit
            || header.message_id != 0
            || !header.flags.initiator
            || header.spi_i == 0
        {
            return self.refuse_message(now, path, MessageError::BadExchange);
        }
        if let Some(key) = self
            .handshakes
            .by_init
            .get(&(header.spi_i, path.remote))
            .copied()
        {
            return self.repeated_init(now, key, path, datagram);
        }
        let request = match Message::parse_clear(datagram) {
            Ok(request) => request,
            Err(reason) => return self.refuse_message(now, path, reason),
        };
        if let Err(reason) = self.check_cookie(now, path, &request) {
            return self.refuse_message(now, path, reason);
        }
        // Only after the cookie: a spoofed source must not use up the rate of a real one.
        if !self
            .gate
            .admit(now, path.remote.ip(), self.policy.admission.source_rate)
        {
            return self.refuse_message(now, path, MessageError::RateLimited);
        }
        if self.handshakes.half_open() >= self.policy.admission.max_half_open as usize {
            self.counters
                .failures
                .count(HandshakeFailure::HalfOpenLimit);
            return self.refuse_message(now, path, MessageError::HalfOpenLimit);
        }
        self.begin_responder(now, path, &request, datagram);
    }

    fn repeated_init(&mut self, now: Instant, key: usize, path: Path, datagram: &[u8]) {
        let Some(responder) = self.handshakes.responders.get(key) else {
            return;
        };
        let answer = responder.repeat_init(datagram);
        let reason = match (&answer, responder.began_with(datagram)) {
            (Some(_), _) => MessageError::Retransmission,
            (None, true) => MessageError::Pending,
            (None, false) => MessageError::BadMessageId,
        };
        if let Some(answer) = answer {
            self.transmit(path, &answer);
        }
        self.refuse_message(now, path, reason);
    }

    /// Demands a cookie when there are many half-open SAs: nothing is kept for the request then.
    fn check_cookie(
        &mut self,
        now: Instant,
        path: Path,
        request: &Message,
    ) -> Result<(), MessageError> {
        let demanded = match self.policy.admission.cookies {
            CookieMode::Always => true,
            CookieMode::Threshold(n) => self.handshakes.half_open() >= n as usize,
        };
        if !demanded {
            return Ok(());
        }
        let nonce = request.nonce().ok_or(MessageError::PayloadRules)?;
        let spi_i = request.header.spi_i;
        let given = request.notify(NotifyType::Cookie);
        if given.is_some_and(|c| self.cookies.check(path.remote, spi_i, nonce, &c.data)) {
            return Ok(());
        }
        let cookie = self
            .cookies
            .make(now, &mut self.rng, path.remote, spi_i, nonce);
        let demand = init_notify(&request.header, Notify::status(NotifyType::Cookie, cookie));
        self.counters.cookies += 1;
        self.transmit(path, &demand);
        Err(MessageError::CookieRequired)
    }

    fn begin_responder(&mut self, now: Instant, path: Path, request: &Message, datagram: &[u8]) {
        let proposals = self.policy.ike_proposals(path.local.ip());
        let force = !self.policy.listen.native_esp;
        let mut env = crate::env!(self, now);
        let begun = Responder::begin(&mut env, path, request, datagram, proposals, force);
        match begun {
            Ok((responder, work)) => {
                let (spi_i, spi_r) = (responder.spi_i, responder.spi_r);
                let key = self.handshakes.responders.insert(responder);
                self.handshakes.by_init.insert((spi_i, path.remote), key);
                self.handshakes.by_spi_r.insert(spi_r, key);
                let deadline = now + self.policy.admission.half_open_timeout;
                self.timers.at(deadline, TimerKey::Responder(key));
                self.ask(Asker::Responder { key, spi_r }, Question::KeyExchange(work));
            }
            Err(InitRefusal::Silent(reason)) => self.refuse_message(now, path, reason),
            Err(InitRefusal::Demand(reply)) => self.transmit(path, &reply),
            Err(InitRefusal::Reply(reply, reason)) => {
                self.transmit(path, &reply);
                self.handshake_failed(path, None, reason);
            }
        }
    }

    pub(crate) fn handshake_failed(
        &mut self,
        path: Path,
        claimed_identity: Option<String>,
        reason: HandshakeFailure,
    ) {
        self.counters.failures.count(reason);
        let role = Role::Responder;
        self.event(
            None,
            Event::HandshakeFailed {
                role,
                path,
                claimed_identity,
                reason,
            },
        );
    }

    pub(crate) fn responder_key(&mut self, key: usize, spi_r: u64, answer: KeAnswer) {
        let responder = self
            .handshakes
            .responders
            .get_mut(key)
            .filter(|r| r.spi_r == spi_r);
        let (Some(responder), KeAnswer::Responded(result)) = (responder, answer) else {
            return;
        };
        let path = responder.path;
        match responder.key_exchanged(result) {
            Ok(response) => self.transmit(path, &response),
            Err(reason) => {
                self.handshakes.remove_responder(key);
                self.handshake_failed(path, None, reason);
            }
        }
    }

    fn responder_message(&mut self, now: Instant, key: usize, path: Path, message: &[u8]) {
        let Some(responder) = self.handshakes.responders.get_mut(key) else {
            return;
        };
        let mut env = crate::env!(self, now);
        match responder.auth(&mut env, path, &mut message.to_vec(), &self.policy) {
            AuthOutcome::Incomplete => {}
            AuthOutcome::Ignored(reason, again) => {
                again
                    .iter()
                    .for_each(|message| self.transmit(path, message));
                self.refuse_message(now, path, reason);
            }
            AuthOutcome::Refused(answer, claimed, reason) => {
                answer
                    .iter()
                    .for_each(|message| self.transmit(path, message));
                self.handshake_failed(path, claimed, reason);
            }
            AuthOutcome::Authenticated(sa, request) => {
                self.handshakes.remove_responder(key);
                self.place(now, sa, request);
            }
        }
    }

    /// A half-open SA was not completed in time (or is the memory of a refusal).
    pub(crate) fn responder_timeout(&mut self, now: Instant, key: usize) {
        let limit = self.policy.admission.half_open_timeout;
        let Some(responder) = self.handshakes.responders.get(key) else {
            return;
        };
        // The key may have been reused for a younger one.
        if now.saturating_duration_since(responder.created) < limit {
            return;
        }
        let (path, refused) = (responder.path, responder.is_refused());
        self.handshakes.remove_responder(key);
        if !refused {
            self.handshake_failed(path, None, HandshakeFailure::Timeout);
        }
    }

    /// Begins the handshakes of every template that initiates and is this shard's.
    pub(crate) fn initiate_all(&mut self, now: Instant) {
        let mine = |t: &PeerTemplate| {
            t.initiate.is_some() && t.id.0 % u16::from(self.shards) == u16::from(self.id.0)
        };
        let templates: Vec<u16> = self
            .policy
            .templates
            .iter()
            .filter(|t| mine(t))
            .map(|t| t.id.0)
            .collect();
        templates
            .into_iter()
            .for_each(|template| self.initiate(now, template));
    }

    pub(crate) fn initiate(&mut self, now: Instant, template: u16) {
        let Some(settings) = self.policy.templates.get(usize::from(template)).cloned() else {
            return;
        };
        let Some(remote) = settings.initiate.as_ref().map(|i| i.remote) else {
            return;
        };
        let live = self
            .peers
            .iter()
            .any(|(_, p)| p.template.id == settings.id && !p.ike_sas.is_empty());
        if live || self.handshakes.is_initiating(template) || self.shutting_down.is_some() {
            return;
        }
        let listen = &self.policy.listen;
        let same_family = |a: &&IpAddr| a.is_ipv4() == remote.is_ipv4();
        let unspecified = if remote.is_ipv4() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        let local = listen
            .addresses
            .iter()
            .find(same_family)
            .copied()
            .unwrap_or(unspecified);
        let (local, nat_port) = (SocketAddr::new(local, listen.port), listen.nat_port);
        let force = !listen.native_esp;
        let mut env = crate::env!(self, now);
        if let Some(initiator) = Initiator::begin(&mut env, &settings, local, nat_port, force) {
            let spi_i = initiator.spi_i();
            let key = self.handshakes.initiators.insert(Begun {
                initiator,
                armed: None,
            });
            self.handshakes.by_spi_i.insert(spi_i, key);
            self.drive_initiator(key);
        }
    }

    /// Begins the handshake of a template anew, after a while that grows with each failure.
    pub(crate) fn initiate_again(&mut self, now: Instant, template: &PeerTemplate) {
        if template.initiate.is_none() || self.shutting_down.is_some() {
            return;
        }
        let wait = self
            .handshakes
            .waits
            .entry(template.id.0)
            .or_insert(FIRST_WAIT);
        let at = now + *wait;
        *wait = (*wait * 2).min(LONGEST_WAIT);
        self.timers.at(at, TimerKey::Initiate(template.id.0));
    }

    fn initiator_message(
        &mut self,
        now: Instant,
        key: usize,
        path: Path,
        header: &Header,
        message: &[u8],
    ) {
        let Some(begun) = self.handshakes.initiators.get_mut(key) else {
            return;
        };
        let mut env = crate::env!(self, now);
        match begun
            .initiator
            .datagram(&mut env, path, header, &mut message.to_vec())
        {
            Ok(step) => self.initiator_step(now, key, step),
            Err(reason) => self.refuse_message(now, path, reason),
        }
    }

    pub(crate) fn initiator_timeout(&mut self, now: Instant, at: Instant, key: usize) {
        let Some(begun) = self.handshakes.initiators.get_mut(key) else {
            return;
        };
        if begun.armed == Some(at) {
            begun.armed = None;
            let step = begun.initiator.timeout(&mut crate::env!(self, now));
            self.initiator_step(now, key, step);
        }
    }

    pub(crate) fn initiator_key(
        &mut self,
        now: Instant,
        key: usize,
        spi_i: u64,
        token: Token,
        answer: KeAnswer,
    ) {
        let begun = self.handshakes.initiators.get_mut(key);
        if let Some(begun) = begun.filter(|b| b.initiator.spi_i() == spi_i) {
            let mut env = crate::env!(self, now);
            let step = begun.initiator.key_exchanged(&mut env, token, answer);
            self.initiator_step(now, key, step);
        }
    }

    fn initiator_step(&mut self, now: Instant, key: usize, step: Step) {
        self.drive_initiator(key);
        if matches!(step, Step::Continue) {
            return;
        }
        let Some(begun) = self.handshakes.initiators.try_remove(key) else {
            return;
        };
        self.handshakes.by_spi_i.remove(&begun.initiator.spi_i());
        match step {
            Step::Established(sa) => {
                self.handshakes
                    .waits
                    .remove(&begun.initiator.template().id.0);
                self.place_initiated(now, *sa);
            }
            Step::Failed(reason) => {
                self.counters.failures.count(reason);
                self.initiate_again(now, &begun.initiator.template().clone());
            }
            Step::Continue => {}
        }
    }

    fn drive_initiator(&mut self, key: usize) {
        while let Some(begun) = self.handshakes.initiators.get_mut(key) {
            let Some(output) = begun.initiator.poll_output() else {
                break;
            };
            match output {
                Output::Transmit { path, message } => self.transmit(path, &message),
                Output::Ask(token, work) => {
                    let spi_i = begun.initiator.spi_i();
                    let asker = Asker::Initiator { key, spi_i, token };
                    self.ask(asker, Question::KeyExchange(work));
                }
                Output::Retransmitted { .. } => self.counters.retransmits += 1,
                Output::Event(event) => self.event(None, event),
                // A half-open SA has no Child SA and no successor.
                _ => {}
            }
        }
        if let Some(begun) = self.handshakes.initiators.get_mut(key) {
            let at = begun.initiator.next_timeout();
            self.timers
                .arm(&mut begun.armed, at, TimerKey::Initiator(key));
        }
    }
}
