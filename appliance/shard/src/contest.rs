//! A device with several IKE SAs: which of them stays.
//!
//! The rules are DESIGN's (Successor or another device?). From the same endpoint the newer IKE SA
//! is a successor: the older one retires once the newer has shown that the peer has it. From
//! another endpoint it is presumed one, and the older is asked.

use crate::Shard;
use crate::peer::Peer;
use hawser_flight::{CloseCause, Event, Path, Role};
use hawser_ike::IkeSa;
use hawser_ike::ike_sa::SaState;
use hawser_policy::Uniqueness;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the IKE SA that a successor replaced is left to the peer to delete.
const RETIRE_AFTER: Duration = Duration::from_secs(10);

/// IKE SAs of a device at most, with those that are on their way out.
const MAX_IKE_SAS: usize = 8;

/// Two IKE SAs claim to be the same device from different endpoints: the older is being probed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contest {
    /// Local SPI of the older IKE SA.
    older: u64,
    /// Local SPI of the newer.
    newer: u64,
}

/// An IKE SA that a successor replaced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retiring {
    /// When it is deleted.
    pub(crate) at: Instant,
    /// Its local SPI.
    spi: u64,
    /// That of the successor.
    successor: u64,
}

impl Peer {
    /// An IKE SA was rekeyed: what referred to it refers to the one that replaces it.
    pub(crate) fn succeeded(&mut self, old: u64, new: u64) {
        let follow = |spi: &mut u64| {
            if *spi == old {
                *spi = new;
            }
        };
        for contest in &mut self.contests {
            follow(&mut contest.older);
            follow(&mut contest.newer);
        }
        for retiring in &mut self.retiring {
            follow(&mut retiring.spi);
            follow(&mut retiring.successor);
        }
    }

    /// An IKE SA has ended: nothing refers to it any more.
    pub(crate) fn forget_ike_sa(&mut self, spi: u64) {
        self.contests.retain(|c| c.older != spi && c.newer != spi);
        // Without its successor the older one stays.
        let (over, later) = self
            .retiring
            .drain(..)
            .partition(|r| r.spi == spi || r.successor == spi);
        self.retiring = later;
        let over: Vec<Retiring> = over;
        for retiring in over {
            if let Some(sa) = self.ike_sa(retiring.spi) {
                sa.stand_down(false);
            }
        }
    }

    /// Whether an IKE SA has been replaced: what comes on it is no news of where the peer is.
    pub(crate) fn is_replaced(&self, spi: u64) -> bool {
        self.retiring.iter().any(|r| r.spi == spi)
            || self
                .find_ike_sa(spi)
                .is_none_or(|sa| sa.state() != SaState::Established)
    }

    /// Whether the message that has just come ends this IKE SA, the last one of the device: from where it came the
    /// device can be called back.
    pub(crate) fn has_ended_with(&self, spi: u64) -> bool {
        let ended = |sa: &IkeSa| sa.state() == SaState::Closed;
        self.find_ike_sa(spi).is_some_and(ended) && !self.has_usable_ike_sa()
    }

    fn retire(&mut self, at: Instant, spi: u64, successor: u64) {
        if let Some(sa) = self.ike_sa(spi) {
            sa.stand_down(true);
        }
        self.retiring.retain(|r| r.spi != spi);
        self.retiring.push(Retiring { at, spi, successor });
    }

    /// Of too many IKE SAs those that go: first what ends anyway, then the oldest of the same
    /// endpoint, then the youngest from elsewhere, for the oldest may be another, living device.
    fn surplus(&self, newer: u64, path: &Path) -> Vec<u64> {
        let rank = |(at, sa): (usize, &IkeSa)| {
            let place = i64::try_from(at).unwrap_or(i64::MAX);
            let rank = match sa.state() {
                SaState::Established if sa.path().remote == path.remote => (1, place),
                SaState::Established => (2, -place),
                _ => (0, place),
            };
            (rank, sa.local_spi())
        };
        let mut ranked: Vec<_> = self.ike_sas.iter().enumerate().map(rank).collect();
        ranked.retain(|(_, spi)| *spi != newer);
        ranked.sort_unstable();
        let excess = self.ike_sas.len().saturating_sub(MAX_IKE_SAS);
        ranked
            .into_iter()
            .take(excess)
            .map(|(_, spi)| spi)
            .collect()
    }
}

impl Shard {
    /// Older IKE SAs of the same device. From the same endpoint: the peer deletes them, or we do
    /// after a while; with INITIAL_CONTACT it has forgotten them. From another endpoint: presumed
    /// replaced, and asked.
    pub(crate) fn supersede(
        &mut self,
        now: Instant,
        key: usize,
        newer: u64,
        path: &Path,
        initial_contact: bool,
    ) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if peer.find_ike_sa(newer).is_none() {
            return;
        }
        for spi in peer.surplus(newer, path) {
            if let Some(sa) = peer.ike_sa(spi) {
                sa.abandon(CloseCause::Superseded);
            }
        }
        let uniqueness = peer.template.upkeep.uniqueness;
        if uniqueness == Uniqueness::Never {
            return;
        }
        // What we revived the device with is the device's, whoever passes on what it sends.
        let revived = peer.revived.is_some_and(|(spi, _)| spi == newer);
        let one_device = uniqueness == Uniqueness::Replace || revived;
        let (mut at_home, mut elsewhere) = (Vec::new(), Vec::new());
        for old in peer.ike_sas.iter_mut().filter(|o| o.local_spi() != newer) {
            // Where an identity is one device, whatever it had elsewhere is replaced unasked.
            let same_endpoint = one_device || old.path().remote == path.remote;
            if same_endpoint && initial_contact {
                old.abandon(CloseCause::Superseded);
            } else if old.state() == SaState::Established {
                let to = if same_endpoint {
                    &mut at_home
                } else {
                    &mut elsewhere
                };
                to.push(old.local_spi());
            }
        }
        for spi in at_home {
            peer.retire(now + RETIRE_AFTER, spi, newer);
        }
        for older in elsewhere {
            let contest = Contest { older, newer };
            if let Some(peer) = self.peers.get_mut(key) {
                peer.contests.push(contest);
            }
            self.probe_sa(now, key, older);
        }
    }

    /// Of two IKE SAs from the same endpoint, both begun at once from either side, the branch's
    /// stays: the other one retires.
    pub(crate) fn prefer(&mut self, now: Instant, key: usize, stays: u64, goes: u64) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.retiring.retain(|r| r.spi != stays);
            if let Some(sa) = peer.ike_sa(stays) {
                sa.stand_down(false);
            }
            peer.retire(now + RETIRE_AFTER, goes, stays);
        }
    }

    /// The older SA of a contest has answered: if from its own, other endpoint, it is another
    /// device, and keeps what it holds (DESIGN, Rules).
    pub(crate) fn settle_contests(&mut self, now: Instant, key: usize, spi: u64, path: Path) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        // With a DELETE for its last message it does not contest anything.
        let lives = |sa: &IkeSa| sa.state() == SaState::Established;
        if peer.contests.is_empty() || !peer.find_ike_sa(spi).is_some_and(lives) {
            return;
        }
        let ours = |c: &Contest| c.older == spi;
        let settled: Vec<Contest> = peer.contests.iter().copied().filter(ours).collect();
        peer.contests.retain(|c| !ours(c));
        for contest in settled {
            self.settle_contest(now, key, contest, path);
        }
    }

    fn settle_contest(&mut self, now: Instant, key: usize, contest: Contest, path: Path) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let holder = peer.identity.to_string();
        let Some(newer) = peer.ike_sa(contest.newer) else {
            return;
        };
        if newer.path().remote == path.remote {
            // One device on both: it answers on its old SA from its new endpoint.
            return peer.retire(now + RETIRE_AFTER, contest.older, contest.newer);
        }
        let prefix = newer.children().iter().flat_map(|c| &c.remote).next();
        let prefix = prefix.map(ToString::to_string).unwrap_or_default();
        // With the newer's pairs the older's are found again: of equal ones the SPD takes the
        // latest that is there.
        newer.delete(&mut crate::env!(self, now), CloseCause::Superseded);
        peer.relabel(path);
        let label = Arc::clone(&peer.label);
        self.event(Some(label), Event::SelectorConflict { prefix, holder });
    }

    /// Deletes what a successor replaced and the peer left; but never a living SA for one that the
    /// peer may not have: until the successor has proved itself it is asked, and the older waits.
    pub(crate) fn retire_due(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let (due, later) = peer.retiring.drain(..).partition(|r| r.at <= now);
        peer.retiring = later;
        let due: Vec<Retiring> = due;
        for retiring in due {
            match self.judge_successor(key, &retiring) {
                Successor::Gone => {}
                Successor::Ready => self.delete_retired(now, key, retiring.spi),
                Successor::Unproven => {
                    self.probe_sa(now, key, retiring.successor);
                    self.retire_later(now, key, retiring);
                }
                Successor::Childless => self.retire_later(now, key, retiring),
            }
        }
    }

    fn delete_retired(&mut self, now: Instant, key: usize, spi: u64) {
        if let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(spi)) {
            sa.delete(&mut crate::env!(self, now), CloseCause::Superseded);
        }
    }

    fn retire_later(&mut self, now: Instant, key: usize, retiring: Retiring) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.retire(now + RETIRE_AFTER, retiring.spi, retiring.successor);
        }
    }

    fn judge_successor(&self, key: usize, retiring: &Retiring) -> Successor {
        let peer = self.peers.get(key);
        let find = |spi| peer.and_then(|p| p.find_ike_sa(spi));
        let (Some(old), Some(new)) = (find(retiring.spi), find(retiring.successor)) else {
            return Successor::Gone;
        };
        if new.state() != SaState::Established {
            return Successor::Gone;
        }
        if new.children().is_empty() && !old.children().is_empty() {
            return Successor::Childless;
        }
        let used = |spi| {
            self.sad
                .get(spi)
                .is_some_and(|entry| entry.sa.packets() > 0)
        };
        let proven = new.role() == Role::Initiator
            || new.last_inbound() > new.created()
            || new.children().iter().any(|c| used(c.spi_in));
        if proven {
            Successor::Ready
        } else {
            Successor::Unproven
        }
    }
}

/// How the successor of an IKE SA stands.
enum Successor {
    /// It has ended: the older one stays.
    Gone,
    /// The peer has it, and it carries what the older one carried.
    Ready,
    /// Nothing has come on it since its handshake: our answer may have been lost for good.
    Unproven,
    /// It has no Child SA, and the older one has.
    Childless,
}
