//! One outer socket as a way out: runs of datagrams leave it as GSO trains, and some wait where its buffer is full.

use crate::counters::EngineCounters;
use crate::gso::Gso;
use crate::sendmmsg::{self, SENDS, Send};
use crate::udp::{Kind, OuterSocket};
use arrayvec::ArrayVec;
use hawser_esp::packet::Ecn;
use hawser_flight::DropReason;
use quinn_udp::EcnCodepoint;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Datagrams that wait for a socket whose buffer is full; more are dropped and counted.
const QUEUE: usize = 256;
/// Octets of one GSO train.
pub(crate) const RUN: usize = 65_000;
/// What fits an Ethernet: the kernel refuses segments above the MTU of the way out instead of fragmenting them, so what may be above it goes alone.
const ETHERNET: usize = 1500;
/// Octets of IP and UDP headers.
const HEADERS_V4: usize = 28;
const HEADERS_V6: usize = 48;

/// Where a datagram goes, and from where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    /// Number of the socket.
    pub(crate) socket: usize,
    pub(crate) remote: SocketAddr,
    /// Our address, where the socket is bound to a wildcard.
    pub(crate) source: Option<IpAddr>,
    pub(crate) ecn: Ecn,
}

impl Target {
    fn send<'a>(&self, octets: &'a [u8], segment: Option<u16>) -> Send<'a> {
        Send {
            to: self.remote,
            source: self.source,
            ecn: EcnCodepoint::from_bits(self.ecn.bits()),
            octets,
            segment,
        }
    }

    /// The largest segment of a train.
    fn largest_segment(&self) -> usize {
        match self.remote {
            SocketAddr::V4(_) => ETHERNET - HEADERS_V4,
            SocketAddr::V6(_) => ETHERNET - HEADERS_V6,
        }
    }
}

/// One of those that were collected: octets of the arena.
pub(crate) struct Datagram {
    pub(crate) target: Target,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// An outer socket and what waits for it.
pub(crate) struct Sender {
    pub(crate) outer: OuterSocket,
    pub(crate) gso: Gso,
    waiting: VecDeque<(Target, Vec<u8>)>,
}

/// How many datagrams from the first on can be one GSO train: the same target, the same size, of which only the last may be smaller.
fn run(datagrams: &[Datagram], max_segments: usize) -> usize {
    let Some(first) = datagrams.first() else {
        return 0;
    };
    let size = first.end - first.start;
    if size > first.target.largest_segment() || size == 0 {
        return 1;
    }
    let max = max_segments.min(RUN / size).max(1);
    let mut len = 1;
    while let Some(next) = datagrams.get(len).filter(|_| len < max) {
        let next_size = next.end - next.start;
        if next.target != first.target || next_size > size || next_size == 0 {
            break;
        }
        len += 1;
        if next_size < size {
            break;
        }
    }
    len
}

fn count(error: &io::Error, counters: &mut EngineCounters) {
    match error.raw_os_error() {
        Some(libc::ENOBUFS | libc::EAGAIN) => counters.drops.count(DropReason::SocketFull),
        _ => counters.send_errors += 1,
    }
}

impl Sender {
    /// Without `gso` every datagram leaves alone.
    pub(crate) fn new(outer: OuterSocket, gso: bool) -> Self {
        let longest = match outer.kind {
            Kind::Established(_) if gso => outer.state.max_gso_segments(),
            _ => 1,
        };
        Self {
            outer,
            gso: Gso::new(longest),
            waiting: VecDeque::new(),
        }
    }

    /// Whether datagrams wait until there is room.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// There is room again.
    pub(crate) fn resume(&mut self, counters: &mut EngineCounters) {
        while let Some((target, bytes)) = self.waiting.pop_front() {
            let sent = sendmmsg::send(&self.outer.socket, &[target.send(&bytes, None)]);
            if let Err(error) = sent {
                if error.kind() == io::ErrorKind::WouldBlock {
                    return self.waiting.push_front((target, bytes));
                }
                count(&error, counters);
            }
        }
    }

    /// Sends datagrams of this socket in order.
    pub(crate) fn send_all(
        &mut self,
        datagrams: &[Datagram],
        arena: &[u8],
        counters: &mut EngineCounters,
    ) {
        let mut rest = datagrams;
        let max_segments = self.gso.segments(Instant::now);
        while !rest.is_empty() {
            // Behind what waits already, so that order stays.
            if !self.waiting.is_empty() {
                return self.keep(rest, arena, counters);
            }
            let mut sends = ArrayVec::<_, SENDS>::new();
            let mut lengths = ArrayVec::<_, SENDS>::new();
            let mut ahead = rest;
            while !ahead.is_empty() && !sends.is_full() {
                let (run, after) = ahead.split_at(run(ahead, max_segments));
                let octets = &arena[run[0].start..run[run.len() - 1].end];
                let segment = (run.len() > 1).then_some((run[0].end - run[0].start) as u16);
                sends.push(run[0].target.send(octets, segment));
                lengths.push(run.len());
                ahead = after;
            }
            let sent = sendmmsg::send(&self.outer.socket, &sends);
            let done = match sent {
                Ok(count) => {
                    if lengths[..count].iter().any(|len| *len > 1) {
                        self.gso.taken();
                    }
                    lengths[..count].iter().sum()
                }
                Err(error) => self.refused(&error, &rest[..lengths[0]], arena, counters),
            };
            rest = &rest[done..];
        }
    }

    /// The kernel did not take a run. Returns how many of its datagrams are dealt with.
    fn refused(
        &mut self,
        error: &io::Error,
        run: &[Datagram],
        arena: &[u8],
        counters: &mut EngineCounters,
    ) -> usize {
        match error.raw_os_error() {
            Some(libc::EAGAIN) => self.keep(run, arena, counters),
            Some(libc::EINTR) => return 0,
            _ if run.len() == 1 => count(error, counters),
            _ => {
                // EIO: the way out has no checksum offload, which GSO needs. Else its MTU is too small for these, or the source address is gone for the moment.
                if error.raw_os_error() == Some(libc::EIO) {
                    self.gso.refused(Instant::now());
                }
                let sends = run
                    .iter()
                    .map(|d| d.target.send(&arena[d.start..d.end], None));
                for (send, datagram) in sends.zip(run) {
                    match sendmmsg::send(&self.outer.socket, &[send]) {
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                            self.keep(std::slice::from_ref(datagram), arena, counters);
                        }
                        Err(e) => count(&e, counters),
                        Ok(_) => {}
                    }
                }
            }
        }
        run.len()
    }

    fn keep(&mut self, datagrams: &[Datagram], arena: &[u8], counters: &mut EngineCounters) {
        for datagram in datagrams {
            if self.waiting.len() < QUEUE {
                let bytes = arena[datagram.start..datagram.end].to_vec();
                self.waiting.push_back((datagram.target, bytes));
            } else {
                counters.drops.count(DropReason::SocketFull);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::steering::Port;
    use crate::udp::bind_group;
    use std::net::UdpSocket;

    #[test]
    fn runs_are_cut_where_gso_needs_it() {
        let target = |port| Target {
            socket: 0,
            remote: SocketAddr::from(([127, 0, 0, 1], port)),
            source: None,
            ecn: Ecn::NotEct,
        };
        let datagrams = |list: &[(u16, usize)]| {
            let mut at = 0;
            let next = |&(port, size): &(u16, usize)| {
                at += size;
                Datagram {
                    target: target(port),
                    start: at - size,
                    end: at,
                }
            };
            list.iter().map(next).collect::<Vec<_>>()
        };
        assert_eq!(run(&datagrams(&[(1, 9), (1, 9), (1, 4), (1, 4)]), 64), 3);
        assert_eq!(run(&datagrams(&[(1, 9), (1, 10)]), 64), 1);
        assert_eq!(run(&datagrams(&[(1, 9), (2, 9)]), 64), 1);
        assert_eq!(run(&datagrams(&[(1, 9); 10]), 4), 4);
        assert_eq!(run(&datagrams(&[(1, 9); 10]), 1), 1);
        assert_eq!(run(&datagrams(&[(1, 1473), (1, 1473)]), 64), 1);
        assert_eq!(run(&datagrams(&[(1, 1400); 64]), 64), 46);
        assert_eq!(run(&[], 64), 0);
    }

    #[test]
    fn a_full_socket_keeps_some_and_counts_the_rest() {
        let group = bind_group("127.0.0.1:0".parse().unwrap(), Port::Nat, 1, None).unwrap();
        let outer = group.into_iter().flatten().next().unwrap();
        let mut sender = Sender::new(outer, true);
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let target = Target {
            socket: 0,
            remote: receiver.local_addr().unwrap(),
            source: None,
            ecn: Ecn::NotEct,
        };
        sender.waiting.push_back((target, b"first".to_vec()));
        let datagram = |_| Datagram {
            target,
            start: 0,
            end: 6,
        };
        let datagrams: Vec<_> = (0..QUEUE + 10).map(datagram).collect();
        let mut counters = EngineCounters::default();
        sender.send_all(&datagrams, b"packet", &mut counters);
        let drops: Vec<_> = counters.drops.iter().collect();
        assert!(drops.contains(&(DropReason::SocketFull, 11)), "{drops:?}");
        assert!(sender.is_blocked());
        sender.resume(&mut counters);
        assert!(!sender.is_blocked());
        assert_eq!(counters.send_errors, 0);
    }
}
