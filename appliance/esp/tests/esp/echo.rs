//! Echo replies.

use crate::packets::assert_checksums;
use etherparse::{IcmpEchoHeader, Icmpv4Slice, Icmpv4Type, Icmpv6Slice, Icmpv6Type, PacketBuilder};
use hawser_esp::{PacketInfo, echo};

const ECHO: IcmpEchoHeader = IcmpEchoHeader {
    id: 0x1234,
    seq: 0xfffe,
};

fn request_v4(destination: [u8; 4]) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4([10, 1, 0, 5], destination, 3);
    builder
        .icmpv4_echo_request(ECHO.id, ECHO.seq)
        .write(&mut packet, b"payload")
        .unwrap();
    packet
}

#[test]
fn v4() {
    let mut packet = request_v4([10, 2, 0, 6]);
    let before = packet.clone();
    assert!(echo::reply(&mut packet));
    assert_checksums(&packet);
    let info = PacketInfo::parse(&packet).unwrap();
    assert_eq!(
        (info.source, info.destination),
        ([10, 2, 0, 6].into(), [10, 1, 0, 5].into())
    );
    let icmp = Icmpv4Slice::from_slice(&packet[20..]).unwrap();
    assert_eq!(icmp.icmp_type(), Icmpv4Type::EchoReply(ECHO));
    assert_eq!(
        (icmp.payload(), packet[8], packet.len()),
        (&b"payload"[..], 64, before.len())
    );
    assert!(!echo::reply(&mut packet), "a reply has no reply");
}

#[test]
fn v6() {
    let mut packet = Vec::new();
    let (from, to) = ([0xfd; 16], [0xfc; 16]);
    let builder = PacketBuilder::ipv6(from, to, 3).icmpv6_echo_request(ECHO.id, ECHO.seq);
    builder.write(&mut packet, b"payload").unwrap();
    assert!(echo::reply(&mut packet));
    assert_checksums(&packet);
    assert_eq!(
        (&packet[8..24], &packet[24..40], packet[7]),
        (&to[..], &from[..], 64)
    );
    let icmp = Icmpv6Slice::from_slice(&packet[40..]).unwrap();
    assert_eq!(icmp.icmp_type(), Icmpv6Type::EchoReply(ECHO));
}

#[test]
fn nothing_else_is_answered() {
    for destination in [[224, 0, 0, 1], [255; 4]] {
        let mut packet = request_v4(destination);
        let before = packet.clone();
        assert!(!echo::reply(&mut packet));
        assert_eq!(packet, before);
    }
    let mut fragment = request_v4([10, 2, 0, 6]);
    fragment[6] = 0x20;
    assert!(!echo::reply(&mut fragment));
    let mut udp = crate::packets::udp("10.1.0.5:2048", "10.2.0.6:2048", 10);
    assert!(!echo::reply(&mut udp));
}
