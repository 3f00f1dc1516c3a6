//! Batches do what the single packet path does, for every suite, size, mixture and kind of damage.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Keyed, suites};
use hawser_crypto::{EspOpener, EspSealer, ToOpen, ToSeal};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn sealer(suite: &Keyed) -> EspSealer {
    EspSealer::new(suite.encr, suite.integ, &suite.encr_key, &suite.integ_key).unwrap()
}

fn opener(suite: &Keyed) -> EspOpener {
    EspOpener::new(suite.encr, suite.integ, &suite.encr_key, &suite.integ_key).unwrap()
}

/// A packet in clear with room for IV and ICV, its text at least `len` octets.
fn clear(sealer: &EspSealer, number: usize, len: usize) -> Vec<u8> {
    let text = (len + 2).next_multiple_of(sealer.align());
    let sized = 8 + sealer.iv_len() + text + sealer.icv_len();
    (0..sized).map(|at| (at * 31 + number * 7) as u8).collect()
}

/// Lengths as they come: equal ones with a shorter last one, or any.
fn lengths() -> impl Strategy<Value = Vec<usize>> {
    let train = (1..80usize, 0..1500usize, 0..1500usize).prop_map(|(count, len, last)| {
        let mut train = vec![len; count];
        train.push(last.min(len));
        train
    });
    prop_oneof![train, vec(0..1500usize, 0..100), vec(0..80usize, 0..100)]
}

fn suite() -> impl Strategy<Value = Keyed> {
    any::<u8>().prop_flat_map(|seed| select(suites(seed)))
}

fn seal_all(sealer: &EspSealer, packets: &mut [Vec<u8>], esn_high: Option<u32>) {
    let mut batch: Vec<_> = packets
        .iter_mut()
        .zip(1..)
        .map(|(packet, counter)| ToSeal {
            packet,
            esn_high,
            counter,
        })
        .collect();
    sealer.seal_batch(&mut batch);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_batch_is_sealed_as_its_packets_are(
        suite in suite(), lengths in lengths(), esn_high: Option<u32>,
    ) {
        let sealer = sealer(&suite);
        let mut one_by_one: Vec<_> =
            lengths.iter().enumerate().map(|(i, len)| clear(&sealer, i, *len)).collect();
        let mut together = one_by_one.clone();
        for (packet, counter) in one_by_one.iter_mut().zip(1..) {
            sealer.seal(packet, esn_high, counter);
        }
        seal_all(&sealer, &mut together, esn_high);
        prop_assert_eq!(together, one_by_one);
    }

    #[test]
    fn a_batch_is_opened_as_its_packets_are(
        suite in suite(),
        lengths in lengths(),
        esn_high: Option<u32>,
        damage in vec((0..100usize, any::<usize>(), any::<bool>()), 0..6),
    ) {
        let sealer = sealer(&suite);
        let mut packets: Vec<_> =
            lengths.iter().enumerate().map(|(i, len)| clear(&sealer, i, *len)).collect();
        seal_all(&sealer, &mut packets, esn_high);
        for (which, at, cut) in damage {
            if let Some(packet) = packets.get_mut(which).filter(|packet| !packet.is_empty()) {
                let at = at % packet.len();
                if cut { packet.truncate(at) } else { packet[at] ^= 0x10 }
            }
        }
        let opener = opener(&suite);
        let mut one_by_one = packets.clone();
        let expected: Vec<_> = one_by_one.iter_mut().map(|p| opener.open(p, esn_high)).collect();
        let mut batch: Vec<_> = packets.iter_mut().map(|p| ToOpen::new(p, esn_high)).collect();
        opener.open_batch(&mut batch);
        for ((got, expected), packet) in batch.iter().zip(&expected).zip(&one_by_one) {
            prop_assert_eq!(&got.text, expected);
            if let Ok(text) = expected {
                prop_assert_eq!(&got.packet[text.clone()], &packet[text.clone()]);
            }
        }
    }
}
