//! What is going to happen, by time; what is due at once happens in the order it was put in.

use hawser_shard::io::{Answer, AskId, KeRequest, Message, ShardId};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Instant;

/// Something that is going to happen. What is large is boxed: the queue moves these about.
#[derive(Debug)]
pub enum Happening {
    /// A datagram reaches headquarters; from this branch, unless somebody forged it.
    AtGateway(Option<usize>, SocketAddr, SocketAddr, Vec<u8>),
    /// A datagram reaches the address in front of a branch.
    AtBranch(SocketAddr, SocketAddr, Vec<u8>),
    /// A slow branch takes in what has come on a port.
    TakenIn(usize, u16, SocketAddr, Vec<u8>),
    /// A timer of a branch.
    WakeBranch(usize),
    /// A timer of headquarters.
    WakeGateway,
    /// A key-exchange worker is done.
    Worked(usize, AskId, Box<KeRequest>),
    /// What a plugin decided reaches the shard that asked.
    Decided(usize, AskId, Box<Answer>),
    /// What a shard told another one.
    Mail(ShardId, Box<Message>),
    /// A branch has something to send.
    Talk(usize),
    /// Headquarters has something to send to a branch; whether it will have again.
    Ask(usize, bool),
    /// A fault begins.
    Begin(usize),
    /// It ends.
    End(usize),
    /// An attacker sends once more.
    Attack(usize),
    /// A round's faults are over.
    Heal,
    /// A branch must be usable, or known not to be.
    Judge(usize),
    /// The invariants are looked at.
    Look,
    /// What a long calm must have brought about.
    Calm(u8),
}

struct Entry {
    at: Instant,
    number: u64,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// The queue.
#[derive(Default)]
pub struct Queue {
    heap: BinaryHeap<Entry>,
    number: u64,
}

impl Queue {
    /// `what` happens at `at`.
    pub fn push(&mut self, at: Instant, what: Happening) {
        self.number += 1;
        let number = self.number;
        self.heap.push(Entry { at, number, what });
    }

    /// What is next, if it is not after `end`.
    pub fn pop(&mut self, end: Instant) -> Option<(Instant, Happening)> {
        let next = self.heap.peek()?;
        if next.at > end {
            return None;
        }
        self.heap.pop().map(|e| (e.at, e.what))
    }
}
