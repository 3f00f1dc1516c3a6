//! What makes inner packets fit: MSS, ICMP errors, fragments, and the parser beneath.

use crate::packets::{assert_checksums, set_v4_checksum, set_v4_fragment, sum, udp};
use etherparse::{
    Icmpv4Type, Icmpv6Type, Ipv4Slice, PacketBuilder, SlicedPacket, TcpOptionElement,
    TransportSlice, icmpv4::DestUnreachableHeader,
};
use hawser_esp::{Fragment, Fragmenter, PacketInfo, icmp, mss};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

/// A TCP segment with raw options, which are whole words.
fn tcp(v6: bool, syn: bool, options: &[u8]) -> Vec<u8> {
    let builder = if v6 {
        PacketBuilder::ipv6([0xfd; 16], [0xfc; 16], 20)
    } else {
        PacketBuilder::ipv4([10, 1, 0, 5], [10, 2, 0, 6], 20)
    };
    let builder = builder.tcp(4000, 80, 7, 1000).options_raw(options).unwrap();
    let builder = if syn { builder.syn() } else { builder.ack(9) };
    let mut packet = Vec::new();
    builder.write(&mut packet, b"odd").unwrap();
    packet
}

fn mss_of(packet: &[u8]) -> Option<u16> {
    let sliced = SlicedPacket::from_ip(packet).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = sliced.transport else {
        panic!("TCP")
    };
    tcp.options_iterator().find_map(|option| match option {
        Ok(TcpOptionElement::MaximumSegmentSize(mss)) => Some(mss),
        _ => None,
    })
}

#[test]
fn mss_is_lowered_and_never_raised() {
    for (v6, header) in [(false, 40), (true, 60)] {
        for (mss, mtu, expected) in [
            (1460, 1400, 1400 - header),
            (1000, 1400, 1000),
            (1, 1400, 1),
        ] {
            let [high, low] = u16::to_be_bytes(mss);
            let mut packet = tcp(v6, true, &[2, 4, high, low, 1, 1, 1, 0]);
            assert_eq!(mss::clamp(&mut packet, mtu), mss != expected);
            assert_eq!(mss_of(&packet), Some(expected));
            assert_checksums(&packet);
        }
    }
}

#[test]
fn mss_at_an_odd_offset() {
    for v6 in [false, true] {
        let mut packet = tcp(v6, true, &[1, 2, 4, 0x05, 0xb4, 1, 1, 0]);
        assert!(mss::clamp(&mut packet, 1280));
        assert_eq!(mss_of(&packet), Some(if v6 { 1220 } else { 1240 }));
        assert_checksums(&packet);
    }
}

#[test]
fn mss_of_other_packets_stays() {
    let option = [2, 4, 0x05, 0xb4];
    let mut fragment = tcp(false, true, &option);
    set_v4_fragment(&mut fragment, 1);
    let others = [
        tcp(false, false, &option),
        tcp(false, true, &[]),
        tcp(false, true, &[0, 2, 4, 5]),
        tcp(false, true, &[2, 3, 0x05, 0xb4]),
        tcp(false, true, &[1, 1, 2, 4]),
        tcp(false, true, &[5, 0, 0, 0]),
        udp("10.1.0.5:1", "10.2.0.6:2", 60),
        fragment,
    ];
    for mut packet in others {
        let before = packet.clone();
        assert!(!mss::clamp(&mut packet, 576));
        assert_eq!(packet, before);
    }
    let mut packet = tcp(false, true, &option);
    assert!(
        !mss::clamp(&mut packet, 40),
        "nothing is left for a segment"
    );
}

fn icmp_v4_of(error: &[u8]) -> (Icmpv4Type, Vec<u8>) {
    match SlicedPacket::from_ip(error).unwrap().transport.unwrap() {
        TransportSlice::Icmpv4(icmp) => (icmp.icmp_type(), icmp.payload().to_vec()),
        _ => panic!("ICMP"),
    }
}

fn with_df(mut packet: Vec<u8>) -> Vec<u8> {
    set_v4_fragment(&mut packet, 0x4000);
    packet
}

const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1));

#[test]
fn fragmentation_needed() {
    for payload in [600, 1400, 1401] {
        let packet = with_df(udp("10.2.0.6:2", "10.1.0.5:1", payload));
        let error = icmp::too_big(&packet, 576, GATEWAY).unwrap();
        assert_checksums(&error);
        assert_eq!(error.len(), 576);
        let info = PacketInfo::parse(&error).unwrap();
        assert_eq!(
            (info.source, info.destination),
            (GATEWAY, [10, 2, 0, 6].into())
        );
        let (kind, quoted) = icmp_v4_of(&error);
        let next_hop_mtu = 576;
        let expected = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu };
        assert_eq!(kind, Icmpv4Type::DestinationUnreachable(expected));
        assert_eq!(quoted, packet[..548]);
    }
}

#[test]
fn packet_too_big() {
    let packet = udp("[fd02::6]:2", "[fd01::5]:1", 1400);
    let from: IpAddr = "fd02::1".parse().unwrap();
    for (mtu, told) in [(1400, 1400), (1300, 1300), (1000, 1280)] {
        let error = icmp::too_big(&packet, mtu, from).unwrap();
        assert_checksums(&error);
        assert_eq!(error.len(), 1280);
        let info = PacketInfo::parse(&error).unwrap();
        assert_eq!(
            (info.source, info.destination),
            (from, "fd02::6".parse().unwrap())
        );
        let Some(TransportSlice::Icmpv6(icmp)) = SlicedPacket::from_ip(&error).unwrap().transport
        else {
            panic!("ICMPv6")
        };
        assert_eq!(icmp.icmp_type(), Icmpv6Type::PacketTooBig { mtu: told });
        assert_eq!(icmp.payload(), &packet[..1280 - 48]);
    }
    let least = udp("[fd02::6]:2", "[fd01::5]:1", 1280 - 48);
    assert_eq!(icmp::too_big(&least, 1000, from), None);
}

#[test]
fn no_error_about_what_must_not_cause_one() {
    let packet = with_df(udp("10.2.0.6:2", "10.1.0.5:1", 600));
    let from_v6: IpAddr = "fd02::1".parse().unwrap();
    assert_eq!(icmp::too_big(&packet, 628, GATEWAY), None, "fits");
    assert_eq!(icmp::too_big(&packet, 500, from_v6), None, "other family");
    let error = icmp::too_big(&packet, 500, GATEWAY).unwrap();
    assert_eq!(icmp::too_big(&error, 500, GATEWAY), None, "about an error");
    let mut echo = Vec::new();
    let builder = PacketBuilder::ipv4([10, 2, 0, 6], [10, 1, 0, 5], 20);
    builder
        .icmpv4_echo_request(1, 1)
        .write(&mut echo, &[0; 600])
        .unwrap();
    assert!(
        icmp::too_big(&with_df(echo), 500, GATEWAY).is_some(),
        "about an echo"
    );
    assert_eq!(
        icmp::too_big(&udp("10.2.0.6:2", "10.1.0.5:1", 600), 500, GATEWAY),
        None,
        "no DF"
    );
    for flags in [0x4001, 0x6001] {
        let mut fragment = packet.clone();
        set_v4_fragment(&mut fragment, flags);
        assert_eq!(
            icmp::too_big(&fragment, 500, GATEWAY),
            None,
            "later fragment"
        );
    }
    for (source, destination) in [
        ("10.2.0.6:2", "224.0.0.9:1"),
        ("10.2.0.6:2", "255.255.255.255:1"),
        ("0.0.0.0:2", "10.1.0.5:1"),
        ("239.0.0.1:2", "10.1.0.5:1"),
        ("[fd02::6]:2", "[ff02::1]:1"),
        ("[::]:2", "[fd01::5]:1"),
    ] {
        let packet = udp(source, destination, 1400);
        let packet = if packet[0] == 0x45 {
            with_df(packet)
        } else {
            packet
        };
        let from = if packet[0] == 0x45 { GATEWAY } else { from_v6 };
        assert_eq!(
            icmp::too_big(&packet, 1300, from),
            None,
            "{source} to {destination}"
        );
    }
    let mut error = Vec::new();
    let builder = PacketBuilder::ipv6([0xfd; 16], [0xfc; 16], 20);
    let too_big = Icmpv6Type::PacketTooBig { mtu: 1300 };
    builder
        .icmpv6(too_big)
        .write(&mut error, &[0; 1400])
        .unwrap();
    assert_eq!(
        icmp::too_big(&error, 1300, from_v6),
        None,
        "about an ICMPv6 error"
    );
}

fn fragments_of(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let mut fragmenter = Fragmenter::new(packet, mtu).unwrap();
    let mut fragments = Vec::new();
    let mut buffer = Vec::new();
    while let Some(length) = fragmenter.next_into(&mut buffer) {
        fragments.push(buffer[buffer.len() - length..].to_vec());
    }
    assert_eq!(buffer, fragments.concat());
    fragments
}

/// Checks every fragment by `etherparse` and puts the payload together. Offsets count from `base` octets on.
fn reassemble(fragments: &[Vec<u8>], mtu: usize, base: usize, more_behind: bool) -> Vec<u8> {
    let mut payload = Vec::new();
    for (number, fragment) in fragments.iter().enumerate() {
        let last = number + 1 == fragments.len();
        assert!(fragment.len() <= mtu);
        let slice = Ipv4Slice::from_slice(fragment).unwrap();
        let header = slice.header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        assert_eq!(usize::from(header.total_len), fragment.len());
        assert_eq!(
            usize::from(header.fragment_offset.value()) * 8,
            base + payload.len()
        );
        assert_eq!(header.more_fragments, !last || more_behind);
        payload.extend(slice.payload().payload);
    }
    payload
}

proptest! {
    #[test]
    fn fragments_make_up_the_packet(
        payload in 0usize..4000, mtu in 68usize..1500, offset in 0u16..7000, more: bool, tos: u8,
    ) {
        let mut packet = udp("10.2.0.6:2", "10.1.0.5:1", payload);
        packet[1] = tos;
        set_v4_fragment(&mut packet, offset | if more { 0x2000 } else { 0 });
        let fragments = fragments_of(&packet, mtu);
        let got = reassemble(&fragments, mtu, usize::from(offset) * 8, more);
        prop_assert_eq!(&got, &packet[20..]);
        for fragment in &fragments {
            prop_assert_eq!(&fragment[..2], &packet[..2]);
            prop_assert_eq!(&fragment[4..6], &packet[4..6]);
            prop_assert_eq!(&fragment[8..10], &packet[8..10]);
            prop_assert_eq!(&fragment[12..20], &packet[12..20]);
        }
    }
}

/// A packet with raw IPv4 options.
fn with_options(options: &[u8], payload: usize) -> Vec<u8> {
    let mut packet = udp("10.2.0.6:2", "10.1.0.5:1", payload);
    packet.splice(20..20, options.iter().copied());
    packet[0] = 0x45 + (options.len() / 4) as u8;
    let total_len = packet.len() as u16;
    packet[2..4].copy_from_slice(&total_len.to_be_bytes());
    set_v4_checksum(&mut packet);
    packet
}

#[test]
fn only_options_to_be_copied_are_in_later_fragments() {
    // Record route (not copied), no operation, router alert (copied), a copied one of 3 octets, end.
    let options = [7, 7, 4, 1, 2, 3, 4, 1, 0x94, 4, 0, 0, 0x9e, 3, 9, 0];
    let packet = with_options(&options, 300);
    let fragments = fragments_of(&packet, 100);
    assert_eq!(fragments[0][20..36], options);
    for later in &fragments[1..] {
        assert_eq!(later[0], 0x47);
        assert_eq!(later[20..28], [0x94, 4, 0, 0, 0x9e, 3, 9, 0]);
    }
    assert_eq!(reassemble(&fragments, 100, 0, false), packet[36..]);
}

#[test]
fn what_cannot_be_fragmented() {
    let packet = udp("10.2.0.6:2", "10.1.0.5:1", 300);
    assert!(Fragmenter::new(&with_df(packet.clone()), 100).is_none());
    assert!(Fragmenter::new(&udp("[fd02::6]:2", "[fd01::5]:1", 300), 100).is_none());
    assert!(Fragmenter::new(&packet, 27).is_none());
    assert!(Fragmenter::new(&packet, 28).is_some());
    assert!(Fragmenter::new(&with_options(&[7, 0, 0, 0], 300), 100).is_none());
    assert!(Fragmenter::new(&with_options(&[7, 9, 0, 0], 300), 100).is_none());
    let mut beyond = packet.clone();
    set_v4_fragment(&mut beyond, 0x1fff);
    assert!(Fragmenter::new(&beyond, 100).is_none());
    assert_eq!(fragments_of(&packet, 328), [packet]);
}

/// An IPv6 UDP packet with raw extension headers before the UDP header.
fn with_extensions(first: u8, extensions: &[u8]) -> Vec<u8> {
    let mut packet = udp("[fd02::6]:2000", "[fd01::5]:53", 20);
    packet.splice(40..40, extensions.iter().copied());
    packet[6] = first;
    packet[5] = (packet.len() - 40) as u8;
    packet
}

#[test]
fn extension_headers_are_walked() {
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let fragment = |next: u8, field: u16| [next, 0, (field >> 8) as u8, field as u8, 0, 0, 0, 1];
    let authentication = [
        17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ];
    let ports = (Some(2000), Some(53));
    let cases = [
        (
            0,
            [options(43), options(60), options(17)].concat(),
            Fragment::Whole,
            ports,
        ),
        (51, authentication.to_vec(), Fragment::Whole, ports),
        (44, fragment(17, 1).to_vec(), Fragment::First, ports),
        (44, fragment(17, 0).to_vec(), Fragment::Whole, ports),
        (
            0,
            [options(44), fragment(17, 8)].concat(),
            Fragment::Later,
            (None, None),
        ),
        (44, fragment(17, 9).to_vec(), Fragment::Later, (None, None)),
    ];
    for (first, extensions, fragment, ports) in cases {
        let packet = with_extensions(first, &extensions);
        let info = PacketInfo::parse(&packet).unwrap();
        assert_eq!((info.protocol, info.fragment), (17, fragment), "{first}");
        assert_eq!((info.source_port, info.destination_port), ports);
        assert_eq!(
            (info.header_len, info.total_len),
            (40 + extensions.len(), packet.len())
        );
        assert_eq!(info.is_fragment(), fragment != Fragment::Whole);
    }
    let too_many: Vec<u8> = (0..9).flat_map(|_| options(60)).collect();
    assert_eq!(PacketInfo::parse(&with_extensions(60, &too_many)), None);
    let beyond = [17, 200, 0, 0, 0, 0, 0, 0];
    assert_eq!(PacketInfo::parse(&with_extensions(60, &beyond)), None);
}

#[test]
fn headers_are_read() {
    let mut packet = with_df(udp("10.2.0.6:2000", "10.1.0.5:53", 20));
    let total_len = packet.len();
    packet.extend([0; 9]);
    let info = PacketInfo::parse(&packet).unwrap();
    assert_eq!(
        (info.source, info.destination),
        ([10, 2, 0, 6].into(), [10, 1, 0, 5].into())
    );
    assert_eq!(
        (info.source_port, info.destination_port),
        (Some(2000), Some(53))
    );
    assert_eq!(
        (info.total_len, info.header_len, info.dont_fragment),
        (total_len, 20, true)
    );
    assert_eq!(PacketInfo::parse(&packet[..total_len - 1]), None);
    assert_eq!(PacketInfo::parse(&[]), None);
    assert_eq!(sum(&packet[..20]), 0);
}
