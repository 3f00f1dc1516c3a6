//! An outer packet with the headers that it had on the wire, as far as a gateway in userspace knows
//! them: addresses, ports and ECN are the real ones, the rest is filled in.

use hawser_shard::capture::Packet;
use std::net::{IpAddr, SocketAddr};

const UDP: u8 = 17;
const ESP: u8 = 50;
const HOPS: u8 = 64;

/// The IP packet; nothing of what is longer than one can be.
pub(crate) fn of(packet: &Packet) -> Option<Vec<u8>> {
    let (local, remote) = (packet.path.local, packet.path.remote);
    let (from, to) = if packet.inbound {
        (remote, local)
    } else {
        (local, remote)
    };
    // Native ESP has no ports.
    let (protocol, body) = if remote.port() == 0 {
        (ESP, packet.payload.clone())
    } else {
        (UDP, udp(from, to, &packet.payload)?)
    };
    ip(from.ip(), to.ip(), protocol, packet.ecn as u8, &body)
}

fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(payload.len() + 8).ok()?;
    let mut datagram = Vec::with_capacity(payload.len() + 8);
    for word in [from.port(), to.port(), length, 0] {
        datagram.extend_from_slice(&word.to_be_bytes());
    }
    datagram.extend_from_slice(payload);
    let mut pseudo = addresses(from.ip(), to.ip())?;
    pseudo.extend_from_slice(&[0, UDP]);
    pseudo.extend_from_slice(&length.to_be_bytes());
    // Zero would mean that there is none (RFC 768).
    let sum = match checksum(&[&pseudo, &datagram]) {
        0 => 0xffff,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    Some(datagram)
}

fn ip(from: IpAddr, to: IpAddr, protocol: u8, ecn: u8, body: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(body.len()).ok()?;
    let addresses = addresses(from, to)?;
    let mut packet = if from.is_ipv4() {
        let total = length.checked_add(20)?.to_be_bytes();
        let [high, low] = total;
        let mut header = vec![0x45, ecn, high, low, 0, 0, 0, 0, HOPS, protocol, 0, 0];
        header.extend_from_slice(&addresses);
        let sum = checksum(&[&header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    } else {
        let [high, low] = length.to_be_bytes();
        let mut header = vec![0x60, ecn << 4, 0, 0, high, low, protocol, HOPS];
        header.extend_from_slice(&addresses);
        header
    };
    packet.extend_from_slice(body);
    Some(packet)
}

/// Both addresses, if they are of one family.
fn addresses(from: IpAddr, to: IpAddr) -> Option<Vec<u8>> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Some([from.octets(), to.octets()].concat()),
        (IpAddr::V6(from), IpAddr::V6(to)) => Some([from.octets(), to.octets()].concat()),
        _ => None,
    }
}

/// RFC 1071; every part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use hawser_esp::packet::Ecn;
    use hawser_flight::Path;

    fn packet(local: &str, remote: &str, inbound: bool) -> Packet {
        Packet {
            inbound,
            path: Path {
                local: local.parse().unwrap(),
                remote: remote.parse().unwrap(),
                encapsulated: true,
            },
            ecn: Ecn::Ce,
            payload: vec![1, 2, 3],
            left_out: 0,
        }
    }

    #[test]
    fn checksums_hold_and_directions_are_told_apart() {
        let ip = of(&packet("192.0.2.1:4500", "198.51.100.7:8192", true)).unwrap();
        assert_eq!(ip.len(), 20 + 8 + 3);
        assert_eq!(ip[1], 3);
        assert_eq!(ip[12..20], [198, 51, 100, 7, 192, 0, 2, 1]);
        assert_eq!(ip[20..24], [0x20, 0, 0x11, 0x94]);
        assert_eq!(checksum(&[&ip[..20]]), 0);
        let pseudo = [&ip[12..20], &[0, UDP, 0, 11]].concat();
        assert_eq!(checksum(&[&pseudo, &ip[20..]]), 0);
        let out = of(&packet("192.0.2.1:4500", "198.51.100.7:8192", false)).unwrap();
        assert_eq!(out[12..16], [192, 0, 2, 1]);
    }

    #[test]
    fn native_esp_has_no_ports_and_ipv6_no_checksum_of_its_own() {
        let ip = of(&packet("[2001:db8::1]:0", "[2001:db8::7]:0", true)).unwrap();
        assert_eq!(ip.len(), 40 + 3);
        assert_eq!((ip[4], ip[5], ip[6]), (0, 3, ESP));
        assert_eq!(ip[40..], [1, 2, 3]);
        let mut large = packet("192.0.2.1:4500", "198.51.100.7:8192", true);
        large.payload = vec![0; 65_536];
        assert_eq!(of(&large), None);
    }
}
