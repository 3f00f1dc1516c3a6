//! A probe whose retransmissions somebody else decides ([`Schedule::Asked`]).

use super::Exchange;
use crate::ike_sa::{IkeSa, SaState};
use crate::io::{Env, Output};
use crate::window::{Outstanding, Schedule};
use hawser_flight::{CloseCause, Event};
use std::time::{Duration, Instant};

impl IkeSa {
    /// How often the request that waits for its response was transmitted, and when last. A test
    /// that is never given up does not count.
    pub fn under_way(&self) -> Option<(u8, Instant)> {
        let outstanding = self.outstanding.as_ref().filter(|_| self.is_waiting())?;
        Some((outstanding.attempt.saturating_add(1), outstanding.sent_at))
    }

    /// Whether a probe is under way whose retransmissions are asked for.
    pub fn is_asking(&self) -> bool {
        let asked = self.outstanding.as_ref().is_some_and(Outstanding::is_asked);
        asked && matches!(self.exchange, Some(Exchange::Probe { .. }))
    }

    /// An answer to [`Output::ProbeUnanswered`]: the probe is sent again, and asked about again
    /// after `interval`.
    pub fn probe_again(&mut self, env: &mut Env<'_>, interval: Duration) {
        if self.is_asking()
            && let Some(outstanding) = &mut self.outstanding
        {
            outstanding.again(Schedule::Asked { interval }, env);
            self.retransmitted();
        }
    }

    /// An answer to [`Output::ProbeUnanswered`]: the probe is asked about again at `at`, unless it
    /// is answered before.
    pub fn probe_later(&mut self, at: Instant) {
        if self.is_asking()
            && let Some(outstanding) = &mut self.outstanding
        {
            outstanding.next_at = at;
        }
    }

    /// The probe goes on by a schedule that asks nobody, as if it had been sent by it.
    pub fn probe_unasked(&mut self, env: &mut Env<'_>, schedule: Schedule) {
        if self.is_asking()
            && let Some(outstanding) = &mut self.outstanding
        {
            outstanding.follow(schedule, env);
            self.timeout(env);
        }
    }

    /// Somebody else has decided that the peer is dead: the SA ends as after a probe that was never
    /// answered. A probe that is under way goes on if the device has proved alive since.
    pub fn presume_dead(&mut self, env: &mut Env<'_>) {
        if self.is_asking() {
            if !self.goes_on(env) {
                self.give_up();
            }
        } else if self.state == SaState::Established {
            self.yield_to_peers_rekey();
            self.park(CloseCause::DpdTimeout);
        }
    }

    /// Transmits the outstanding request again and says so.
    pub(crate) fn retransmitted(&mut self) {
        self.ask_again_at(self.path);
        let Some(outstanding) = &self.outstanding else {
            return;
        };
        let attempt = outstanding.attempt;
        self.out.push_back(Output::Retransmitted { attempt });
        let event = Event::Retransmitted {
            exchange: outstanding.exchange,
            message_id: outstanding.message_id,
            attempt,
        };
        self.out.push_back(Output::Event(event));
    }
}
