//! What an IKE SA is after it has ended, or would have: parked, or the memory of one that was
//! deleted.
//!
//! RFC 7296 2.4 lets either side conclude that the other has failed, and says nothing of a peer
//! that never noticed. A parked SA keeps keys, Message IDs, windows and the request that was never
//! answered: it goes on where it stopped.

use crate::exchange::{Exchange, Task};
use crate::header::Header;
use crate::ike_sa::{IkeSa, SaState};
use crate::io::{Env, Output};
use crate::payload::{Delete, Payload, parse_chain};
use crate::protect::{self, Opened};
use crate::registry::ExchangeType;
use crate::window::{Arrival, Schedule};
use hawser_flight::{CloseCause, Event, MessageError, Path, Role};
use hawser_policy::PeerTemplate;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a test is sent again that is never given up.
const TEST: Schedule = Schedule::Fixed {
    interval: Duration::from_secs(60),
    retries: 1,
};

/// How often a request is sent again while only ESP proves the peer alive.
const VOUCHED: Schedule = Schedule::Fixed {
    interval: Duration::from_secs(10),
    retries: 1,
};

impl IkeSa {
    /// The device has proved alive at this time otherwise, by ESP on a Child SA of this IKE SA: a
    /// request sent before that is not given up.
    pub fn vouch(&mut self, at: Instant) {
        self.vouched = Some(at);
    }

    /// Tests the peer, unless a request is already under way. Unlike [`IkeSa::probe`] it is never
    /// given up: it is sent again slowly until it is answered, or until something else is to be
    /// asked. Says whether it was begun.
    pub fn audit(&mut self, env: &mut Env<'_>, schedule: Schedule) -> bool {
        let usable = self.state == SaState::Established;
        if !usable || self.exchange.is_some() || self.outstanding.is_some() {
            return false;
        }
        self.begin_probe(env, schedule, true);
        true
    }

    /// Sends the request that is under way once more; a test from then on by this schedule.
    pub fn test_again(&mut self, env: &mut Env<'_>, schedule: Schedule) {
        if self.is_patient() {
            self.ask_anew(env, schedule);
        } else {
            self.ask_again_at(self.path);
        }
    }

    /// Whether the outstanding request is a test that is never given up.
    pub(crate) fn is_patient(&self) -> bool {
        matches!(self.exchange, Some(Exchange::Probe { patient: true, .. }))
    }

    /// The test that is under way becomes a request as any other: more depends on it now.
    pub(crate) fn lose_patience(&mut self, env: &mut Env<'_>, schedule: Schedule) {
        if let Some(Exchange::Probe { patient, .. }) = &mut self.exchange {
            *patient = false;
        }
        self.ask_anew(env, schedule);
    }

    /// Transmits the outstanding request as if for the first time.
    fn ask_anew(&mut self, env: &mut Env<'_>, schedule: Schedule) {
        let Some(outstanding) = &mut self.outstanding else {
            return;
        };
        outstanding.begin_anew(env, schedule);
        self.ask_again_at(self.path);
    }

    /// Sends the request that is under way once more, to where the peer may be.
    pub fn ask_again_at(&mut self, path: Path) {
        let outstanding = self.outstanding.iter();
        let messages = outstanding.flat_map(|o| o.datagrams.iter().cloned());
        let messages = messages.map(|message| Output::Transmit { path, message });
        self.out.extend(messages);
    }

    /// The outstanding request has not been answered. Whether it goes on all the same: it is a
    /// test only, or the device has proved alive since.
    pub(crate) fn goes_on(&mut self, env: &mut Env<'_>) -> bool {
        let patient = self.is_patient();
        let Some(outstanding) = &mut self.outstanding else {
            return false;
        };
        let vouched = self.vouched.is_some_and(|at| at > outstanding.begun_at);
        if self.state != SaState::Established || !(patient || vouched) {
            return false;
        }
        let told = outstanding.is_persistent();
        outstanding.persist(env, if patient { TEST } else { VOUCHED });
        if let Some(Exchange::Probe { message_id, .. }) = self.exchange
            && !told
        {
            self.out
                .push_back(Output::Event(Event::ProbeFailed { message_id }));
            self.out
                .push_back(Output::Probed(crate::io::ProbeOutcome::Failed));
        }
        true
    }

    /// Given up, but not forgotten: everything stays as it is, and no time passes for it.
    pub(crate) fn park(&mut self, cause: CloseCause) {
        self.state = SaState::Parked;
        // The peer sends that request again.
        self.answering = None;
        self.inbox.answering = None;
        self.out.push_back(Output::Parked(cause));
    }

    /// The peer of a parked SA lives: the SA goes on, with the request that it waited for, by this schedule.
    pub fn resurrect(&mut self, env: &mut Env<'_>, schedule: Schedule) {
        if self.state != SaState::Parked {
            return;
        }
        self.state = SaState::Established;
        self.last_inbound = env.now;
        self.ask_anew(env, schedule);
        self.pump(env);
    }

    /// Whether a datagram for this SA, which has ended or is parked, is an authentic message of
    /// the peer that was not seen before: its next request, or the response that is waited for.
    /// Nothing changes.
    pub fn opens(&self, header: &Header, datagram: &[u8]) -> bool {
        let from_initiator = self.role == Role::Responder;
        let ours =
            header.flags.initiator == from_initiator && (header.spi_i, header.spi_r) == self.spis();
        let expected = if header.flags.response {
            let waits = self.outstanding.as_ref().map(|o| o.message_id);
            self.state == SaState::Parked && waits == Some(header.message_id)
        } else {
            self.inbox.arrival(header.message_id) == Arrival::New
        };
        ours && expected && protect::open(&mut datagram.to_vec(), &self.keys.inbound).is_ok()
    }

    /// A datagram for an SA that has ended or is parked: the last request, sent again, is answered
    /// again, and a DELETE is confirmed. Anything else is for [`IkeSa::opens`].
    pub(crate) fn posthumous(
        &mut self,
        env: &mut Env<'_>,
        path: Path,
        header: &Header,
        datagram: &mut Vec<u8>,
    ) -> Result<(), MessageError> {
        if header.flags.response {
            return Err(MessageError::UnknownIkeSpi);
        }
        match self.inbox.arrival(header.message_id) {
            Arrival::Retransmitted => self.answer_again(path, datagram),
            Arrival::New if self.state == SaState::Closed => {
                let (_, opened) = protect::open(datagram, &self.keys.inbound)?;
                let Opened::Whole { first, body } = opened else {
                    return Err(MessageError::UnknownIkeSpi);
                };
                let payloads = parse_chain(first, &body).unwrap_or_default();
                let is_delete = |p: &Payload| matches!(p, Payload::Delete(Delete::Ike));
                if !payloads.iter().any(is_delete) {
                    return Err(MessageError::UnknownIkeSpi);
                }
                self.inbox.answering = Some(path);
                self.respond(env, ExchangeType::Informational, &[]);
                Ok(())
            }
            _ => Err(MessageError::UnknownIkeSpi),
        }
    }

    /// When the outstanding request was first sent, if there is one.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.outstanding.as_ref().map(|o| o.begun_at)
    }

    /// Says once more that this SA has ended, if the peer has never confirmed that.
    pub fn repeat_farewell(&mut self, path: Path) {
        for message in self.unconfirmed_delete.clone() {
            self.out.push_back(Output::Transmit { path, message });
        }
    }

    /// Since when every CREATE_CHILD_SA of the peer has been put off with TEMPORARY_FAILURE.
    pub fn refusing_since(&self) -> Option<Instant> {
        self.refusing
    }

    /// Other settings govern it from now on; the Child SAs that were templates of it by an index are so by
    /// `places` of that. Says no while something is under way that refers to the old ones.
    pub fn change_template(&mut self, template: &Arc<PeerTemplate>, places: &[usize]) -> bool {
        let creates = |task: &Task| matches!(task, Task::CreateChild(_));
        let deferred = self.deferred.iter().map(|(_, task)| task);
        let busy = self.answering.is_some()
            || matches!(
                self.exchange,
                Some(Exchange::Child(_) | Exchange::RekeyIke(_))
            )
            || self.queue.iter().chain(deferred).any(creates);
        if busy || self.state != SaState::Established {
            return false;
        }
        for child in &mut self.children {
            if let Some(place) = places.get(child.child) {
                child.child = *place;
            }
        }
        self.template = Arc::clone(template);
        true
    }

    /// The settings that govern it from now on; the Child SAs that it has are templates of it by
    /// the same index.
    pub fn set_template(&mut self, template: Arc<PeerTemplate>) {
        self.template = template;
    }
}
