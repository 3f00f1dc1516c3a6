//! Outer sockets: binding them in reuseport groups, and their options.
//!
//! **DF.** quinn-udp forbids fragmentation, as QUIC wants it. An IPsec gateway must not: ESP that
//! does not fit the path after encapsulation, and an IKE message of a peer without RFC 7383, would
//! vanish. So `IP_PMTUDISC_DONT` is set after it (no DF, the path may fragment), and for IPv6
//! fragmentation by us is allowed again. That large packets are rare is the shard's business
//! (ICMP too-big towards the inside, MSS clamping).
//!
//! **Timestamps.** quinn-udp 0.6.3 also asks for receive timestamps, which nobody here reads. With
//! them the control messages of a GRO train (timestamp, segment size, destination, ECN) do not fit
//! its buffer of 96 octets, and the last one, ECN, is cut off. So they are switched off again.

use crate::error::StartError;
use crate::sockopt;
use crate::steering::{self, Port};
use quinn_udp::UdpSocketState;
use rustix::net::sockopt::{self as options, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Receive and send buffers asked for: half a second of 100 Mbit/s for each socket.
const BUFFER: usize = 8 << 20;

/// An outer socket of a shard.
pub(crate) struct OuterSocket {
    pub(crate) socket: Socket,
    pub(crate) state: UdpSocketState,
    /// Where it is bound; port 0 for a raw socket.
    pub(crate) local: SocketAddr,
    pub(crate) kind: Kind,
}

/// What an outer socket is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// What carries a SPI of this shard.
    Established(Port),
    /// First messages of strangers.
    Admission(Port),
    /// NAT keepalives (RFC 3948 2.3) of all shards: they wake nobody, and are read now and then to be counted.
    Keepalives,
    /// Native ESP.
    RawEsp,
}

/// An address that the engine listens on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Address and port, as bound.
    pub address: SocketAddr,
    /// Whether it is the NAT traversal port (UDP-encapsulated ESP, IKE behind the marker).
    pub nat: bool,
}

/// Binds the group of an address and port: for each shard its sockets.
///
/// The first socket is bound alone and only then opened to the group: so another program, or
/// another hawser, that holds the port is noticed instead of being joined.
pub(crate) fn bind_group(
    address: SocketAddr,
    port: Port,
    shards: u8,
    mark: Option<u32>,
) -> Result<Vec<Vec<OuterSocket>>, StartError> {
    let failed = |e| socket_error(address, e);
    let first = udp_socket(address).map_err(failed)?;
    first.bind(&address.into()).map_err(failed)?;
    first.set_reuse_port(true).map_err(failed)?;
    let local = local_address(&first).map_err(failed)?;
    let mut sockets = vec![first];
    let keepalives = usize::from(port == Port::Nat);
    while sockets.len() < 2 * usize::from(shards) + keepalives {
        let next = udp_socket(local).map_err(failed)?;
        next.set_reuse_port(true).map_err(failed)?;
        next.bind(&local.into()).map_err(failed)?;
        sockets.push(next);
    }
    sockopt::attach_reuseport_program(&sockets[0], &steering::program(port, shards))
        .map_err(failed)?;
    let n = usize::from(shards);
    let mut group: Vec<Vec<OuterSocket>> = (0..n).map(|_| Vec::new()).collect();
    for (index, socket) in sockets.into_iter().enumerate() {
        let kind = match index / n {
            0 => Kind::Established(port),
            1 => Kind::Admission(port),
            _ => Kind::Keepalives,
        };
        group[index % n].push(outer(socket, local, kind, mark).map_err(failed)?);
    }
    Ok(group)
}

fn udp_socket(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if domain == Domain::IPV6 {
        // IPv4 has sockets of its own: mapped addresses would be a second name for a peer.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Sets the options that all outer sockets have.
pub(crate) fn outer(
    socket: Socket,
    local: SocketAddr,
    kind: Kind,
    mark: Option<u32>,
) -> io::Result<OuterSocket> {
    let state = UdpSocketState::new((&socket).into())?;
    sockopt::without_timestamps(&socket)?;
    if local.is_ipv4() {
        options::set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DONT)?;
    } else {
        options::set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::DONT)?;
        sockopt::allow_v6_fragments(&socket)?;
    }
    if let Some(mark) = mark {
        socket.set_mark(mark)?;
    }
    enlarge_buffers(&socket);
    Ok(OuterSocket {
        socket,
        state,
        local,
        kind,
    })
}

/// As large as the right to it goes: beyond the system's limit with CAP_NET_ADMIN.
fn enlarge_buffers(socket: &Socket) {
    if options::set_socket_recv_buffer_size_force(socket, BUFFER).is_err() {
        let _ = SockRef::from(socket).set_recv_buffer_size(BUFFER);
    }
    if options::set_socket_send_buffer_size_force(socket, BUFFER).is_err() {
        let _ = SockRef::from(socket).set_send_buffer_size(BUFFER);
    }
}

fn local_address(socket: &Socket) -> io::Result<SocketAddr> {
    socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

pub(crate) fn socket_error(address: SocketAddr, source: io::Error) -> StartError {
    match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse(address),
        io::ErrorKind::PermissionDenied => StartError::PortNotPermitted(address),
        io::ErrorKind::AddrNotAvailable => StartError::NoSuchAddress(address),
        _ => StartError::Socket { address, source },
    }
}

/// The addresses to bind: each once, and none that a wildcard of its family has already.
pub(crate) fn distinct(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let wildcard = |v4: bool| {
        addresses
            .iter()
            .any(|a| a.is_ipv4() == v4 && a.is_unspecified())
    };
    let mut distinct: Vec<IpAddr> = Vec::new();
    for address in addresses {
        let covered = wildcard(address.is_ipv4()) && !address.is_unspecified();
        if !covered && !distinct.contains(address) {
            distinct.push(*address);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::UdpSocket;
    use std::time::Duration;

    /// The number of the socket in its group that a datagram lands on.
    fn lands_on(group: &[Vec<OuterSocket>], datagram: &[u8]) -> usize {
        let to = group[0][0].local;
        let from = UdpSocket::bind((to.ip(), 0)).unwrap();
        from.send_to(datagram, to).unwrap();
        let begin = std::time::Instant::now();
        while begin.elapsed() < Duration::from_secs(5) {
            for (i, pair) in group.iter().enumerate() {
                for (j, outer) in pair.iter().enumerate() {
                    let mut buffer = [std::mem::MaybeUninit::uninit(); 64];
                    if outer.socket.recv(&mut buffer).is_ok() {
                        return i + j * group.len();
                    }
                }
            }
        }
        panic!("lost {datagram:?}");
    }

    fn ike(spi_i: [u8; 8], spi_r: [u8; 8], flags: u8) -> Vec<u8> {
        let mut header = [&spi_i[..], &spi_r[..], &[33, 0x20, 34, flags], &[0; 8]].concat();
        header.push(0);
        header
    }

    fn check(address: &str) {
        let address: SocketAddr = address.parse().unwrap();
        for shards in [1u8, 3, 4] {
            let n = usize::from(shards);
            let plain = bind_group(address, Port::Ike, shards, None).unwrap();
            let nat = bind_group(address, Port::Nat, shards, None).unwrap();
            let marked = |d: Vec<u8>| [&[0; 4], &d[..]].concat();
            for bucket in [1u8, 2, 3, 4, 5, 127, 200, 255] {
                let shard = usize::from(bucket) % n;
                let ours = [bucket, 1, 2, 3, 4, 5, 6, 7];
                let theirs = [9, 9, 9, 9, 9, 9, 9, bucket];
                let cases = [
                    (ike(theirs, ours, 0x08), shard),
                    (ike(ours, theirs, 0x20), shard),
                    (ike(ours, [0; 8], 0x20), shard),
                    (ike(theirs, [0; 8], 0x08), n + shard),
                ];
                for (datagram, want) in cases {
                    assert_eq!(lands_on(&plain, &datagram), want, "{datagram:?} of {n}");
                    assert_eq!(lands_on(&nat, &marked(datagram)), want);
                }
                assert_eq!(
                    lands_on(&nat, &[bucket, 0, 0, 1, 0, 0, 0, 1, 7]),
                    shard,
                    "ESP"
                );
            }
            assert_eq!(lands_on(&plain, &[1, 2, 3]), n);
            assert_eq!(lands_on(&nat, &[0xff]), 2 * n, "keepalive");
            assert_eq!(lands_on(&nat, &[1, 2, 3]), n);
        }
    }

    #[test]
    fn datagrams_land_where_the_program_says() {
        check("127.0.0.1:0");
    }

    #[test]
    fn datagrams_land_where_the_program_says_v6() {
        if UdpSocket::bind("[::1]:0").is_ok() {
            check("[::1]:0");
        }
    }

    #[test]
    fn a_port_in_use_is_noticed_also_of_a_reuseport_group() {
        let group = bind_group("127.0.0.1:0".parse().unwrap(), Port::Ike, 2, None).unwrap();
        let taken = group[0][0].local;
        let error = bind_group(taken, Port::Ike, 2, None)
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, StartError::PortInUse(a) if a == taken));
        assert!(
            error.to_string().contains(&taken.port().to_string()),
            "{error}"
        );
    }

    #[test]
    fn large_datagrams_fragment_rather_than_vanish() {
        let group = bind_group("127.0.0.1:0".parse().unwrap(), Port::Ike, 1, None).unwrap();
        let mode = options::ip_mtu_discover(&group[0][0].socket).unwrap();
        assert_eq!(mode, Ipv4PathMtuDiscovery::DONT);
    }

    #[test]
    fn wildcards_cover_their_family() {
        let list = |t: &[&str]| {
            t.iter()
                .map(|a| a.parse().unwrap())
                .collect::<Vec<IpAddr>>()
        };
        let got = distinct(&list(&["127.0.0.1", "0.0.0.0", "::1", "::1", "0.0.0.0"]));
        assert_eq!(got, list(&["0.0.0.0", "::1"]));
    }
}
