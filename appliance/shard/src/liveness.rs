//! DPD as the case documents it: the configured mode decides when a probe is sent, the device's
//! clocks say whether anything came from it (ESP counts).

use crate::Shard;
use crate::io::{CommandId, Output, Reply};
use crate::timers::TimerKey;
use hawser_ike::IkeSa;
use hawser_ike::ike_sa::SaState;
use hawser_ike::window::Schedule;
use hawser_policy::{DpdMode, DpdSettings};
use std::time::{Duration, Instant};

/// How an operator's `ping`, and a probe that settles something, is retransmitted where the
/// template has no DPD.
const PROBE: Schedule = Schedule::Fixed {
    interval: Duration::from_secs(2),
    retries: 3,
};

fn schedule(dpd: Option<&DpdSettings>) -> Schedule {
    dpd.map_or(PROBE, |d| Schedule::Fixed {
        interval: d.retry,
        retries: d.retries,
    })
}

impl Shard {
    /// A new IKE SA of the device: periodic probes begin.
    pub(crate) fn start_dpd(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.dpd_at = match peer.template.dpd {
            Some(DpdSettings {
                mode: DpdMode::Periodic,
                interval,
                ..
            }) => Some(now + interval),
            _ => None,
        };
    }

    pub(crate) fn periodic_dpd(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let (Some(dpd), Some(at)) = (peer.template.dpd, peer.dpd_at) else {
            return;
        };
        if at <= now {
            peer.dpd_at = Some(now + dpd.interval);
            self.probe_device(now, key);
        }
    }

    /// An ESP packet is about to be sent to the device: on demand, a probe precedes it when
    /// nothing has come for the interval.
    pub(crate) fn before_send(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let Some(dpd) = peer.template.dpd.filter(|d| d.mode == DpdMode::OnDemand) else {
            return;
        };
        let quiet = now.saturating_duration_since(peer.heard);
        if quiet > dpd.interval && !peer.ike_sas.iter().any(IkeSa::is_waiting) {
            self.probe_device(now, key);
            self.drive(now, key);
        }
    }

    /// Probes the newest IKE SA in use; an outstanding request is the probe.
    pub(crate) fn probe_device(&mut self, now: Instant, key: usize) {
        let newest = self.peers.get(key).and_then(|p| {
            let mut usable = p
                .ike_sas
                .iter()
                .filter(|sa| sa.state() == SaState::Established);
            usable.next_back().map(IkeSa::local_spi)
        });
        if let Some(spi) = newest {
            self.probe_sa(now, key, spi);
        }
    }

    /// Probes this IKE SA; says whether a probe was begun.
    pub(crate) fn probe_sa(&mut self, now: Instant, key: usize, spi: u64) -> bool {
        let Some(peer) = self.peers.get_mut(key) else {
            return false;
        };
        let schedule = schedule(peer.template.dpd.as_ref());
        let Some(sa) = peer.ike_sa(spi) else {
            return false;
        };
        let begun = sa.probe(&mut crate::env!(self, now), schedule);
        // Its outputs are drained with the device's; a call from within that is harmless.
        self.timers.at(now, TimerKey::Peer(key));
        if let Some(peer) = self.peers.get_mut(key) {
            peer.armed = Some(now);
        }
        begun
    }

    /// An operator wants to know whether the device lives.
    pub(crate) fn ping(&mut self, now: Instant, id: CommandId, key: usize) {
        let newest = self
            .peers
            .get(key)
            .and_then(|p| p.ike_sas.last().map(IkeSa::local_spi));
        let begun = newest.is_some_and(|spi| self.probe_sa(now, key, spi));
        let probing = self.peers.get(key).is_some_and(|p| !p.pings.is_empty());
        if let Some(peer) = self.peers.get_mut(key).filter(|_| begun || probing) {
            peer.pings.push(id);
        } else {
            let why = "no IKE SA to ask on, or another request is under way".to_owned();
            self.out.push_back(Output::Reply(id, Reply::Failed(why)));
        }
        self.drive(now, key);
    }
}
