//! Outgoing datagrams of a round: collected, then sent in runs.
//!
//! Consecutive datagrams of the same size for the same peer leave as one GSO train, and trains for many peers in one system call. ESP is sealed
//! straight into the buffer that is sent.

use crate::counters::EngineCounters;
use crate::sendmmsg::{self, SENDS, Send};
use crate::udp::{Kind, OuterSocket};
use arrayvec::ArrayVec;
use hawser_esp::SealedBatch;
use hawser_esp::packet::Ecn;
use hawser_flight::{DropReason, Path};
use quinn_udp::EcnCodepoint;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Datagrams that wait for a socket whose buffer is full; more are dropped and counted.
const QUEUE: usize = 256;
/// Octets of one GSO train.
const RUN: usize = 65_000;
/// Octets that are collected before they are sent: beyond that they would leave the cache.
const COLLECTED: usize = 4 * RUN;
/// What fits an Ethernet: the kernel refuses segments above the MTU of the way out instead of fragmenting them, so what may be above it goes alone.
const ETHERNET: usize = 1500;
/// Octets of IP and UDP headers.
const HEADERS_V4: usize = 28;
const HEADERS_V6: usize = 48;

/// Where a datagram goes, and from where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Target {
    socket: usize,
    remote: SocketAddr,
    /// Our address, where the socket is bound to a wildcard.
    source: Option<IpAddr>,
    ecn: Ecn,
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

struct Datagram {
    target: Target,
    start: usize,
    end: usize,
}

/// A shard's outer sockets and what is to be sent through them.
pub(crate) struct Outbox {
    sockets: Vec<Sender>,
    arena: SealedBatch,
    datagrams: Vec<Datagram>,
}

struct Sender {
    outer: OuterSocket,
    waiting: VecDeque<(Target, Vec<u8>)>,
    /// Segments of the longest train; 1 where the way out has no GSO.
    max_segments: usize,
}

impl Outbox {
    /// Without `gso` every datagram leaves alone.
    pub(crate) fn new(sockets: Vec<OuterSocket>, gso: bool) -> Self {
        let sender = |outer: OuterSocket| Sender {
            max_segments: if gso && outer.kind != Kind::RawEsp {
                outer.state.max_gso_segments()
            } else {
                1
            },
            outer,
            waiting: VecDeque::new(),
        };
        let sockets = sockets.into_iter().map(sender).collect();
        Self {
            sockets,
            arena: SealedBatch::default(),
            datagrams: Vec::new(),
        }
    }

    pub(crate) fn sockets(&self) -> impl Iterator<Item = (usize, &OuterSocket)> {
        self.sockets.iter().map(|s| &s.outer).enumerate()
    }

    pub(crate) fn socket(&self, index: usize) -> &OuterSocket {
        &self.sockets[index].outer
    }

    /// Whether the socket has to say when there is room again.
    pub(crate) fn waits(&self, index: usize) -> bool {
        !self.sockets[index].waiting.is_empty()
    }

    /// Whether so much is collected that it should be sent.
    pub(crate) fn is_full(&self) -> bool {
        self.arena.octets.len() >= COLLECTED
    }

    /// Takes a datagram; `false` where no socket is bound to the path's local address.
    pub(crate) fn push(&mut self, path: &Path, ecn: Ecn, payload: &[u8]) -> bool {
        let Some(target) = self.target(path, ecn) else {
            return false;
        };
        let start = self.arena.octets.len();
        self.arena.octets.extend_from_slice(payload);
        self.datagrams.push(Datagram {
            target,
            start,
            end: self.arena.octets.len(),
        });
        true
    }

    /// Takes the ESP packets that `seal` appends; `false` where no socket is bound to the path's local address: they are lost.
    pub(crate) fn push_batch(
        &mut self,
        path: &Path,
        seal: &mut dyn FnMut(&mut SealedBatch),
    ) -> bool {
        let mut start = self.arena.octets.len();
        seal(&mut self.arena);
        let target = self.target(path, Ecn::NotEct);
        for sealed in self.arena.packets.drain(..) {
            let end = start + sealed.len;
            if let Some(target) = target {
                let ecn = sealed.ecn;
                let target = Target { ecn, ..target };
                self.datagrams.push(Datagram { target, start, end });
            }
            start = end;
        }
        target.is_some()
    }

    /// The socket for a path, UDP or native ESP.
    fn target(&self, path: &Path, ecn: Ecn) -> Option<Target> {
        let ip = path.local.ip();
        // Native ESP has no ports.
        let raw = path.local.port() == 0;
        // The port of a raw address is the protocol or 0.
        let remote = match raw {
            true => SocketAddr::new(path.remote.ip(), 0),
            false => path.remote,
        };
        let fits = |s: &Sender, address: IpAddr| {
            let (local, kind) = (s.outer.local, s.outer.kind);
            let wanted = match kind {
                Kind::Established(_) => !raw && local.port() == path.local.port(),
                Kind::RawEsp => raw,
                Kind::Admission(_) => false,
            };
            wanted && local.ip() == address && local.is_ipv4() == remote.is_ipv4()
        };
        let find = |address| self.sockets.iter().position(|s| fits(s, address));
        let wildcard = match remote {
            SocketAddr::V4(_) => IpAddr::from([0; 4]),
            SocketAddr::V6(_) => IpAddr::from([0; 16]),
        };
        let socket = find(ip).or_else(|| find(wildcard))?;
        let bound = self.sockets[socket].outer.local.ip();
        let source = (bound.is_unspecified() && !ip.is_unspecified()).then_some(ip);
        Some(Target {
            socket,
            remote,
            source,
            ecn,
        })
    }

    /// Sends what was collected, in order.
    pub(crate) fn flush(&mut self, counters: &mut EngineCounters) {
        let mut rest = self.datagrams.as_slice();
        while let Some(first) = rest.first() {
            let socket = first.target.socket;
            let same = rest.iter().take_while(|d| d.target.socket == socket);
            let (own, after) = rest.split_at(same.count());
            self.sockets[socket].send_all(own, &self.arena.octets, counters);
            rest = after;
        }
        // The buffers are kept for the next round.
        self.datagrams.clear();
        self.arena.octets.clear();
    }

    /// The socket has room again.
    pub(crate) fn resume(&mut self, index: usize, counters: &mut EngineCounters) {
        let sender = &mut self.sockets[index];
        while let Some((target, bytes)) = sender.waiting.pop_front() {
            let sent = sendmmsg::send(&sender.outer.socket, &[target.send(&bytes, None)]);
            if let Err(error) = sent {
                if error.kind() == io::ErrorKind::WouldBlock {
                    return sender.waiting.push_front((target, bytes));
                }
                count(&error, counters);
            }
        }
    }
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
    /// Sends datagrams of this socket in order.
    fn send_all(&mut self, datagrams: &[Datagram], arena: &[u8], counters: &mut EngineCounters) {
        let mut rest = datagrams;
        while !rest.is_empty() {
            // Behind what waits already, so that order stays.
            if !self.waiting.is_empty() {
                return self.keep(rest, arena, counters);
            }
            let mut sends = ArrayVec::<_, SENDS>::new();
            let mut lengths = ArrayVec::<_, SENDS>::new();
            let mut ahead = rest;
            while !ahead.is_empty() && !sends.is_full() {
                let (run, after) = ahead.split_at(run(ahead, self.max_segments));
                let octets = &arena[run[0].start..run[run.len() - 1].end];
                let segment = (run.len() > 1).then_some((run[0].end - run[0].start) as u16);
                sends.push(run[0].target.send(octets, segment));
                lengths.push(run.len());
                ahead = after;
            }
            let sent = sendmmsg::send(&self.outer.socket, &sends);
            let done = match sent {
                Ok(count) => lengths[..count].iter().sum(),
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
                // EIO: the way out has no checksum offload, which GSO needs, and will not get it. Else its MTU is too small for these.
                if error.raw_os_error() == Some(libc::EIO) {
                    self.max_segments = 1;
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
    use std::time::Duration;

    fn outbox(address: &str) -> Outbox {
        let group = bind_group(address.parse().unwrap(), Port::Nat, 1, None).unwrap();
        Outbox::new(group.into_iter().flatten().collect(), true)
    }

    fn receiver() -> UdpSocket {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        receiver
    }

    fn path(outbox: &Outbox, to: &UdpSocket) -> Path {
        let port = outbox.socket(0).local.port();
        let local = SocketAddr::from(([127, 0, 0, 1], port));
        Path {
            local,
            remote: to.local_addr().unwrap(),
            encapsulated: true,
        }
    }

    #[test]
    fn runs_leave_together_and_arrive_in_order() {
        for address in ["127.0.0.1:0", "0.0.0.0:0"] {
            let mut outbox = outbox(address);
            let (a, b) = (receiver(), receiver());
            let (to_a, to_b) = (path(&outbox, &a), path(&outbox, &b));
            let sizes = [100usize, 100, 100, 60, 100, 3000, 1, 1, 1400, 1400, 1400];
            for (i, size) in sizes.iter().enumerate() {
                assert!(outbox.push(&to_a, Ecn::Ect0, &vec![i as u8; *size]));
            }
            assert!(outbox.push(&to_b, Ecn::NotEct, b"other"));
            let mut counters = EngineCounters::default();
            outbox.flush(&mut counters);
            let mut buffer = [0; 4096];
            for (i, size) in sizes.iter().enumerate() {
                let (len, from) = a.recv_from(&mut buffer).unwrap();
                assert_eq!((len, buffer[0]), (*size, i as u8));
                assert_eq!(from, to_a.local);
            }
            assert_eq!(b.recv(&mut buffer).unwrap(), 5);
            assert_eq!(counters.send_errors, 0);
            assert_eq!(counters.drops.iter().map(|(_, n)| n).sum::<u64>(), 0);
        }
    }

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
    fn no_socket_for_the_address_is_said() {
        let mut outbox = outbox("127.0.0.1:0");
        let mut elsewhere = path(&outbox, &receiver());
        elsewhere.local.set_port(1);
        assert!(!outbox.push(&elsewhere, Ecn::NotEct, b"x"));
        elsewhere.local.set_port(0);
        elsewhere.encapsulated = false;
        assert!(!outbox.push(&elsewhere, Ecn::NotEct, b"x"));
    }

    #[test]
    fn a_full_socket_keeps_some_and_counts_the_rest() {
        let mut outbox = outbox("127.0.0.1:0");
        let to = path(&outbox, &receiver());
        let target = Target {
            socket: 0,
            remote: to.remote,
            source: None,
            ecn: Ecn::NotEct,
        };
        outbox.sockets[0]
            .waiting
            .push_back((target, b"first".to_vec()));
        for _ in 0..QUEUE + 10 {
            outbox.push(&to, Ecn::NotEct, b"packet");
        }
        let mut counters = EngineCounters::default();
        outbox.flush(&mut counters);
        let full = counters
            .drops
            .iter()
            .find(|(r, _)| *r == DropReason::SocketFull)
            .unwrap();
        assert_eq!(full.1, 11);
        assert!(outbox.waits(0));
        outbox.resume(0, &mut counters);
        assert!(!outbox.waits(0));
        assert_eq!(counters.send_errors, 0);
    }
}
