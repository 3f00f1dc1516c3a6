//! What is remembered of devices that are gone, and IKE SAs that are of no use: both bounded.

use crate::Shard;
use crate::io::DeviceId;
use crate::timers::TimerKey;
use hawser_flight::CloseCause;
use hawser_ike::ike_sa::SaState;
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Devices without SAs that are remembered at most, and for how long.
const MAX_GONE: usize = 10_000;
const REMEMBER: Duration = Duration::from_secs(24 * 3600);

/// How long an IKE SA may be without a Child SA after its handshake, and how many may be.
const CHILDLESS_FOR: Duration = Duration::from_secs(60);
const MAX_CHILDLESS: usize = 1000;

/// Devices that had Child SAs and have no SA now, the one that left first at the front.
#[derive(Default)]
pub(crate) struct Gone {
    since: BTreeSet<(Instant, DeviceId)>,
    armed: Option<Instant>,
}

/// IKE SAs that came without a Child SA: until when they may get one, by local SPI.
#[derive(Default)]
pub(crate) struct Childless {
    until: VecDeque<(Instant, u64)>,
    armed: Option<Instant>,
}

impl Childless {
    pub(crate) fn spis(&self) -> impl Iterator<Item = u64> + '_ {
        self.until.iter().map(|(_, spi)| *spi)
    }

    /// An IKE SA was rekeyed.
    pub(crate) fn succeeded(&mut self, old: u64, new: u64) {
        if let Some((_, spi)) = self.until.iter_mut().find(|(_, spi)| *spi == old) {
            *spi = new;
        }
    }
}

impl Shard {
    /// Called when a device has lost an IKE SA or a pair. Without any it is remembered, so that it
    /// is the same device when it returns; one that never held anything is forgotten at once.
    pub(crate) fn has_left(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if !peer.ike_sas.is_empty() || !peer.pairs.is_empty() || peer.gone.is_some() {
            return;
        }
        if peer.selectors.is_empty() {
            return self.drop_peer(key);
        }
        peer.gone = Some(now);
        self.gone.since.insert((now, peer.device));
        if self.gone.since.len() > MAX_GONE {
            self.forget_first();
        }
        self.arm_forget();
    }

    /// A device has an SA again.
    pub(crate) fn has_returned(&mut self, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if let Some(since) = peer.gone.take() {
            self.gone.since.remove(&(since, peer.device));
            self.arm_forget();
        }
    }

    pub(crate) fn forget_peers(&mut self, now: Instant) {
        self.gone.armed = None;
        let due = |(since, _): &(Instant, DeviceId)| *since + REMEMBER <= now;
        while self.gone.since.first().is_some_and(due) {
            self.forget_first();
        }
        self.arm_forget();
    }

    fn forget_first(&mut self) {
        let Some((_, device)) = self.gone.since.pop_first() else {
            return;
        };
        if let Some(key) = self.devices.get(&device).copied() {
            self.release_claim(key);
            self.drop_peer(key);
        }
    }

    fn arm_forget(&mut self) {
        let at = self.gone.since.first().map(|(since, _)| *since + REMEMBER);
        self.timers.arm(&mut self.gone.armed, at, TimerKey::Forget);
    }

    /// An IKE SA has come without a Child SA. Of too many the oldest ends without a word.
    pub(crate) fn watch_childless(&mut self, now: Instant, spi: u64) {
        self.childless.until.push_back((now + CHILDLESS_FOR, spi));
        if self.childless.until.len() > MAX_CHILDLESS
            && let Some((_, oldest)) = self.childless.until.pop_front()
        {
            self.end_if_childless(now, oldest, false);
        }
        self.arm_childless();
    }

    pub(crate) fn end_childless(&mut self, now: Instant) {
        self.childless.armed = None;
        while let Some((until, spi)) = self.childless.until.front().copied() {
            if until > now {
                break;
            }
            self.childless.until.pop_front();
            self.end_if_childless(now, spi, true);
        }
        self.arm_childless();
    }

    fn end_if_childless(&mut self, now: Instant, spi: u64, say_so: bool) {
        let Some(key) = self.ike_index.get(&spi).copied() else {
            return;
        };
        let useless = |sa: &&mut hawser_ike::IkeSa| {
            sa.state() == SaState::Established && sa.children().is_empty()
        };
        let sa = self.peers.get_mut(key).and_then(|p| p.ike_sa(spi));
        if let Some(sa) = sa.filter(useless) {
            if say_so {
                sa.delete(&mut crate::env!(self, now), CloseCause::Expired);
            } else {
                sa.abandon(CloseCause::Expired);
            }
            self.drive(now, key);
        }
    }

    fn arm_childless(&mut self) {
        let at = self.childless.until.front().map(|(until, _)| *until);
        self.timers
            .arm(&mut self.childless.armed, at, TimerKey::Childless);
    }
}
