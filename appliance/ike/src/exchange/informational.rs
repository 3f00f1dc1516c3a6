//! INFORMATIONAL (RFC 7296 1.4): liveness and DELETE.

use super::{Exchange, Task};
use crate::child_sa::{ChildState, LINGER};
use crate::ike_sa::{IkeSa, SaState};
use crate::io::{Env, Output, ProbeOutcome};
use crate::message::Message;
use crate::payload::{Delete, Payload};
use crate::registry::{ExchangeType, NotifyType};
use crate::window::{Outstanding, Schedule};
use hawser_flight::{CloseCause, Event};
use std::time::Duration;

impl IkeSa {
    pub(crate) fn begin_probe(&mut self, env: &mut Env<'_>, schedule: Schedule) {
        let message_id = self.send_request(env, ExchangeType::Informational, &[], schedule);
        self.exchange = Some(Exchange::Probe { message_id });
        self.out
            .push_back(Output::Event(Event::ProbeSent { message_id }));
    }

    pub(crate) fn probe_answered(
        &mut self,
        env: &Env<'_>,
        message_id: u32,
        outstanding: Option<&Outstanding>,
    ) {
        let rtt = outstanding.map_or(Duration::ZERO, |o| env.now - o.sent_at);
        let rtt_us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
        self.out
            .push_back(Output::Event(Event::ProbeAnswered { message_id, rtt_us }));
        self.out
            .push_back(Output::Probed(ProbeOutcome::Answered(rtt)));
    }

    pub(crate) fn begin_delete_child(&mut self, env: &mut Env<'_>, spi_in: u32, cause: CloseCause) {
        let Some(child) = self
            .child_mut(spi_in)
            .filter(|c| c.state != ChildState::Deleting)
        else {
            return;
        };
        child.state = ChildState::Deleting;
        (child.rekey_at, child.expire_at, child.activate_at) = (None, None, None);
        // A replaced pair carries what is under way until the peer has confirmed; what ends for
        // good stops now.
        if !is_replacement(cause) {
            let linger = if cause == CloseCause::Expired {
                Duration::ZERO
            } else {
                LINGER
            };
            self.out.push_back(Output::RemoveChild {
                spi_in,
                cause,
                linger,
            });
        }
        let delete = [Payload::Delete(Delete::Esp(vec![spi_in]))];
        let schedule = self.backoff();
        self.send_request(env, ExchangeType::Informational, &delete, schedule);
        self.exchange = Some(Exchange::DeleteChild(spi_in, cause));
        self.out.push_back(Output::Event(Event::DeleteSent {
            spi: u64::from(spi_in),
        }));
    }

    /// The peer has answered our DELETE of a Child SA.
    pub(crate) fn child_deleted(&mut self, spi_in: u32, cause: CloseCause) {
        self.children.retain(|c| c.spi_in != spi_in);
        if is_replacement(cause) {
            self.out.push_back(Output::RemoveChild {
                spi_in,
                cause,
                linger: LINGER,
            });
        }
    }

    /// From here on the IKE SA only waits for its end.
    pub(crate) fn begin_delete(&mut self, cause: CloseCause) {
        self.state = SaState::Deleting(cause);
        self.queue.clear();
        self.deferred.clear();
        (self.rekey_at, self.expire_at) = (None, None);
        for child in std::mem::take(&mut self.children) {
            let (spi_in, linger) = (child.spi_in, Duration::ZERO);
            self.out.push_back(Output::RemoveChild {
                spi_in,
                cause,
                linger,
            });
        }
        self.queue.push_back(Task::DeleteIke(cause));
    }

    pub(crate) fn send_delete_ike(&mut self, env: &mut Env<'_>, cause: CloseCause) {
        let delete = [Payload::Delete(Delete::Ike)];
        let schedule = self.backoff();
        self.send_request(env, ExchangeType::Informational, &delete, schedule);
        self.exchange = Some(Exchange::DeleteIke(cause));
        self.out.push_back(Output::Event(Event::DeleteSent {
            spi: self.local_spi(),
        }));
    }

    pub(crate) fn informational_request(&mut self, env: &mut Env<'_>, request: &Message) {
        let deletes: Vec<Delete> = request.deletes().cloned().collect();
        for notify in request
            .notifies()
            .filter(|n| n.kind == NotifyType::InvalidSpi)
        {
            if let Ok(spi) = <[u8; 4]>::try_from(notify.data.as_slice()) {
                let spi = u32::from_be_bytes(spi);
                self.out
                    .push_back(Output::Event(Event::InvalidSpiHint { spi }));
            }
        }
        if deletes.iter().any(|d| matches!(d, Delete::Ike)) {
            return self.deleted_by_peer(env);
        }
        let mut answer = Vec::new();
        for delete in &deletes {
            if let Delete::Esp(spis) = delete {
                spis.iter()
                    .for_each(|spi_out| self.child_deleted_by_peer(*spi_out, &mut answer));
            }
        }
        let payloads = if answer.is_empty() {
            Vec::new()
        } else {
            vec![Payload::Delete(Delete::Esp(answer))]
        };
        self.respond(env, ExchangeType::Informational, &payloads);
    }

    /// RFC 7296 1.4.1: both directions go together. A pair that we are deleting ourselves is not
    /// named in the answer (2.25.1).
    fn child_deleted_by_peer(&mut self, spi_out: u32, answer: &mut Vec<u32>) {
        self.out.push_back(Output::Event(Event::DeleteReceived {
            spi: u64::from(spi_out),
        }));
        let Some(at) = self.children.iter().position(|c| c.spi_out == spi_out) else {
            return;
        };
        let gone = self.children[at].clone();
        if gone.state == ChildState::Deleting {
            self.out.push_back(Output::Event(Event::Collision {
                case: "delete child, both",
            }));
            return;
        }
        self.children.swap_remove(at);
        answer.push(gone.spi_in);
        // Whoever deletes the predecessor has the successor.
        let successors: Vec<u32> = self
            .children
            .iter()
            .filter(|c| c.predecessor == Some(gone.spi_in) && c.state == ChildState::Installed)
            .map(|c| c.spi_in)
            .collect();
        for spi_in in &successors {
            self.inbound_seen(*spi_in);
        }
        let (cause, linger) = if successors.is_empty() && gone.state == ChildState::Installed {
            (CloseCause::DeletedByPeer, Duration::ZERO)
        } else {
            (CloseCause::Rekeyed, LINGER)
        };
        let spi_in = gone.spi_in;
        self.out.push_back(Output::RemoveChild {
            spi_in,
            cause,
            linger,
        });
    }

    fn deleted_by_peer(&mut self, env: &mut Env<'_>) {
        let spi = match self.role {
            hawser_flight::Role::Initiator => self.spi_r,
            hawser_flight::Role::Responder => self.spi_i,
        };
        self.out
            .push_back(Output::Event(Event::DeleteReceived { spi }));
        self.respond(env, ExchangeType::Informational, &[]);
        // The peer finished its half of a simultaneous rekey and our answer is still out: the
        // Child SAs live on in the SA that it made (RFC 7296 2.25.2).
        if let Some(Exchange::RekeyIke(x)) = &self.exchange
            && let Some(collision) = &x.collision
        {
            self.bequeath(collision.successor);
        }
        let cause = match self.state {
            SaState::Rekeyed => CloseCause::Rekeyed,
            SaState::Provisional => CloseCause::RekeyCollision,
            SaState::Deleting(cause) => cause,
            _ => CloseCause::DeletedByPeer,
        };
        self.close(cause);
    }
}

/// Whether another pair has taken over already.
fn is_replacement(cause: CloseCause) -> bool {
    matches!(cause, CloseCause::Rekeyed | CloseCause::RekeyCollision)
}
