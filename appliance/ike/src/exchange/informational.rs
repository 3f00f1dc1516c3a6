//! INFORMATIONAL (RFC 7296 1.4): liveness and DELETE.

use super::{Exchange, Task};
use crate::child_sa::{ChildSa, ChildState, LINGER};
use crate::ike_sa::{IkeSa, MAX_CHILDREN, SaState};
use crate::io::{Env, Output, ProbeOutcome};
use crate::message::Message;
use crate::payload::{Delete, Notify, Payload};
use crate::registry::{ExchangeType, NotifyType};
use crate::window::{Outstanding, Schedule};
use hawser_flight::{CloseCause, Event};
use std::time::Duration;

impl IkeSa {
    pub(crate) fn begin_probe(&mut self, env: &mut Env<'_>, schedule: Schedule, patient: bool) {
        let message_id = self.send_request(env, ExchangeType::Informational, &[], schedule);
        self.exchange = Some(Exchange::Probe {
            message_id,
            patient,
        });
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

    /// A Child SA is to end. A replaced pair carries what is under way until the peer has confirmed
    /// its DELETE; what ends for good stops now, however long the DELETE has to wait.
    pub(crate) fn end_child(&mut self, spi_in: u32, cause: CloseCause) {
        let in_use = |c: &&mut ChildSa| c.state != ChildState::Deleting;
        if !is_replacement(cause)
            && let Some(child) = self.child_mut(spi_in).filter(in_use)
        {
            child.stop();
            child.removed = true;
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
        self.enqueue(Task::DeleteChild(spi_in, cause));
    }

    pub(crate) fn begin_delete_child(&mut self, env: &mut Env<'_>, spi_in: u32, cause: CloseCause) {
        let Some(child) = self.child_mut(spi_in) else {
            return;
        };
        child.stop();
        self.send_delete_child(env, spi_in);
        self.exchange = Some(Exchange::DeleteChild(spi_in, cause));
    }

    /// The peer has a pair that we have not.
    pub(crate) fn begin_disown(&mut self, env: &mut Env<'_>, spi_in: u32) {
        self.send_delete_child(env, spi_in);
        self.exchange = Some(Exchange::Disown);
    }

    /// The peer sends on a pair that we have not.
    pub(crate) fn begin_report(&mut self, env: &mut Env<'_>, spi: u32) {
        let notify = Notify::status(NotifyType::InvalidSpi, spi.to_be_bytes().to_vec());
        let schedule = self.backoff();
        let payloads = [Payload::Notify(notify)];
        self.send_request(env, ExchangeType::Informational, &payloads, schedule);
        self.exchange = Some(Exchange::ReportSpi);
        self.out
            .push_back(Output::Event(Event::UnknownSpiReported { spi }));
    }

    fn send_delete_child(&mut self, env: &mut Env<'_>, spi_in: u32) {
        let delete = [Payload::Delete(Delete::Esp(vec![spi_in]))];
        let schedule = self.backoff();
        let message_id = self.send_request(env, ExchangeType::Informational, &delete, schedule);
        self.out.push_back(Output::Event(Event::DeleteSent {
            spi: u64::from(spi_in),
            message_id: Some(message_id),
        }));
    }

    /// The peer has answered our DELETE of a Child SA.
    pub(crate) fn child_deleted(&mut self, spi_in: u32, cause: CloseCause) {
        let Some(at) = self.children.iter().position(|c| c.spi_in == spi_in) else {
            return;
        };
        if !self.children.swap_remove(at).removed {
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
        self.remove_children(cause);
        self.queue.push_back(Task::DeleteIke(cause));
    }

    pub(crate) fn send_delete_ike(&mut self, env: &mut Env<'_>, cause: CloseCause) {
        let delete = [Payload::Delete(Delete::Ike)];
        let schedule = self.farewell();
        let message_id = self.send_request(env, ExchangeType::Informational, &delete, schedule);
        self.exchange = Some(Exchange::DeleteIke(cause));
        self.out.push_back(Output::Event(Event::DeleteSent {
            spi: self.local_spi(),
            message_id: Some(message_id),
        }));
    }

    /// AUTH_LIFETIME (RFC 4478 2): the responder of the IKE SA says how long our authentication is good.
    pub(crate) fn note_auth_lifetime(&mut self, env: &Env<'_>, message: &Message) {
        let notify = message.notify(NotifyType::AuthLifetime);
        let seconds = notify.and_then(|n| <[u8; 4]>::try_from(n.data.as_slice()).ok());
        if let Some(seconds) = seconds.map(u32::from_be_bytes).filter(|_| self.leads()) {
            self.reauthenticate_by = Some(env.now + Duration::from_secs(seconds.into()));
            self.out
                .push_back(Output::Event(Event::AuthLifetime { seconds }));
        }
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
        self.note_auth_lifetime(env, request);
        // An initiator that does not accept our IKE_AUTH says so here (RFC 7296 2.21.2).
        let rejected = request.notify(NotifyType::AuthenticationFailed).is_some();
        if rejected || deletes.iter().any(|d| matches!(d, Delete::Ike)) {
            return self.deleted_by_peer(env, request.header.message_id);
        }
        let spis = deletes.iter().flat_map(|delete| match delete {
            Delete::Esp(spis) => spis.as_slice(),
            Delete::Ike | Delete::Ah(_) => &[],
        });
        // More than there can be are not looked at.
        let spis = spis.take(2 * MAX_CHILDREN);
        let answer: Vec<u32> = spis
            .filter_map(|spi_out| {
                self.child_deleted_by_peer(env, *spi_out, Some(request.header.message_id))
            })
            .collect();
        let payloads = if answer.is_empty() {
            Vec::new()
        } else {
            vec![Payload::Delete(Delete::Esp(answer))]
        };
        self.respond(env, ExchangeType::Informational, &payloads);
    }

    /// RFC 7296 1.4.1: both directions go together; the inbound SPI for the answer. A pair that we
    /// are deleting ourselves is not named there (2.25.1).
    pub(crate) fn child_deleted_by_peer(
        &mut self,
        env: &mut Env<'_>,
        spi_out: u32,
        message_id: Option<u32>,
    ) -> Option<u32> {
        self.out.push_back(Output::Event(Event::DeleteReceived {
            spi: u64::from(spi_out),
            message_id,
        }));
        let Some(at) = self.children.iter().position(|c| c.spi_out == spi_out) else {
            self.deleted_early(spi_out);
            return None;
        };
        if self.children[at].state == ChildState::Deleting {
            self.out.push_back(Output::Event(Event::Collision {
                case: "delete child, both",
            }));
            return None;
        }
        let gone = self.children.swap_remove(at);
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
        self.restore_predecessor(env, &gone);
        let spi_in = gone.spi_in;
        self.out.push_back(Output::RemoveChild {
            spi_in,
            cause,
            linger,
        });
        Some(spi_in)
    }

    /// A pair that we do not know (yet): its DELETE may have overtaken the answer that makes it, or
    /// it is still with the SA that this one is going to replace.
    fn deleted_early(&mut self, spi_out: u32) {
        let being_made = matches!(self.exchange, Some(Exchange::Child(_)));
        let expected = being_made || self.state == SaState::Provisional;
        if expected && self.early_deletes.len() < 2 * MAX_CHILDREN {
            self.early_deletes.push(spi_out);
        }
    }

    /// The peer takes back a pair that it made: the one that was replaced stays.
    fn restore_predecessor(&mut self, env: &mut Env<'_>, gone: &ChildSa) {
        let Some(old) = gone.predecessor else {
            return;
        };
        let in_use = |c: &ChildSa| c.state == ChildState::Installed;
        let replaced = |c: &&mut ChildSa| c.state == ChildState::Rekeyed;
        let has_other = self
            .children
            .iter()
            .any(|c| c.predecessor == Some(old) && in_use(c));
        if !has_other && let Some(child) = self.child_mut(old).filter(replaced) {
            child.state = ChildState::Installed;
            child.replaced_until = None;
            self.out.push_back(Output::ActivateOutbound(old));
            self.renew_later(env, old);
        }
    }

    fn deleted_by_peer(&mut self, env: &mut Env<'_>, message_id: u32) {
        let spi = match self.role {
            hawser_flight::Role::Initiator => self.spi_r,
            hawser_flight::Role::Responder => self.spi_i,
        };
        self.out.push_back(Output::Event(Event::DeleteReceived {
            spi,
            message_id: Some(message_id),
        }));
        self.respond(env, ExchangeType::Informational, &[]);
        self.yield_to_peers_rekey();
        let cause = match self.state {
            SaState::Rekeyed => CloseCause::Rekeyed,
            SaState::Provisional => CloseCause::RekeyCollision,
            SaState::Deleting(cause) => cause,
            _ => CloseCause::DeletedByPeer,
        };
        self.close_after_rekey(cause);
    }
}

/// Whether another pair has taken over already.
fn is_replacement(cause: CloseCause) -> bool {
    matches!(cause, CloseCause::Rekeyed | CloseCause::RekeyCollision)
}
