//! Input that nobody sane sends: nothing here may panic.

use crate::packets::udp;
use crate::suites::{SPI, all, inbound, pair, seal_raw};
use hawser_esp::{Ecn, Fragmenter, PacketInfo, Sad, echo, icmp, mss};
use hawser_flight::DropReason;
use hawser_policy::Esn;
use proptest::prelude::*;
use std::time::Instant;

/// Everything that reads inner packets, on one packet.
fn read_everything(packet: &mut [u8], mtu: u16) {
    if let Some(info) = PacketInfo::parse(packet) {
        assert!(info.header_len <= info.total_len && info.total_len <= packet.len());
    }
    for from in ["10.0.0.1", "fd00::1"] {
        let error = icmp::too_big(packet, mtu, from.parse().unwrap());
        assert!(error.is_none_or(|error| error.len() <= 1280));
    }
    let mut fragments = Vec::new();
    if let Some(mut fragmenter) = Fragmenter::new(packet, mtu.into()) {
        while let Some(length) = fragmenter.next_into(&mut fragments) {
            assert!(length <= mtu.into());
        }
    }
    mss::clamp(packet, mtu);
    echo::reply(packet);
}

/// A packet that looks like IP at first.
fn almost_ip() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        Just(0x45u8),
        Just(0x46),
        Just(0x4f),
        Just(0x60),
        any::<u8>()
    ];
    let next = prop_oneof![
        Just(0u8),
        Just(44),
        Just(6),
        Just(60),
        Just(43),
        Just(51),
        any::<u8>()
    ];
    (first, next, prop::collection::vec(any::<u8>(), 0..200)).prop_map(
        |(first, next, mut octets)| {
            let len = octets.len();
            if let [
                version,
                _,
                len_high,
                len_low,
                v6_high,
                v6_low,
                v6_next,
                _,
                _,
                v4_next,
                ..,
            ] = octets.as_mut_slice()
            {
                *version = first;
                (*v6_next, *v4_next) = (next, next);
                (*len_high, *len_low) = (0, len as u8);
                if first >> 4 == 6 {
                    (*v6_high, *v6_low) = (0, (len as u8).saturating_sub(40));
                }
            }
            octets
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn readers_survive_anything(mut packet in almost_ip(), mtu: u16) {
        read_everything(&mut packet, mtu);
        // Small enough to take packets of this size apart.
        read_everything(&mut packet, mtu % 128);
    }

    #[test]
    fn readers_survive_mutation(
        changes in prop::collection::vec((0usize..140, any::<u8>()), 1..6), v6: bool, mtu in 0u16..200,
    ) {
        let mut packet = if v6 {
            udp("[fd01::5]:1", "[fd02::6]:2", 100)
        } else {
            udp("10.1.0.5:1", "10.2.0.6:2", 100)
        };
        for (at, value) in changes {
            let at = at % packet.len();
            packet[at] = value;
        }
        read_everything(&mut packet, mtu);
    }

    #[test]
    fn authentic_rubbish_is_refused_or_opened(mut text in almost_ip(), pad: u8, next: u8, ecn: u8) {
        // The sealer takes whole words only.
        text.resize((text.len() + 2).next_multiple_of(4) - 2, 0);
        let mut sa = inbound(&["0.0.0.0/0", "::/0"], &["0.0.0.0/0", "::/0"]);
        for next in [next, 4, 41, 59] {
            for pad in [pad, 0] {
                let mut packet = seal_raw(1, &[&text[..], &[pad, next]].concat());
                let mut sa_again = inbound(&["0.0.0.0/0", "::/0"], &["0.0.0.0/0", "::/0"]);
                let opened = sa_again.open(&mut packet, Ecn::from_bits(ecn), Instant::now());
                if let Ok(opened) = opened {
                    prop_assert!(opened.inner.len() <= text.len());
                }
            }
        }
        let mut packet = text.clone();
        prop_assert!(sa.open(&mut packet, Ecn::from_bits(ecn), Instant::now()).is_err());
    }

    #[test]
    fn mutated_packets_never_open(
        suite in 0usize..15, esn: bool, at in 0usize..1000, value in 1u8.., cut in 0usize..200,
    ) {
        let (mut out, mut inn) = pair(all()[suite], if esn { Esn::Yes } else { Esn::No }, 5);
        let mut wire = Vec::new();
        out.seal(&udp("10.1.0.5:1", "10.2.0.6:2", 60), &mut wire).unwrap();
        let mut cut_off = wire[..cut % wire.len()].to_vec();
        prop_assert!(inn.open(&mut cut_off, Ecn::NotEct, Instant::now()).is_err());
        let at = at % wire.len();
        wire[at] ^= value;
        prop_assert!(inn.open(&mut wire, Ecn::NotEct, Instant::now()).is_err());
        prop_assert_eq!(inn.replay().highest(), 0);
    }
}

#[test]
fn the_sad_finds_only_its_own() {
    let mut sad = Sad::new();
    assert!(sad.insert(inbound(&[], &[]), 'a').is_none());
    assert_eq!(sad.insert(inbound(&[], &[]), 'b').unwrap().owner, 'a');
    assert!(sad.contains(SPI) && sad.len() == 1 && !sad.is_empty());
    let packet = [SPI.to_be_bytes(), [0; 4]].concat();
    assert_eq!(sad.find(&packet).unwrap().owner, 'b');
    assert_eq!(sad.find(&packet[..3]).err(), Some(DropReason::TooShort));
    assert_eq!(sad.find(&[9; 8]).err(), Some(DropReason::UnknownSpi));
    assert_eq!(sad.get(SPI).unwrap().sa.spi(), SPI);
    assert_eq!(sad.remove(SPI).unwrap().owner, 'b');
    assert!(sad.remove(SPI).is_none() && sad.get_mut(SPI).is_none());
}
