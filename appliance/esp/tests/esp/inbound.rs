//! What the inbound SA checks after decryption.

use crate::packets::{assert_checksums, ecn, set_ecn, set_v4_checksum, set_v4_fragment, udp};
use crate::suites::{inbound, outbound, seal_raw};
use etherparse::PacketBuilder;
use hawser_esp::{Ecn, InboundSa};
use hawser_flight::DropReason;
use std::time::Instant;

const BRANCH: &str = "10.1.0.0/16";
const HQ: &str = "10.2.0.0/16";

fn open(sa: &mut InboundSa, packet: &mut [u8]) -> Result<Vec<u8>, DropReason> {
    sa.open(packet, Ecn::NotEct, Instant::now())
        .map(|opened| opened.inner.to_vec())
}

/// Opens `inner` under selectors, each time with fresh SAs.
fn through(local: &[&str], remote: &[&str], inner: &[u8]) -> Result<Vec<u8>, DropReason> {
    let mut wire = Vec::new();
    outbound().seal(inner, &mut wire).unwrap();
    open(&mut inbound(local, remote), &mut wire)
}

#[test]
fn the_same_packet_twice() {
    let mut sa = inbound(&[HQ], &[BRANCH]);
    let mut wire = Vec::new();
    outbound()
        .seal(&udp("10.1.0.5:1", "10.2.0.6:2", 40), &mut wire)
        .unwrap();
    assert!(open(&mut sa, &mut wire.clone()).is_ok());
    assert_eq!(open(&mut sa, &mut wire), Err(DropReason::Replayed));
    assert_eq!(sa.packets(), 1);
}

#[test]
fn only_the_highest_is_newest() {
    let mut sa = inbound(&[HQ], &[BRANCH]);
    let mut out = outbound();
    let mut wires = [Vec::new(), Vec::new(), Vec::new()];
    for wire in &mut wires {
        out.seal(&udp("10.1.0.5:1", "10.2.0.6:2", 40), wire)
            .unwrap();
    }
    let newest = [0, 2, 1].map(|n: usize| {
        sa.open(&mut wires[n], Ecn::NotEct, Instant::now())
            .unwrap()
            .newest
    });
    assert_eq!(newest, [true, true, false]);
}

#[test]
fn selectors_are_checked_on_both_ends() {
    let inner = udp("10.1.0.5:4000", "10.2.0.6:53", 40);
    let mismatch = Err(DropReason::SelectorMismatch);
    assert_eq!(through(&[HQ], &[BRANCH], &inner).as_ref(), Ok(&inner));
    assert_eq!(through(&[BRANCH], &[HQ], &inner), mismatch);
    assert_eq!(through(&[HQ], &["10.1.0.6/32"], &inner), mismatch);
    assert_eq!(
        through(&["10.2.0.7/32", "10.2.0.6/32[udp]"], &[BRANCH], &inner).as_ref(),
        Ok(&inner)
    );
    assert_eq!(through(&["10.2.0.0/16[tcp]"], &[BRANCH], &inner), mismatch);
    assert_eq!(
        through(&["10.2.0.0/16[udp/53]"], &[BRANCH], &inner).as_ref(),
        Ok(&inner)
    );
    assert_eq!(
        through(&["10.2.0.0/16[udp/54]"], &[BRANCH], &inner),
        mismatch
    );
    assert_eq!(through(&[HQ], &["10.1.0.0/16[udp/53]"], &inner), mismatch);
    assert_eq!(through(&["::/0"], &["::/0"], &inner), mismatch);
    assert_eq!(through(&[], &[], &inner), mismatch);
}

#[test]
fn a_mismatch_is_authentic_traffic() {
    let mut sa = inbound(&[HQ], &["10.9.0.0/16"]);
    let mut wire = Vec::new();
    outbound()
        .seal(&udp("10.1.0.5:1", "10.2.0.6:2", 40), &mut wire)
        .unwrap();
    let now = Instant::now();
    assert!(sa.open(&mut wire, Ecn::NotEct, now).is_err());
    assert_eq!((sa.packets(), sa.last_seen()), (1, Some(now)));
}

#[test]
fn later_fragments_have_no_ports() {
    let mut first = udp("10.1.0.5:4000", "10.2.0.6:53", 40);
    set_v4_fragment(&mut first, 0x2000);
    let mut later = first.clone();
    set_v4_fragment(&mut later, 0x2007);
    let dns = ["10.2.0.0/16[udp/53]"];
    assert!(through(&dns, &[BRANCH], &first).is_ok());
    assert_eq!(
        through(&dns, &[BRANCH], &later),
        Err(DropReason::SelectorMismatch)
    );
    assert!(through(&["10.2.0.0/16[udp]"], &[BRANCH], &later).is_ok());
}

#[test]
fn icmp_type_and_code_are_ports() {
    let mut request = Vec::new();
    PacketBuilder::ipv4([10, 1, 0, 5], [10, 2, 0, 6], 20)
        .icmpv4_echo_request(1, 2)
        .write(&mut request, &[0; 20])
        .unwrap();
    let echo = ["10.2.0.0/16[icmp/2048]"];
    assert!(through(&echo, &["10.1.0.0/16[icmp/2048-2303]"], &request).is_ok());
    assert!(through(&["10.2.0.0/16[icmp/0]"], &[BRANCH], &request).is_err());
}

#[test]
fn ecn_by_rfc_6040() {
    use Ecn::{Ce, Ect0, Ect1, NotEct};
    // Section 4.2, figure 4: inner, then the result for each outer.
    let table = [
        (
            NotEct,
            [
                (NotEct, Some(NotEct)),
                (Ect0, Some(NotEct)),
                (Ect1, Some(NotEct)),
                (Ce, None),
            ],
        ),
        (
            Ect0,
            [
                (NotEct, Some(Ect0)),
                (Ect0, Some(Ect0)),
                (Ect1, Some(Ect1)),
                (Ce, Some(Ce)),
            ],
        ),
        (
            Ect1,
            [
                (NotEct, Some(Ect1)),
                (Ect0, Some(Ect1)),
                (Ect1, Some(Ect1)),
                (Ce, Some(Ce)),
            ],
        ),
        (
            Ce,
            [
                (NotEct, Some(Ce)),
                (Ect0, Some(Ce)),
                (Ect1, Some(Ce)),
                (Ce, Some(Ce)),
            ],
        ),
    ];
    let ends = [("10.1.0.5:1", "10.2.0.6:2"), ("[fd01::5]:1", "[fd02::6]:2")];
    for (source, destination) in ends {
        for (inner_ecn, results) in table {
            for (outer_ecn, expected) in results {
                let mut inner = udp(source, destination, 40);
                set_ecn(&mut inner, inner_ecn);
                let mut wire = Vec::new();
                outbound().seal(&inner, &mut wire).unwrap();
                let mut sa = inbound(&[HQ, "fd02::/16"], &[BRANCH, "fd01::/16"]);
                let got = sa.open(&mut wire, outer_ecn, Instant::now());
                let Some(expected) = expected else {
                    assert_eq!(got, Err(DropReason::EcnCongestion));
                    continue;
                };
                let got = got.unwrap().inner;
                assert_eq!(ecn(got), expected.bits());
                assert_checksums(got);
                set_ecn(&mut inner, expected);
                assert_eq!(got, inner);
            }
        }
    }
}

#[test]
fn traffic_flow_padding_is_cut_off() {
    let inner = udp("10.1.0.5:1", "10.2.0.6:2", 40);
    for padding in [0, 4, 400] {
        let text = [&inner[..], &vec![0xee; padding], &[1, 2, 2, 4]].concat();
        let got = open(&mut inbound(&[HQ], &[BRANCH]), &mut seal_raw(1, &text));
        assert_eq!(got.as_ref(), Ok(&inner));
    }
    let short = [&inner[..inner.len() - 4], &[1, 2, 2, 4]].concat();
    let got = open(&mut inbound(&[HQ], &[BRANCH]), &mut seal_raw(1, &short));
    assert_eq!(got, Err(DropReason::Malformed));
}

#[test]
fn trailers_that_make_no_sense() {
    let inner = udp("10.1.0.5:1", "10.2.0.6:2", 40);
    let trailers: [&[u8]; 7] = [
        &[1, 3, 2, 4],
        &[0, 0, 2, 4],
        &[1, 2, 200, 4],
        &[1, 2, 2, 41],
        &[1, 2, 2, 6],
        &[1, 2, 2, 0],
        &[1, 2, 255, 59],
    ];
    for trailer in trailers {
        let text = [&inner[..], trailer].concat();
        let got = open(&mut inbound(&[HQ], &[BRANCH]), &mut seal_raw(1, &text));
        assert_eq!(got, Err(DropReason::Malformed), "{trailer:?}");
    }
}

#[test]
fn dummies_are_authentic_and_empty() {
    let mut sa = inbound(&[HQ], &[BRANCH]);
    for (seq, text) in [(7, &[9, 9, 0, 59][..]), (8, &[1, 2, 2, 59][..])] {
        let mut wire = seal_raw(seq, text);
        let opened = sa.open(&mut wire, Ecn::Ce, Instant::now()).unwrap();
        assert!(opened.dummy && opened.newest && opened.inner.is_empty());
        let mut again = seal_raw(seq, text);
        assert_eq!(open(&mut sa, &mut again), Err(DropReason::Replayed));
    }
    assert_eq!(sa.packets(), 2);
}

#[test]
fn inner_headers_that_make_no_sense() {
    let good = udp("10.1.0.5:1", "10.2.0.6:2", 40);
    let changes: [(usize, u8); 4] = [(0, 0x44), (0, 0x4f), (0, 0x75), (2, 0xff)];
    for (at, value) in changes {
        let mut inner = good.clone();
        inner[at] = value;
        set_v4_checksum(&mut inner);
        let text = [&inner[..], &[1, 2, 2, 4]].concat();
        let got = open(&mut inbound(&[HQ], &[BRANCH]), &mut seal_raw(1, &text));
        // A header of 60 octets that the packet has room for is only another packet.
        let fits = value == 0x4f;
        assert_eq!(got.is_ok(), fits, "{at} {value}");
    }
    let got = open(
        &mut inbound(&[HQ], &[BRANCH]),
        &mut seal_raw(1, &[1, 2, 2, 4]),
    );
    assert_eq!(got, Err(DropReason::Malformed));
}

#[test]
fn too_short_for_anything() {
    let mut sa = inbound(&[HQ], &[BRANCH]);
    for length in 0..34 {
        let got = open(&mut sa, &mut vec![1; length]);
        assert_eq!(got, Err(DropReason::TooShort), "{length}");
    }
}
