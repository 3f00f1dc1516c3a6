//! What holds for every suite, length and content.
#![allow(clippy::unwrap_used)]

mod common;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aws_lc_rs::aead as aws;
use common::{Keyed, suites};
use hawser_crypto::{Encr, EspOpener, EspSealer, IkeCipher, OpenError};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn ike(suite: &Keyed) -> IkeCipher {
    IkeCipher::new(suite.encr, suite.integ, &suite.encr_key, &suite.integ_key).unwrap()
}

fn sealer(suite: &Keyed) -> EspSealer {
    EspSealer::new(suite.encr, suite.integ, &suite.encr_key, &suite.integ_key).unwrap()
}

fn opener(suite: &Keyed) -> EspOpener {
    EspOpener::new(suite.encr, suite.integ, &suite.encr_key, &suite.integ_key).unwrap()
}

fn any_suite() -> impl Strategy<Value = Keyed> {
    any::<u8>().prop_flat_map(|seed| select(suites(seed)))
}

fn octets(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=max)
}

/// A sealed ESP packet around `payload`, and its plaintext with the trailer.
fn sealed_esp(suite: &Keyed, payload: &[u8], esn: Option<u32>, counter: u64) -> (Vec<u8>, Vec<u8>) {
    let sealer = sealer(suite);
    let mut text = payload.to_vec();
    text.resize((payload.len() + 2).next_multiple_of(sealer.align()), 0);
    let mut packet = [
        &[0xc0, 1, 2, 3, 0, 0, 0, 9][..],
        &vec![0; sealer.iv_len()],
        &text,
    ]
    .concat();
    packet.resize(packet.len() + sealer.icv_len(), 0);
    sealer.seal(&mut packet, esn, counter);
    (packet, text)
}

/// A sealed IKE message of which `header` is in the clear.
fn sealed_ike(suite: &Keyed, header: &[u8], payloads: &[u8], iv: u8) -> Vec<u8> {
    let ike = ike(suite);
    let mut message = [header, payloads].concat();
    ike.seal(&mut message, header.len(), &vec![iv; ike.iv_len()]);
    message
}

proptest! {
    #[test]
    fn esp_comes_back(suite in any_suite(), payload in octets(3000), esn: Option<u32>, counter: u64) {
        let (mut packet, text) = sealed_esp(&suite, &payload, esn, counter);
        prop_assert_eq!(&packet[..8], &[0xc0, 1, 2, 3, 0, 0, 0, 9]);
        let range = opener(&suite).open(&mut packet, esn).unwrap();
        prop_assert_eq!(&packet[range], &text);
    }

    #[test]
    fn ike_comes_back(suite in any_suite(), header in octets(60), payloads in octets(3000), iv: u8) {
        let mut message = sealed_ike(&suite, &header, &payloads, iv);
        prop_assert_eq!(message.len(), header.len() + ike(&suite).sealed_len(payloads.len()));
        prop_assert_eq!(&message[..header.len()], &header);
        let range = ike(&suite).open(&mut message, header.len()).unwrap();
        prop_assert_eq!(&message[range], &payloads);
    }

    #[test]
    fn no_flipped_bit_passes_esp(
        suite in any_suite(), payload in octets(200), esn: Option<u32>, at: Index, bit in 0..8,
    ) {
        let (mut packet, _) = sealed_esp(&suite, &payload, esn, 1);
        let at = at.index(packet.len());
        packet[at] ^= 1u8 << bit;
        prop_assert_eq!(opener(&suite).open(&mut packet, esn), Err(OpenError::Integrity));
    }

    #[test]
    fn no_flipped_bit_passes_ike(
        suite in any_suite(), header in octets(60), payloads in octets(200), at: Index, bit in 0..8,
    ) {
        let mut message = sealed_ike(&suite, &header, &payloads, 1);
        let at = at.index(message.len());
        message[at] ^= 1u8 << bit;
        prop_assert_eq!(ike(&suite).open(&mut message, header.len()), Err(OpenError::Integrity));
    }

    #[test]
    fn no_other_high_half_passes(suite in any_suite(), payload in octets(64), bit in 0..32, high: u32) {
        for (sealed, opened) in [(Some(high), Some(high ^ (1u32 << bit))), (Some(high), None), (None, Some(high))] {
            let (mut packet, _) = sealed_esp(&suite, &payload, sealed, 1);
            prop_assert_eq!(opener(&suite).open(&mut packet, opened), Err(OpenError::Integrity));
        }
    }

    #[test]
    fn opening_never_panics(suite in any_suite(), mut input in octets(200), body in 0..300usize, esn: Option<u32>) {
        prop_assert!(opener(&suite).open(&mut input, esn).is_err());
        prop_assert!(ike(&suite).open(&mut input, body).is_err());
        prop_assert_eq!(ike(&suite).open(&mut input, usize::MAX), Err(OpenError::Length));
    }

    /// Nothing shorter than a sealed message opens, and nothing that is cut.
    #[test]
    fn no_cut_packet_passes(suite in any_suite(), payload in octets(64), at: Index) {
        let (packet, _) = sealed_esp(&suite, &payload, None, 1);
        let cut = at.index(packet.len());
        prop_assert!(opener(&suite).open(&mut packet[..cut].to_vec(), None).is_err());
        let message = sealed_ike(&suite, &[1; 32], &payload, 1);
        let cut = at.index(message.len());
        prop_assert!(ike(&suite).open(&mut message[..cut].to_vec(), 32).is_err());
    }

    #[test]
    fn max_plaintext_is_the_largest_that_fits(suite in any_suite(), room in 0..2000usize) {
        let ike = ike(&suite);
        let largest = ike.max_plaintext(room);
        if room >= ike.sealed_len(0) {
            prop_assert!(ike.sealed_len(largest) <= room);
            prop_assert!(ike.sealed_len(largest + 1) > room);
        } else {
            prop_assert_eq!(largest, 0);
        }
    }

    /// Whichever backend was built, both libraries make the same octets.
    #[test]
    fn backends_agree(
        seed: u8, encr in select(vec![Encr::AesGcm128, Encr::AesGcm256, Encr::ChaCha20Poly1305]),
        payload in octets(3000), esn: Option<u32>, counter: u64,
    ) {
        let suite = suites(seed).into_iter().find(|suite| suite.encr == encr).unwrap();
        let (packet, text) = sealed_esp(&suite, &payload, esn, counter);
        let (key, salt) = suite.encr_key.split_at(encr.key_len() - 4);
        let nonce: [u8; 12] = [salt, &counter.to_be_bytes()].concat().try_into().unwrap();
        let high = esn.map(|high| high.to_be_bytes().to_vec()).unwrap_or_default();
        let aad = [&packet[..4], &high, &packet[4..8]].concat();
        prop_assert_eq!(&packet[16..], &rust_crypto(encr, key, nonce, &aad, &text));
        prop_assert_eq!(&packet[16..], &aws_lc(encr, key, nonce, &aad, &text));
    }
}

fn rust_crypto(encr: Encr, key: &[u8], nonce: [u8; 12], aad: &[u8], msg: &[u8]) -> Vec<u8> {
    let payload = Payload { msg, aad };
    let nonce = &nonce.into();
    match encr {
        Encr::AesGcm128 => aes_gcm::Aes128Gcm::new_from_slice(key)
            .unwrap()
            .encrypt(nonce, payload),
        Encr::AesGcm256 => aes_gcm::Aes256Gcm::new_from_slice(key)
            .unwrap()
            .encrypt(nonce, payload),
        _ => chacha20poly1305::ChaCha20Poly1305::new_from_slice(key)
            .unwrap()
            .encrypt(nonce, payload),
    }
    .unwrap()
}

fn aws_lc(encr: Encr, key: &[u8], nonce: [u8; 12], aad: &[u8], text: &[u8]) -> Vec<u8> {
    let algorithm = match encr {
        Encr::AesGcm128 => &aws::AES_128_GCM,
        Encr::AesGcm256 => &aws::AES_256_GCM,
        _ => &aws::CHACHA20_POLY1305,
    };
    let key = aws::LessSafeKey::new(aws::UnboundKey::new(algorithm, key).unwrap());
    let mut sealed = text.to_vec();
    let nonce = aws::Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, aws::Aad::from(aad), &mut sealed)
        .unwrap();
    sealed
}

/// A flipped bit is refused at every place, not only where chance points.
#[test]
fn every_flipped_octet_of_a_short_packet_is_refused() {
    for suite in suites(40) {
        let (packet, _) = sealed_esp(&suite, b"payload", None, 3);
        let message = sealed_ike(&suite, &[8; 32], b"payloads", 3);
        for at in 0..packet.len() {
            let mut flipped = packet.clone();
            flipped[at] ^= 0x80;
            assert_eq!(
                opener(&suite).open(&mut flipped, None),
                Err(OpenError::Integrity)
            );
        }
        for at in 0..message.len() {
            let mut flipped = message.clone();
            flipped[at] ^= 0x80;
            assert_eq!(
                ike(&suite).open(&mut flipped, 32),
                Err(OpenError::Integrity)
            );
        }
    }
}

#[test]
fn every_length_comes_back() {
    for suite in suites(90) {
        let (ike, opener) = (ike(&suite), opener(&suite));
        for len in 0..=3000 {
            let payload = vec![0x5a; len];
            let (mut packet, text) = sealed_esp(&suite, &payload, Some(1), len as u64);
            let range = opener.open(&mut packet, Some(1)).unwrap();
            assert_eq!(packet[range], text, "{suite:?}");
            let mut message = [&[1; 32][..], &payload].concat();
            ike.seal(&mut message, 32, &vec![7; ike.iv_len()]);
            let range = ike.open(&mut message, 32).unwrap();
            assert_eq!(message[range], payload, "{suite:?}");
        }
    }
}
