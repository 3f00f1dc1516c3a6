//! Raw sockets for native ESP (IP protocol 50).
//!
//! They know no reuseport: the kernel gives every one a copy, and a filter on the bucket of the
//! SPI leaves each packet to one shard. They are read and written like the UDP sockets (quinn-udp
//! sets and reads the same control messages); IPv4 ones deliver the IP header, too.

use crate::sockopt;
use crate::steering;
use crate::udp::{Kind, OuterSocket, outer};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};

const ESP: i32 = 50;

/// The raw socket of each shard on an address.
pub(crate) fn open(address: IpAddr, shards: u8, mark: Option<u32>) -> io::Result<Vec<OuterSocket>> {
    let local = SocketAddr::new(address, 0);
    let open = |shard| {
        let socket = Socket::new(
            Domain::for_address(local),
            Type::RAW,
            Some(Protocol::from(ESP)),
        )?;
        // Before it is bound, so that no packet of another shard slips in.
        let filter = steering::raw_filter(address.is_ipv4(), shard, shards);
        sockopt::attach_filter(&socket, &filter)?;
        socket.bind(&local.into())?;
        outer(socket, local, Kind::RawEsp, mark)
    };
    (0..shards).map(open).collect()
}

/// The ESP packet in what a raw socket delivered.
pub(crate) fn payload(v4: bool, packet: &mut [u8]) -> &mut [u8] {
    let header = match packet.first() {
        Some(first) if v4 => 4 * usize::from(first & 15),
        _ => 0,
    };
    packet.get_mut(header..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read;
    use std::time::{Duration, Instant};

    /// Needs CAP_NET_RAW; says so and passes without.
    fn check(address: &str) {
        let address: IpAddr = address.parse().unwrap();
        let shards = 3;
        let Ok(sockets) = open(address, shards, None) else {
            eprintln!("skipped: no raw socket on {address}");
            return;
        };
        for top in [1u8, 2, 3, 250] {
            let packet = [top, 1, 2, 3, 0, 0, 0, 1, 42];
            sockets[0]
                .socket
                .send_to(&packet, &SocketAddr::new(address, 0).into())
                .unwrap();
            let begin = Instant::now();
            let mut buffer = [0; 128];
            let (shard, len) = loop {
                assert!(begin.elapsed() < Duration::from_secs(5), "lost");
                let read =
                    |(i, s): (usize, &OuterSocket)| Some((i, (&s.socket).read(&mut buffer).ok()?));
                if let Some(received) = sockets.iter().enumerate().find_map(read) {
                    break received;
                }
            };
            assert_eq!(shard, usize::from(top % shards));
            assert_eq!(payload(address.is_ipv4(), &mut buffer[..len]), packet);
        }
    }

    #[test]
    fn each_packet_reaches_its_shard_alone() {
        check("127.0.0.1");
    }

    #[test]
    fn each_packet_reaches_its_shard_alone_v6() {
        check("::1");
    }

    #[test]
    fn payload_of_nonsense_is_empty() {
        assert!(payload(true, &mut [0x4f, 0]).is_empty());
        assert!(payload(true, &mut []).is_empty());
        assert_eq!(payload(false, &mut [1, 2]), [1, 2]);
    }
}
