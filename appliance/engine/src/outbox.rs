//! Outgoing datagrams of a round: collected, then sent in runs.
//!
//! Consecutive datagrams of the same size for the same peer leave as one GSO train, and trains for many peers in one system call. ESP is sealed
//! straight into the buffer that is sent.

use crate::counters::EngineCounters;
use crate::sender::{Datagram, RUN, Sender, Target};
use crate::udp::{Kind, OuterSocket};
use hawser_esp::SealedBatch;
use hawser_esp::packet::Ecn;
use hawser_flight::Path;
use std::net::{IpAddr, SocketAddr};

/// Octets that are collected before they are sent: beyond that they would leave the cache.
const COLLECTED: usize = 4 * RUN;
/// A shard's outer sockets and what is to be sent through them.
pub(crate) struct Outbox {
    sockets: Vec<Sender>,
    arena: SealedBatch,
    datagrams: Vec<Datagram>,
}

impl Outbox {
    /// Without `gso` every datagram leaves alone.
    pub(crate) fn new(sockets: Vec<OuterSocket>, gso: bool) -> Self {
        let sender = |outer| Sender::new(outer, gso);
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
        self.sockets[index].is_blocked()
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
                Kind::Admission(_) | Kind::Keepalives => false,
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
        self.sockets[index].resume(counters);
    }

    /// A socket on which trains are taken as one again, or no longer, since this was last asked.
    pub(crate) fn trains_changed(&mut self) -> Option<(SocketAddr, bool)> {
        let mut sockets = self.sockets.iter_mut();
        sockets.find_map(|s| Some((s.outer.local, s.gso.changed()?)))
    }

    /// Outer sockets on which trains could be sent as one, and those where they are not at the moment.
    pub(crate) fn trains(&self) -> (u64, u64) {
        let able = || self.sockets.iter().filter(|s| s.gso.is_known());
        let refused = able().filter(|s| s.gso.is_refused());
        (able().count() as u64, refused.count() as u64)
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
    fn no_socket_for_the_address_is_said() {
        let mut outbox = outbox("127.0.0.1:0");
        let mut elsewhere = path(&outbox, &receiver());
        elsewhere.local.set_port(1);
        assert!(!outbox.push(&elsewhere, Ecn::NotEct, b"x"));
        elsewhere.local.set_port(0);
        elsewhere.encapsulated = false;
        assert!(!outbox.push(&elsewhere, Ecn::NotEct, b"x"));
    }
}
