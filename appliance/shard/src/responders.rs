//! Half-open SAs that peers begin: IKE_SA_INIT and IKE_AUTH as responder.

use crate::Shard;
use crate::asks::Asker;
use crate::io::{KeAnswer, Question};
use crate::timers::TimerKey;
use hawser_flight::{Event, HandshakeFailure, MessageError, Path, Role};
use hawser_ike::handshake::responder::{AuthOutcome, InitRefusal, Responder};
use hawser_ike::handshake::{init_notify, unsupported_critical};
use hawser_ike::header::Header;
use hawser_ike::message::Message;
use hawser_ike::payload::Notify;
use hawser_ike::registry::NotifyType;
use hawser_policy::CookieMode;
use slab::Slab;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// When the answer to IKE_SA_INIT is sent once more, unasked, to who begins on port 4500 or where a device of ours is.
///
/// strongSwan sends the request of a reauthentication before it can find its new IKE SA: an answer that comes within a
/// millisecond is lost on it, and it asks again after 4 s.
const UNHEARD: Duration = Duration::from_millis(150);

/// Half-open SAs that peers began, until their time is up.
#[derive(Default)]
pub(crate) struct Responders {
    slab: Slab<HalfOpen>,
    by_init: HashMap<(u64, SocketAddr), usize>,
    by_spi_r: HashMap<u64, usize>,
    finished: usize,
}

struct HalfOpen {
    responder: Responder,
    /// It has become an IKE SA. It is kept so that its IKE_SA_INIT, coming late once more, does
    /// not begin another.
    finished: bool,
    /// When it ends.
    ends: Instant,
    /// When the answer is sent once more.
    again: Option<Instant>,
    armed: Option<Instant>,
}

impl Responders {
    pub(crate) fn half_open(&self) -> usize {
        self.slab.len() - self.finished
    }

    pub(crate) fn by_spi(&self, spi_r: u64) -> Option<usize> {
        self.by_spi_r.get(&spi_r).copied()
    }

    pub(crate) fn of_spi(&self, spi_r: u64) -> Option<&Responder> {
        self.slab.get(self.by_spi(spi_r)?).map(|h| &h.responder)
    }

    /// Whether it has become an IKE SA, and this begins another with the same SPI.
    fn is_over(&self, key: usize, datagram: &[u8]) -> bool {
        let half_open = self.slab.get(key);
        half_open.is_none_or(|h| h.finished && !h.responder.began_with(datagram))
    }

    fn finish(&mut self, key: usize) {
        if let Some(half_open) = self.slab.get_mut(key).filter(|h| !h.finished) {
            half_open.finished = true;
            self.finished += 1;
            self.by_spi_r.remove(&half_open.responder.spi_r);
        }
    }

    /// The IKE SA that it became was refused: should its peer ask again, it gets the same answer.
    pub(crate) fn refused(&mut self, key: usize, spi_r: u64, answer: Vec<Vec<u8>>) {
        let half_open = self.slab.get_mut(key);
        if let Some(half_open) = half_open.filter(|h| h.responder.spi_r == spi_r) {
            half_open.responder.refused(answer);
            self.by_spi_r.insert(spi_r, key);
        }
    }

    fn remove(&mut self, key: usize) -> Option<HalfOpen> {
        let gone = self.slab.try_remove(key)?;
        let responder = &gone.responder;
        self.by_init
            .remove(&(responder.spi_i, responder.path.remote));
        self.by_spi_r.remove(&responder.spi_r);
        self.finished -= usize::from(gone.finished);
        Some(gone)
    }
}

impl Shard {
    pub(crate) fn init_request(
        &mut self,
        now: Instant,
        path: Path,
        header: &Header,
        datagram: &[u8],
    ) {
        let sound = header.message_id == 0 && header.flags.initiator && header.spi_i != 0;
        if !sound || self.stage.is_ending() {
            return self.refuse_message(now, path, MessageError::BadExchange);
        }
        let begun = self.responders.by_init.get(&(header.spi_i, path.remote));
        if let Some(key) = begun.copied() {
            if !self.responders.is_over(key, datagram) {
                return self.repeated_init(now, key, path, datagram);
            }
            self.drop_responder(key);
        }
        let request = match Message::parse_clear(datagram) {
            Ok(request) => request,
            Err(reason) => {
                let answer = unsupported_critical(datagram).filter(|_| self.gate.may_complain(now));
                if let Some(answer) = answer {
                    self.transmit(path, &answer);
                }
                return self.refuse_message(now, path, reason);
            }
        };
        if let Err(reason) = self.check_cookie(now, path, &request) {
            return self.refuse_message(now, path, reason);
        }
        // Only after the cookie: a spoofed source must not use up the rate of a real one.
        let limits = &self.policy.admission;
        let (rate, most) = (limits.source_rate, limits.max_half_open as usize);
        if !self.gate.admit(now, path.remote.ip(), rate) {
            return self.refuse_message(now, path, MessageError::RateLimited);
        }
        if self.responders.half_open() >= most {
            let reason = HandshakeFailure::HalfOpenLimit;
            self.counters.failures.count(reason);
            return self.refuse_message(now, path, MessageError::HalfOpenLimit);
        }
        self.begin_responder(now, path, &request, datagram);
    }

    fn repeated_init(&mut self, now: Instant, key: usize, path: Path, datagram: &[u8]) {
        let Some(responder) = self.responders.slab.get(key).map(|h| &h.responder) else {
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
            CookieMode::Threshold(n) => self.responders.half_open() >= n as usize,
        };
        if !demanded {
            return Ok(());
        }
        let nonce = request.nonce().ok_or(MessageError::PayloadRules)?;
        let spi_i = request.header.spi_i;
        let given = request.notify(NotifyType::Cookie);
        let (jar, rng) = (&mut self.cookies, &mut self.rng);
        if given.is_some_and(|c| jar.check(now, rng, path.remote, spi_i, nonce, &c.data)) {
            return Ok(());
        }
        let cookie = jar.make(now, rng, path.remote, spi_i, nonce);
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
                let key = self.responders.slab.insert(HalfOpen {
                    responder,
                    finished: false,
                    ends: now + self.policy.admission.half_open_timeout,
                    again: None,
                    armed: None,
                });
                self.responders.by_init.insert((spi_i, path.remote), key);
                self.responders.by_spi_r.insert(spi_r, key);
                self.arm_responder(key);
                self.peer_begins(now, path.remote);
                let asker = Asker::Responder { key, spi_r };
                self.ask(now, asker, Question::KeyExchange(work));
            }
            Err(InitRefusal::Silent(reason)) => self.refuse_message(now, path, reason),
            Err(InitRefusal::Demand(reply)) => self.transmit(path, &reply),
            Err(InitRefusal::Reply(reply, reason)) => {
                self.transmit(path, &reply);
                self.handshake_failed(now, path, None, reason);
            }
        }
    }

    fn arm_responder(&mut self, key: usize) {
        if let Some(half_open) = self.responders.slab.get_mut(key) {
            let at = half_open.again.unwrap_or(half_open.ends);
            let timer = TimerKey::Responder(key);
            self.timers.arm(&mut half_open.armed, Some(at), timer);
        }
    }

    fn drop_responder(&mut self, key: usize) {
        if let Some(mut gone) = self.responders.remove(key) {
            let timer = TimerKey::Responder(key);
            self.timers.arm(&mut gone.armed, None, timer);
        }
    }

    /// Half-open SAs end without a word: the shard shuts down.
    pub(crate) fn drop_responders(&mut self) {
        let keys: Vec<usize> = self.responders.slab.iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.drop_responder(key));
    }

    /// Counts a handshake of a peer that failed; the record of it is at a bounded rate.
    pub(crate) fn handshake_failed(
        &mut self,
        now: Instant,
        path: Path,
        claimed_identity: Option<String>,
        reason: HandshakeFailure,
    ) {
        self.counters.failures.count(reason);
        if !self.gate.may_record_failure(now) {
            return;
        }
        let event = Event::HandshakeFailed {
            role: Role::Responder,
            path,
            claimed_identity,
            reason,
        };
        self.event(None, event);
    }

    pub(crate) fn responder_key(&mut self, now: Instant, key: usize, spi_r: u64, answer: KeAnswer) {
        let half_open = self.responders.slab.get_mut(key);
        let half_open = half_open.filter(|h| h.responder.spi_r == spi_r);
        let (Some(half_open), KeAnswer::Responded(result)) = (half_open, answer) else {
            return;
        };
        let path = half_open.responder.path;
        match half_open.responder.key_exchanged(result) {
            Ok(response) => {
                // What begins on port 4500 has been here before: it knows of the NAT.
                let known = path.encapsulated
                    || self.reviving.is_at(path.remote.ip())
                    || self.index.at_home(path.remote).is_some();
                half_open.again = known.then(|| now + UNHEARD);
                self.arm_responder(key);
                self.transmit(path, &response);
            }
            Err(reason) => {
                self.drop_responder(key);
                self.handshake_failed(now, path, None, reason);
            }
        }
    }

    pub(crate) fn responder_message(
        &mut self,
        now: Instant,
        key: usize,
        path: Path,
        message: &[u8],
    ) {
        let Some(half_open) = self.responders.slab.get_mut(key) else {
            return;
        };
        let (mut env, mut message) = (crate::env!(self, now), message.to_vec());
        let outcome = half_open
            .responder
            .auth(&mut env, path, &mut message, &self.policy);
        match outcome {
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
                self.handshake_failed(now, path, claimed, reason);
            }
            AuthOutcome::Authenticated(sa, request) => {
                self.responders.finish(key);
                self.place(now, key, sa, request);
            }
        }
    }

    /// Says whether the answer to IKE_SA_INIT was sent once more, for nothing has come of it.
    fn answer_once_more(&mut self, now: Instant, key: usize) -> bool {
        let Some(half_open) = self.responders.slab.get_mut(key) else {
            return false;
        };
        if half_open.again.take_if(|at| *at <= now).is_none() {
            return false;
        }
        let waits = !half_open.finished && !half_open.responder.is_refused();
        let answer = half_open.responder.init_response().filter(|_| waits);
        let (path, answer) = (half_open.responder.path, answer.map(<[u8]>::to_vec));
        if let Some(answer) = answer {
            self.transmit(path, &answer);
        }
        self.arm_responder(key);
        true
    }

    /// A half-open SA was not completed in time (or is the memory of one that was, or was refused).
    pub(crate) fn responder_timeout(&mut self, now: Instant, key: usize) {
        if let Some(half_open) = self.responders.slab.get_mut(key) {
            half_open.armed = None;
        }
        if self.answer_once_more(now, key) {
            return;
        }
        if let Some(half_open) = self.responders.remove(key)
            && !half_open.finished
            && !half_open.responder.is_refused()
        {
            let path = half_open.responder.path;
            self.handshake_failed(now, path, None, HandshakeFailure::Timeout);
        }
    }
}
