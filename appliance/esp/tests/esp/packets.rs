//! Inner packets, made and checked by `etherparse` and not by the code under test.

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use hawser_esp::Ecn;
use std::net::{IpAddr, SocketAddr};

/// A UDP packet over IPv4 or IPv6, as the addresses are; without DF.
pub(crate) fn udp(source: &str, destination: &str, payload: usize) -> Vec<u8> {
    let (source, destination) = (socket(source), socket(destination));
    let builder = match (source.ip(), destination.ip()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => PacketBuilder::ipv4(a.octets(), b.octets(), 20),
        (IpAddr::V6(a), IpAddr::V6(b)) => PacketBuilder::ipv6(a.octets(), b.octets(), 20),
        _ => panic!("one family"),
    };
    let mut packet = Vec::new();
    let payload: Vec<u8> = (0..payload).map(|n| n as u8).collect();
    builder
        .udp(source.port(), destination.port())
        .write(&mut packet, &payload)
        .unwrap();
    if packet[0] == 0x45 {
        set_v4_fragment(&mut packet, 0);
    }
    packet
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Sets the ECN field; IPv4's checksum is made anew.
pub(crate) fn set_ecn(packet: &mut [u8], ecn: Ecn) {
    match packet[0] >> 4 {
        4 => packet[1] = packet[1] & !3 | ecn.bits(),
        _ => packet[1] = packet[1] & !0x30 | ecn.bits() << 4,
    }
    set_v4_checksum(packet);
}

/// The ECN field, read by hand.
pub(crate) fn ecn(packet: &[u8]) -> u8 {
    match packet[0] >> 4 {
        4 => packet[1] & 3,
        _ => packet[1] >> 4 & 3,
    }
}

/// Sets the flags and the offset of an IPv4 header.
pub(crate) fn set_v4_fragment(packet: &mut [u8], flags_and_offset: u16) {
    packet[6..8].copy_from_slice(&flags_and_offset.to_be_bytes());
    set_v4_checksum(packet);
}

/// Makes the checksum of an IPv4 header, of IPv6 nothing.
pub(crate) fn set_v4_checksum(packet: &mut [u8]) {
    if packet[0] >> 4 == 4 {
        packet[10..12].fill(0);
        let sum = sum(&packet[..usize::from(packet[0] & 15) * 4]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// The Internet checksum by `etherparse`.
pub(crate) fn sum(octets: &[u8]) -> u16 {
    etherparse::checksum::Sum16BitWords::new()
        .add_slice(octets)
        .ones_complement()
        .to_be()
}

/// Asserts every checksum of a packet that is not a later fragment.
pub(crate) fn assert_checksums(packet: &[u8]) {
    let sliced = SlicedPacket::from_ip(packet).unwrap();
    if let Some(NetSlice::Ipv4(v4)) = &sliced.net {
        let header = v4.header().to_header();
        assert_eq!(
            header.header_checksum,
            header.calc_header_checksum(),
            "IPv4 header"
        );
    }
    let (net, transport) = (sliced.net.unwrap(), sliced.transport.unwrap());
    let (v4, v6) = match &net {
        NetSlice::Ipv4(v4) => (
            Some((v4.header().source(), v4.header().destination())),
            None,
        ),
        NetSlice::Ipv6(v6) => (
            None,
            Some((v6.header().source(), v6.header().destination())),
        ),
        NetSlice::Arp(_) => panic!("not IP"),
    };
    match transport {
        TransportSlice::Tcp(tcp) => {
            let (header, payload) = (tcp.to_header(), tcp.payload());
            let expected = match (v4, v6) {
                (Some((a, b)), _) => header.calc_checksum_ipv4_raw(a, b, payload),
                (_, Some((a, b))) => header.calc_checksum_ipv6_raw(a, b, payload),
                _ => unreachable!(),
            };
            assert_eq!(header.checksum, expected.unwrap(), "TCP");
        }
        TransportSlice::Icmpv4(icmp) => assert_eq!(sum(icmp.slice()), 0, "ICMP"),
        TransportSlice::Icmpv6(icmp) => {
            let (source, destination) = v6.unwrap();
            assert!(icmp.is_checksum_valid(source, destination), "ICMPv6");
        }
        TransportSlice::Udp(_) => {}
    }
}
