//! Receiving from outer sockets: batches, split into the datagrams that GRO joined.

use crate::udp::OuterSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta};
use std::io::IoSliceMut;
use std::net::SocketAddr;

/// The largest datagram, and the largest train that GRO makes.
const LARGEST: usize = 1 << 16;

/// Buffers for one batch.
pub(crate) struct Inbox {
    buffers: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
    received: usize,
}

/// One or several datagrams of the same peer.
pub(crate) struct Train<'a> {
    /// Where they arrived.
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// ECN field, 0 to 3.
    pub(crate) ecn: u8,
    payload: &'a mut [u8],
    stride: usize,
}

impl<'a> Train<'a> {
    pub(crate) fn datagrams(self) -> impl Iterator<Item = &'a mut [u8]> {
        // A datagram without payload is one, too, but nobody misses it.
        self.payload.chunks_mut(self.stride)
    }
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let metas = [RecvMeta::default(); BATCH_SIZE];
        Self {
            buffers: vec![0; BATCH_SIZE * LARGEST],
            metas,
            received: 0,
        }
    }

    /// Receives what there is, at most `max` trains; whether there may be more.
    pub(crate) fn receive(&mut self, from: &OuterSocket, max: usize) -> bool {
        let max = max.min(BATCH_SIZE);
        let mut buffers = self.buffers.chunks_mut(LARGEST);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
        let socket = (&from.socket).into();
        let received = from
            .state
            .recv(socket, &mut slices[..max], &mut self.metas[..max]);
        // An error is a pending one of the socket or nothing to read: the next round will see.
        self.received = received.unwrap_or(0);
        self.received == max
    }

    /// The trains of the last batch, which arrived on a socket bound to `local`.
    pub(crate) fn trains(&mut self, local: SocketAddr) -> impl Iterator<Item = Train<'_>> {
        let buffers = self.buffers.chunks_mut(LARGEST);
        let received = buffers.zip(&self.metas[..self.received]);
        received.map(move |(buffer, meta)| Train {
            local: SocketAddr::new(meta.dst_ip.unwrap_or(local.ip()), local.port()),
            remote: plain(meta.addr),
            ecn: meta.ecn.map_or(0, |ecn| ecn as u8),
            payload: &mut buffer[..meta.len.min(LARGEST)],
            stride: meta.stride.max(1),
        })
    }
}

/// Without flow label: it is no part of who the peer is. The scope of link-local addresses stays.
fn plain(mut address: SocketAddr) -> SocketAddr {
    if let SocketAddr::V6(v6) = &mut address {
        v6.set_flowinfo(0);
    }
    address
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::steering::Port;
    use crate::udp::bind_group;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

    fn check(listen: &str, to: IpAddr) {
        let group = bind_group(listen.parse().unwrap(), Port::Nat, 1, None).unwrap();
        let outer = &group[0][0];
        let to = SocketAddr::new(to, outer.local.port());
        let from = socket2::Socket::from(UdpSocket::bind((to.ip(), 0)).unwrap());
        let state = quinn_udp::UdpSocketState::new((&from).into()).unwrap();
        let contents: Vec<u8> = (0..25u8).map(|i| i / 10 + 1).collect();
        let transmit = quinn_udp::Transmit {
            destination: to,
            ecn: Some(quinn_udp::EcnCodepoint::Ce),
            contents: &contents,
            segment_size: Some(10),
            src_ip: None,
        };
        state.try_send((&from).into(), &transmit).unwrap();
        let mut inbox = Inbox::new();
        let mut got: Vec<Vec<u8>> = Vec::new();
        while got.len() < 3 {
            inbox.receive(outer, BATCH_SIZE);
            for train in inbox.trains(outer.local) {
                assert_eq!((train.local, train.ecn), (to, 3));
                got.extend(train.datagrams().map(|d| d.to_vec()));
            }
        }
        assert_eq!(got, [vec![1; 10], vec![2; 10], vec![3; 5]]);
    }

    #[test]
    fn trains_are_split_and_wildcards_know_their_address() {
        check("0.0.0.0:0", Ipv4Addr::LOCALHOST.into());
        if UdpSocket::bind("[::1]:0").is_ok() {
            check("[::]:0", Ipv6Addr::LOCALHOST.into());
        }
    }
}
