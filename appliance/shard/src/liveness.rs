//! DPD as the case documents it: the configured mode decides when a probe is sent, the device's
//! clocks say whether anything came from it (ESP counts).

use crate::Shard;
use crate::hooks::Trigger;
use crate::io::{CommandId, Output, Reply};
use crate::peer::Peer;
use hawser_flight::Event;
use hawser_ike::IkeSa;
use hawser_ike::ike_sa::SaState;
use hawser_ike::io::ProbeOutcome;
use hawser_ike::window::Schedule;
use hawser_policy::DpdMode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How the older IKE SA of a contest is probed where the template has no DPD.
pub(crate) const CONTEST: Schedule = Schedule::Fixed {
    interval: Duration::from_secs(2),
    retries: 3,
};

/// How long an operator's `ping` waits for the answer.
const PING_WAIT: Duration = Duration::from_secs(8);

/// A device that nothing came from for so long is not shown as up: nothing proves it alive.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(15 * 60);

/// A `ping` that waits for its answer.
pub(crate) struct Ping {
    /// Until when.
    pub(crate) until: Instant,
    id: CommandId,
    /// The IKE SA that is probed.
    spi: u64,
}

/// What became of the probes of a device, and how often it moved: for its policy.
#[derive(Default)]
pub(crate) struct Probing {
    pub(crate) sent: u32,
    pub(crate) lost: u32,
    pub(crate) moves: u32,
    /// Of the last answered one.
    pub(crate) rtt: Option<Duration>,
}

impl Peer {
    /// DPD's retransmissions where the template has it; where a plugin decides, it is asked.
    fn dpd_schedule(&self) -> Option<Schedule> {
        match (&self.policed, self.template.dpd) {
            (Some(_), Some(dpd)) => Some(Schedule::Asked {
                interval: dpd.retry,
            }),
            _ => self.template_schedule(),
        }
    }

    /// DPD's retransmissions where the template has it.
    pub(crate) fn template_schedule(&self) -> Option<Schedule> {
        let dpd = self.template.dpd?;
        Some(Schedule::Fixed {
            interval: dpd.retry,
            retries: dpd.retries,
        })
    }

    /// The newest IKE SA in use.
    pub(crate) fn newest(&self) -> Option<u64> {
        let mut usable = self
            .ike_sas
            .iter()
            .filter(|sa| sa.state() == SaState::Established);
        usable.next_back().map(IkeSa::local_spi)
    }
}

impl Shard {
    /// A new IKE SA of the device, or new settings: periodic probes begin, or end.
    pub(crate) fn start_dpd(&mut self, now: Instant, key: usize) {
        self.police(now, key);
        let policed = self.ask_dpd(now, key, Trigger::Established);
        if let Some(peer) = self.peers.get_mut(key) {
            let dpd = peer.template.dpd.filter(|_| !policed);
            let periodic = dpd.filter(|d| d.mode == DpdMode::Periodic && !peer.ike_sas.is_empty());
            peer.dpd_at = periodic.map(|dpd| now + dpd.interval);
            let audit = peer.template.upkeep.audit;
            let audit = audit.filter(|_| !peer.ike_sas.is_empty());
            peer.audit_at = audit.map(|every| now + every);
        }
    }

    pub(crate) fn periodic_dpd(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if peer.dpd_at.is_some_and(|at| at <= now) {
            peer.dpd_at = peer.template.dpd.map(|dpd| now + dpd.interval);
            // A request that is under way, on whichever of its IKE SAs, is the probe.
            if !peer.ike_sas.iter().any(IkeSa::is_waiting) {
                self.probe_device(now, key);
            }
        }
    }

    /// Tests the newest IKE SA if nothing has come on it for long, whatever DPD says: ESP may flow
    /// while IKE is dead, and the next rekey would be the end. A failure ends nothing.
    pub(crate) fn audit_due(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let Some(every) = peer.template.upkeep.audit else {
            peer.audit_at = None;
            return;
        };
        if peer.audit_at.is_none_or(|at| at > now) {
            return;
        }
        peer.audit_at = Some(now + every);
        let schedule = peer.template_schedule().unwrap_or(CONTEST);
        let Some(sa) = peer.newest().and_then(|spi| peer.ike_sa(spi)) else {
            return;
        };
        let due = sa.last_inbound() + every;
        if due <= now {
            sa.audit(&mut crate::env!(self, now), schedule);
        } else {
            peer.audit_at = Some(due);
        }
    }

    /// An ESP packet is about to be sent to the device: on demand, a probe precedes it when
    /// nothing has come for the interval.
    pub(crate) fn before_send(&mut self, now: Instant, pair: usize) {
        let Some(pair) = self.pairs.get_mut(pair) else {
            return;
        };
        let (key, spi_in) = (pair.peer, pair.spi_in);
        let one_way = pair.unanswered.is_too_long(now);
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.sends(now);
        if one_way {
            self.ask_about_pair(now, key, spi_in);
        }
        self.suspect(now, key);
        if !self.ask_before_send(now, key) {
            self.probe_on_demand(now, key);
        }
    }

    /// The template's rule before a packet.
    pub(crate) fn probe_on_demand(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let Some(dpd) = peer.template.dpd.filter(|d| d.mode == DpdMode::OnDemand) else {
            return;
        };
        let quiet = now.saturating_duration_since(peer.heard);
        if quiet > dpd.interval
            && !peer.ike_sas.iter().any(IkeSa::is_waiting)
            && self.probe_device(now, key)
        {
            self.drive(now, key);
        }
    }

    /// Probes the newest IKE SA in use; an outstanding request is the probe. Says whether a probe
    /// was begun.
    pub(crate) fn probe_device(&mut self, now: Instant, key: usize) -> bool {
        let newest = self.peers.get(key).and_then(Peer::newest);
        newest.is_some_and(|spi| self.probe_patiently(now, key, spi))
    }

    /// Probes an IKE SA as DPD is configured; without DPD as patiently as any request is sent,
    /// for nobody who asks that may end a tunnel early.
    pub(crate) fn probe_patiently(&mut self, now: Instant, key: usize, spi: u64) -> bool {
        let Some(peer) = self.peers.get(key) else {
            return false;
        };
        let patient = Schedule::Backoff(peer.template.retransmission);
        self.probe(now, key, spi, peer.dpd_schedule().unwrap_or(patient))
    }

    /// Probes an IKE SA that another one may have replaced.
    pub(crate) fn probe_sa(&mut self, now: Instant, key: usize, spi: u64) -> bool {
        let schedule = self.peers.get(key).and_then(Peer::template_schedule);
        self.probe(now, key, spi, schedule.unwrap_or(CONTEST))
    }

    /// The caller drives the device.
    pub(crate) fn probe(&mut self, now: Instant, key: usize, spi: u64, schedule: Schedule) -> bool {
        let sa = self.peers.get_mut(key).and_then(|p| p.ike_sa(spi));
        let begun = sa.is_some_and(|sa| sa.probe(&mut crate::env!(self, now), schedule));
        if let Some(peer) = self.peers.get_mut(key).filter(|_| begun) {
            peer.probing.sent = peer.probing.sent.saturating_add(1);
        }
        begun
    }

    /// An operator wants to know whether the device lives.
    pub(crate) fn ping(&mut self, now: Instant, id: CommandId, key: usize) {
        let newest = self.peers.get(key).and_then(Peer::newest);
        let begun = newest.is_some_and(|spi| self.probe_patiently(now, key, spi));
        let peer = self.peers.get_mut(key);
        let asked = |p: &&mut Peer| begun || p.pings.iter().any(|ping| Some(ping.spi) == newest);
        match (peer.filter(asked), newest) {
            (Some(peer), Some(spi)) => peer.pings.push(Ping {
                until: now + PING_WAIT,
                id,
                spi,
            }),
            _ => {
                let why = "no IKE SA to ask on, or another request is under way".to_owned();
                self.out.push_back(Output::Reply(id, Reply::Failed(why)));
            }
        }
        self.drive(now, key);
    }

    /// A probe of an IKE SA has ended.
    pub(crate) fn probed(&mut self, now: Instant, key: usize, spi: u64, outcome: ProbeOutcome) {
        let probing = self.peers.get_mut(key).map(|p| &mut p.probing);
        match outcome {
            ProbeOutcome::Answered(rtt) => {
                if let Some(probing) = probing {
                    probing.rtt = Some(rtt);
                }
                self.ask_dpd(now, key, Trigger::Answered);
                self.counters.probes_answered += 1;
                let rtt_us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
                self.answer_pings(key, &Reply::Pong { rtt_us }, |ping| ping.spi == spi);
            }
            ProbeOutcome::Failed => {
                if let Some(probing) = probing {
                    probing.lost = probing.lost.saturating_add(1);
                }
                self.counters.probes_failed += 1;
                self.pings_over(key, spi, "the peer does not answer");
                let lives = |p: &Peer| {
                    let state = p.find_ike_sa(spi).map(IkeSa::state);
                    state == Some(SaState::Established)
                };
                if self.peers.get(key).is_some_and(lives) {
                    let label = self.peers.get(key).map(|p| Arc::clone(&p.label));
                    self.event(label, Event::AuditFailed);
                }
            }
        }
    }

    /// Nobody will answer the pings on this IKE SA any more.
    pub(crate) fn pings_over(&mut self, key: usize, spi: u64, why: &str) {
        let failed = Reply::Failed(why.to_owned());
        self.answer_pings(key, &failed, |ping| ping.spi == spi);
    }

    pub(crate) fn pings_due(&mut self, now: Instant, key: usize) {
        let failed = Reply::Failed("the peer does not answer".to_owned());
        self.answer_pings(key, &failed, |ping| ping.until <= now);
    }

    fn answer_pings(&mut self, key: usize, reply: &Reply, which: impl Fn(&Ping) -> bool) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        for ping in peer.pings.iter().filter(|p| which(p)) {
            self.out.push_back(Output::Reply(ping.id, reply.clone()));
        }
        peer.pings.retain(|p| !which(p));
    }
}
