//! Outgoing datagrams of a round: collected, then sent in runs.
//!
//! Consecutive datagrams of the same size for the same peer leave as one GSO send. (One
//! `sendmmsg` across peers comes with the issue about speed.)

use crate::counters::EngineCounters;
use crate::udp::{Kind, OuterSocket};
use hawser_esp::packet::Ecn;
use hawser_flight::{DropReason, Path};
use quinn_udp::{EcnCodepoint, Transmit};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Datagrams that wait for a socket whose buffer is full; more are dropped and counted.
const QUEUE: usize = 256;
/// Octets of one GSO send.
const RUN: usize = 60_000;
/// The largest segment sent by GSO. The kernel refuses segments above the MTU of the way out
/// instead of fragmenting them, so what may be above it goes alone.
const SEGMENT: usize = 1432;

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
    fn transmit<'a>(&self, contents: &'a [u8], segment_size: Option<usize>) -> Transmit<'a> {
        let ecn = EcnCodepoint::from_bits(self.ecn.bits());
        Transmit {
            destination: self.remote,
            ecn,
            contents,
            segment_size,
            src_ip: self.source,
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
    arena: Vec<u8>,
    datagrams: Vec<Datagram>,
}

struct Sender {
    outer: OuterSocket,
    waiting: VecDeque<(Target, Vec<u8>)>,
}

impl Outbox {
    pub(crate) fn new(sockets: Vec<OuterSocket>) -> Self {
        let sender = |outer| Sender {
            outer,
            waiting: VecDeque::new(),
        };
        let sockets = sockets.into_iter().map(sender).collect();
        Self {
            sockets,
            arena: Vec::new(),
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

    /// Takes a UDP datagram; `false` where no socket is bound to the path's local address.
    pub(crate) fn udp(&mut self, path: &Path, ecn: Ecn, payload: &[u8]) -> bool {
        let established = |kind| matches!(kind, Kind::Established(_));
        self.push(established, path, path.local.port(), ecn, payload)
    }

    /// Takes a native ESP packet; `false` where there is no raw socket for the local address.
    pub(crate) fn raw(&mut self, path: &Path, ecn: Ecn, payload: &[u8]) -> bool {
        // The port of a raw address is the protocol or 0.
        let path = Path {
            remote: SocketAddr::new(path.remote.ip(), 0),
            ..*path
        };
        self.push(|kind| kind == Kind::RawEsp, &path, 0, ecn, payload)
    }

    fn push(
        &mut self,
        wanted: impl Fn(Kind) -> bool,
        path: &Path,
        port: u16,
        ecn: Ecn,
        payload: &[u8],
    ) -> bool {
        let ip = path.local.ip();
        let bound = |s: &&Sender, to: bool| {
            let local = s.outer.local;
            let fits = if to {
                local.ip() == ip
            } else {
                local.ip().is_unspecified()
            };
            wanted(s.outer.kind)
                && local.port() == port
                && fits
                && local.is_ipv4() == path.remote.is_ipv4()
        };
        let find = |exact| self.sockets.iter().position(|s| bound(&s, exact));
        let Some(socket) = find(true).or_else(|| find(false)) else {
            return false;
        };
        let wildcard = self.sockets[socket].outer.local.ip().is_unspecified();
        let source = (wildcard && !ip.is_unspecified()).then_some(ip);
        let start = self.arena.len();
        self.arena.extend_from_slice(payload);
        let target = Target {
            socket,
            remote: path.remote,
            source,
            ecn,
        };
        self.datagrams.push(Datagram {
            target,
            start,
            end: self.arena.len(),
        });
        true
    }

    /// Sends what was collected, in order.
    pub(crate) fn flush(&mut self, counters: &mut EngineCounters) {
        let datagrams = std::mem::take(&mut self.datagrams);
        let arena = std::mem::take(&mut self.arena);
        let mut rest = datagrams.as_slice();
        while let Some(first) = rest.first() {
            let sender = &mut self.sockets[first.target.socket];
            let (run, after) = rest.split_at(run(rest, sender.outer.state.max_gso_segments()));
            sender.send(run, &arena, counters);
            rest = after;
        }
        // The buffers are kept for the next round.
        (self.datagrams, self.arena) = (datagrams, arena);
        self.datagrams.clear();
        self.arena.clear();
    }

    /// The socket has room again.
    pub(crate) fn resume(&mut self, index: usize, counters: &mut EngineCounters) {
        let sender = &mut self.sockets[index];
        while let Some((target, bytes)) = sender.waiting.pop_front() {
            if let Err(error) = sender.try_send(&target, &bytes, None) {
                if error.kind() == io::ErrorKind::WouldBlock {
                    return sender.waiting.push_front((target, bytes));
                }
                count(&error, counters);
            }
        }
    }
}

/// How many datagrams from the first on can be one GSO send: the same target, the same size, of
/// which only the last may be smaller.
fn run(datagrams: &[Datagram], max_segments: usize) -> usize {
    let Some(first) = datagrams.first() else {
        return 0;
    };
    let size = first.end - first.start;
    if size > SEGMENT || size == 0 {
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
    fn send(&mut self, run: &[Datagram], arena: &[u8], counters: &mut EngineCounters) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return;
        };
        let whole = &arena[first.start..last.end];
        let size = (run.len() > 1).then_some(first.end - first.start);
        let sent = match self.waiting.is_empty() {
            true => self.try_send(&first.target, whole, size),
            // Behind what waits already, so that order stays.
            false => Err(io::ErrorKind::WouldBlock.into()),
        };
        match sent {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.keep(run, arena, counters),
            // The way out has no GSO, or a smaller MTU: one by one.
            Err(_) if run.len() > 1 => {
                run.iter()
                    .for_each(|d| self.send(std::slice::from_ref(d), arena, counters));
            }
            Err(e) => count(&e, counters),
        }
    }

    fn try_send(&self, target: &Target, bytes: &[u8], segment: Option<usize>) -> io::Result<()> {
        let transmit = target.transmit(bytes, segment);
        self.outer
            .state
            .try_send((&self.outer.socket).into(), &transmit)
    }

    fn keep(&mut self, run: &[Datagram], arena: &[u8], counters: &mut EngineCounters) {
        for datagram in run {
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
        Outbox::new(group.into_iter().flatten().collect())
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
                assert!(outbox.udp(&to_a, Ecn::Ect0, &vec![i as u8; *size]));
            }
            assert!(outbox.udp(&to_b, Ecn::NotEct, b"other"));
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
        assert_eq!(run(&datagrams(&[(1, 1433), (1, 1433)]), 64), 1);
        assert_eq!(run(&datagrams(&[(1, 1400); 64]), 64), 42);
        assert_eq!(run(&[], 64), 0);
    }

    #[test]
    fn no_socket_for_the_address_is_said() {
        let mut outbox = outbox("127.0.0.1:0");
        let mut elsewhere = path(&outbox, &receiver());
        elsewhere.local.set_port(1);
        assert!(!outbox.udp(&elsewhere, Ecn::NotEct, b"x"));
        assert!(!outbox.raw(&elsewhere, Ecn::NotEct, b"x"));
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
            outbox.udp(&to, Ecn::NotEct, b"packet");
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
