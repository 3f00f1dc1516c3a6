//! A parked IKE SA that goes on while another one of its device is in use.
//!
//! What brought it back is authentic and new, but it may be late: somebody may have held it back, and send it from
//! where he likes. Only the answer to a request that was first sent since proves that the peer has this IKE SA. Until
//! then the device stays where it is and is sent to on what it has; afterwards it has left that.

use crate::Shard;
use crate::liveness::CONTEST;
use crate::peer::Peer;
use hawser_flight::Path;
use hawser_ike::IkeSa;
use hawser_ike::ike_sa::SaState;
use hawser_ike::window::Schedule;
use std::time::Instant;

/// An IKE SA that has not proved itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial {
    /// Its local SPI.
    spi: u64,
    /// Since when.
    since: Instant,
}

impl Peer {
    /// How a parked IKE SA that goes on asks: beside another one it is not waited for long.
    pub(crate) fn resurrection_schedule(&self) -> Schedule {
        if self.has_usable_ike_sa() {
            CONTEST
        } else {
            Schedule::Backoff(self.template.retransmission)
        }
    }

    /// A parked IKE SA goes on: beside another one on trial.
    pub(crate) fn resume(&mut self, now: Instant, sa: IkeSa) {
        if self.has_usable_ike_sa() {
            self.trial = Some(Trial {
                spi: sa.local_spi(),
                since: now,
            });
            // The newest is the last one.
            self.ike_sas.insert(0, sa);
        } else {
            self.ike_sas.push(sa);
        }
    }

    pub(crate) fn is_on_trial(&self, spi: u64) -> bool {
        self.trial.is_some_and(|trial| trial.spi == spi)
    }
}

impl Shard {
    /// Something new has come on an IKE SA, from there.
    pub(crate) fn judge_trial(&mut self, now: Instant, key: usize, spi: u64, path: &Path) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let Some(trial) = peer.trial.filter(|trial| trial.spi == spi) else {
            return;
        };
        let answered = |sa: &IkeSa| sa.has_answered_since(trial.since);
        if !peer.find_ike_sa(spi).is_some_and(answered) {
            self.probe_sa(now, key, spi);
            return;
        }
        let established = |sa: &&IkeSa| sa.state() == SaState::Established;
        let mut others = peer.ike_sas.iter().filter(established);
        let overtaken = others.any(|sa| sa.created() > trial.since);
        peer.trial = None;
        if !overtaken {
            self.pass_trial(key, spi);
            self.supersede(now, key, spi, path, false);
        }
    }

    /// An IKE SA has ended: one on trial that is alone now is all that the device has.
    pub(crate) fn trial_alone(&mut self, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let Some(trial) = peer.trial else {
            return;
        };
        let usable = |sa: &IkeSa| sa.state() == SaState::Established;
        if !peer.find_ike_sa(trial.spi).is_some_and(usable) {
            peer.trial = None;
        } else if peer.ike_sas.iter().filter(|sa| usable(sa)).count() == 1 {
            peer.trial = None;
            self.pass_trial(key, trial.spi);
        }
    }

    /// It is the newest, and what it has is sent on.
    fn pass_trial(&mut self, key: usize, spi: u64) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if let Some(at) = peer.ike_sas.iter().position(|sa| sa.local_spi() == spi) {
            let sa = peer.ike_sas.remove(at);
            peer.ike_sas.push(sa);
        }
        let pairs = peer.pairs.iter().filter_map(|at| self.pairs.get(*at));
        let own = pairs.filter(|pair| pair.ike_spi == spi);
        let own: Vec<u32> = own.map(|pair| pair.spi_in).collect();
        for spi_in in own {
            self.activate_pair(key, spi_in);
        }
    }
}
