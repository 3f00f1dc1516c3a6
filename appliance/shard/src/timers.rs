//! When what wants to be woken: an ordered set, O(log n), no sweep.
//!
//! An object is in it at most once, and remembers when (`armed`): what it no longer waits for is
//! taken out, so that the set never holds more than what lives.

use std::collections::BTreeSet;
use std::time::Instant;

/// What is woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum TimerKey {
    /// A peer.
    Peer(usize),
    /// A half-open SA that a peer began.
    Responder(usize),
    /// A handshake of ours.
    Initiator(usize),
    /// A handshake of ours, for the template with this index, that is to begin.
    Initiate(u16),
    /// The inbound half of a replaced pair, that lingered long enough.
    Linger(u32),
    /// The pair of a device that reauthenticated is sent on, confirmed or not.
    Confirm(u32),
    /// IKE SAs without a Child SA.
    Childless,
    /// Questions that nobody has answered.
    Asks,
    /// Shutting down takes long enough.
    Shutdown,
    /// Devices that are gone.
    Forget,
    /// IKE SAs that have ended and were kept long enough.
    Kept,
    /// A device is to follow another policy.
    Adapt,
}

#[derive(Default)]
pub(crate) struct Timers {
    set: BTreeSet<(Instant, TimerKey)>,
}

impl Timers {
    /// Wakes `key` at `at`, once.
    pub(crate) fn at(&mut self, at: Instant, key: TimerKey) {
        self.set.insert((at, key));
    }

    /// Wakes `key` at `at`, or never, instead of when it was to be woken (`armed`).
    pub(crate) fn arm(&mut self, armed: &mut Option<Instant>, at: Option<Instant>, key: TimerKey) {
        if *armed == at {
            return;
        }
        if let Some(before) = std::mem::replace(armed, at) {
            self.set.remove(&(before, key));
        }
        if let Some(at) = at {
            self.set.insert((at, key));
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.set.first().map(|(at, _)| *at)
    }

    /// The next key that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<TimerKey> {
        let (at, key) = self.set.pop_first()?;
        if at <= now {
            return Some(key);
        }
        self.set.insert((at, key));
        None
    }

    pub(crate) fn len(&self) -> usize {
        self.set.len()
    }
}

impl crate::Shard {
    /// When [`crate::Shard::timeout`] wants to be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Time has passed.
    pub fn timeout(&mut self, now: Instant) {
        self.clock = now;
        while let Some(key) = self.timers.pop(now) {
            match key {
                TimerKey::Peer(peer) => self.peer_timeout(now, peer),
                TimerKey::Responder(key) => self.responder_timeout(now, key),
                TimerKey::Initiator(key) => self.initiator_timeout(now, key),
                TimerKey::Initiate(template) => self.initiate(now, template),
                TimerKey::Linger(spi) => self.linger_over(spi),
                TimerKey::Confirm(spi) => self.confirm_timeout(spi),
                TimerKey::Childless => self.end_childless(now),
                TimerKey::Asks => self.give_up_asks(now),
                TimerKey::Shutdown => self.shutdown_timeout(),
                TimerKey::Forget => self.forget_peers(now),
                TimerKey::Kept => self.release_kept(now),
                TimerKey::Adapt => self.adapt_due(now),
            }
        }
    }
}
