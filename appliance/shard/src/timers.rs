//! When what wants to be woken: a heap with lazy deletion, O(log n), no sweep.
//!
//! An object keeps the earliest time it is in the heap for. If its time moves later, the old entry
//! fires, finds nothing due, and is armed anew.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// What is woken. A key that is gone, or was reused, is harmless: nothing is due then.
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
    /// Shutting down takes long enough.
    Shutdown,
    /// Something remembered may be forgotten.
    Forget,
}

#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, TimerKey)>>,
}

impl Timers {
    /// Wakes `key` at `at`.
    pub(crate) fn at(&mut self, at: Instant, key: TimerKey) {
        self.heap.push(Reverse((at, key)));
    }

    /// Wakes `key` at `at`, unless it is in the heap for as early already (`armed`).
    pub(crate) fn arm(&mut self, armed: &mut Option<Instant>, at: Option<Instant>, key: TimerKey) {
        if let Some(at) = at
            && armed.is_none_or(|armed| at < armed)
        {
            *armed = Some(at);
            self.at(at, key);
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The next key that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Instant, TimerKey)> {
        let due = self.next().is_some_and(|at| at <= now);
        due.then(|| self.heap.pop().map(|Reverse(entry)| entry))
            .flatten()
    }
}

impl crate::Shard {
    /// When [`crate::Shard::timeout`] wants to be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Time has passed.
    pub fn timeout(&mut self, now: Instant) {
        while let Some((at, key)) = self.timers.pop(now) {
            match key {
                TimerKey::Peer(peer) => self.peer_timeout(now, at, peer),
                TimerKey::Responder(key) => self.responder_timeout(now, key),
                TimerKey::Initiator(key) => self.initiator_timeout(now, at, key),
                TimerKey::Initiate(template) => self.initiate(now, template),
                TimerKey::Linger(spi) => self.linger_over(spi),
                TimerKey::Shutdown => self.shutdown_timeout(),
                TimerKey::Forget => self.forget_peers(now),
            }
        }
    }
}
