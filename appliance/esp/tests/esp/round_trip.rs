//! Sealing and opening with every suite.

use crate::packets::udp;
use crate::suites::{SPI, all, pair};
use hawser_esp::{Ecn, Encapsulation, Opened};
use hawser_flight::DropReason;
use hawser_policy::Esn;
use proptest::prelude::*;
use std::time::Instant;

fn both_families() -> [Vec<u8>; 2] {
    [
        udp("10.1.0.5:4000", "10.2.0.6:53", 100),
        udp("[2001:db8::5]:4000", "[2001:db8:1::6]:53", 101),
    ]
}

#[test]
fn every_suite_with_and_without_esn() {
    let now = Instant::now();
    for suite in all() {
        for esn in [Esn::No, Esn::Yes] {
            let (mut out, mut inn) = pair(suite, esn, 1);
            for (count, inner) in both_families().into_iter().enumerate() {
                let mut wire = b"before".to_vec();
                let sealed = out.seal(&inner, &mut wire).unwrap();
                assert_eq!(&wire[..6], b"before");
                let packet = &mut wire[6..];
                assert_eq!(
                    (sealed.len, packet.len()),
                    (packet.len(), out.sealed_len(inner.len()))
                );
                assert_eq!(packet[..4], SPI.to_be_bytes());
                assert_eq!(packet[4..8], (count as u32 + 1).to_be_bytes());
                let mut expected = inner.clone();
                let len = packet.len();
                let opened = inn.open(packet, Ecn::NotEct, now).unwrap();
                let inner = expected.as_mut_slice();
                assert_eq!(
                    opened,
                    Opened {
                        inner,
                        len,
                        newest: true,
                        dummy: false
                    },
                    "{suite:?}"
                );
            }
            assert_eq!((out.packets(), inn.packets()), (2, 2));
            assert_eq!(inn.last_seen(), Some(now));
        }
    }
}

#[test]
fn every_changed_octet_is_noticed() {
    for suite in all() {
        for esn in [Esn::No, Esn::Yes] {
            let (mut out, mut inn) = pair(suite, esn, 1);
            let mut wire = Vec::new();
            out.seal(&both_families()[0], &mut wire).unwrap();
            for at in 0..wire.len() {
                let mut changed = wire.clone();
                changed[at] ^= 0x10;
                let result = inn
                    .open(&mut changed, Ecn::NotEct, Instant::now())
                    .map(|_| ());
                assert_eq!(
                    result,
                    Err(DropReason::IntegrityFailed),
                    "{suite:?} at {at}"
                );
            }
            assert_eq!((inn.packets(), inn.last_seen()), (0, None));
            assert!(inn.open(&mut wire, Ecn::NotEct, Instant::now()).is_ok());
        }
    }
}

#[test]
fn extended_numbers_pass_two_to_the_32() {
    for suite in all() {
        let start = (1 << 32) - 3;
        let (mut out, mut inn) = pair(suite, Esn::Yes, start);
        let mut wires: Vec<Vec<u8>> = (0..8)
            .map(|_| {
                let mut wire = Vec::new();
                out.seal(&both_families()[0], &mut wire).unwrap();
                wire
            })
            .collect();
        // Reordered across the boundary: the last before it comes after the first behind it.
        wires.swap(2, 5);
        for wire in &mut wires {
            assert!(
                inn.open(wire, Ecn::NotEct, Instant::now()).is_ok(),
                "{suite:?}"
            );
        }
        assert_eq!(inn.replay().highest(), start + 7);
        assert_eq!(out.next_sequence(), start + 8);
    }
}

#[test]
fn esn_on_one_side_only_fails() {
    let suite = all()[0];
    let (mut out, _) = pair(suite, Esn::Yes, 1);
    let (_, mut inn) = pair(suite, Esn::No, 1);
    let mut wire = Vec::new();
    out.seal(&both_families()[0], &mut wire).unwrap();
    let result = inn.open(&mut wire, Ecn::NotEct, Instant::now()).map(|_| ());
    assert_eq!(result, Err(DropReason::IntegrityFailed));
}

proptest! {
    #[test]
    fn any_length_any_suite(payload in 0usize..3000, suite in 0usize..15, esn: bool) {
        let suite = all()[suite];
        let (mut out, mut inn) = pair(suite, if esn { Esn::Yes } else { Esn::No }, 77);
        let inner = udp("10.1.0.5:4000", "10.2.0.6:53", payload);
        let mut wire = Vec::new();
        out.seal(&inner, &mut wire).unwrap();
        let (encr, integ) = suite;
        let path = Encapsulation { outer_v6: true, udp: true, encr, integ };
        prop_assert_eq!(path.outer_len(inner.len()), wire.len() + 48);
        let opened = inn.open(&mut wire, Ecn::NotEct, Instant::now()).unwrap();
        prop_assert_eq!(opened.inner, inner);
    }

    #[test]
    fn the_largest_inner_packet_fits_and_no_larger(
        mtu in 0usize..10_000, suite in 0usize..15, outer_v6: bool, udp: bool,
    ) {
        let (encr, integ) = all()[suite];
        let (out, _) = pair((encr, integ), Esn::No, 1);
        let path = Encapsulation { outer_v6, udp, encr, integ };
        let headers = if outer_v6 { 40 } else { 20 } + if udp { 8 } else { 0 };
        let largest = path.max_inner(mtu);
        prop_assert!(largest == 0 || headers + out.sealed_len(largest) <= mtu);
        prop_assert!(headers + out.sealed_len(largest + 1) > mtu);
    }
}
