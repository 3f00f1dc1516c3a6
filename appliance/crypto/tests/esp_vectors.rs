//! Published ESP packets, sealed and opened.
#![allow(clippy::unwrap_used)]

mod common;

use common::{octets, rows};
use hawser_crypto::{Encr, EspOpener, EspSealer, Integ, Prf};

/// A packet around `text` with room for IV and ICV.
fn packet(header: &[u8], iv_len: usize, text: &[u8], icv_len: usize) -> Vec<u8> {
    [header, &vec![0; iv_len], text, &vec![0; icv_len]].concat()
}

/// Packets of draft-mcgrew-gcm-test-01, with and without Extended Sequence Numbers.
#[test]
fn aes_gcm_of_draft_mcgrew() {
    let (mut plain, mut extended) = (0, 0);
    for row in rows(include_str!("data/esp_gcm.txt")) {
        let [key, nonce, text, aad, ciphertext, icv] = [0, 1, 2, 3, 4, 5].map(|i| octets(row[i]));
        let encr = if key.len() == 16 {
            Encr::AesGcm128
        } else {
            Encr::AesGcm256
        };
        let (salt, iv) = nonce.split_at(4);
        let keymat = [&key[..], salt].concat();
        let (header, esn_high) = if aad.len() == 12 {
            extended += 1;
            let high = u32::from_be_bytes(aad[4..8].try_into().unwrap());
            ([&aad[..4], &aad[8..]].concat(), Some(high))
        } else {
            plain += 1;
            (aad, None)
        };
        let sealer = EspSealer::new(encr, None, &keymat, &[]).unwrap();
        let mut sealed = packet(&header, sealer.iv_len(), &text, sealer.icv_len());
        let counter = u64::from_be_bytes(iv.try_into().unwrap());
        sealer.seal(&mut sealed, esn_high, counter);
        assert_eq!(sealed, [&header[..], iv, &ciphertext, &icv].concat());

        let opener = EspOpener::new(encr, None, &keymat, &[]).unwrap();
        let range = opener.open(&mut sealed, esn_high).unwrap();
        assert_eq!(sealed[range], text);
    }
    assert_eq!((plain, extended), (4, 9));
}

/// RFC 7634 appendix A.
#[test]
fn chacha20_poly1305_of_rfc_7634() {
    let keymat =
        octets("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f a0a1a2a3");
    let text = octets(
        "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f
         101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363701020204",
    );
    let expected = octets(
        "0102030400000005 1011121314151617
         24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6
         14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3
         cbec163fac469b502773f6fb94e664da9165b82829f641e0
         76aaa8266b7fb0f7b11b369907e1ad43",
    );
    let encr = Encr::ChaCha20Poly1305;
    let sealer = EspSealer::new(encr, None, &keymat, &[]).unwrap();
    let mut sealed = packet(&expected[..8], 8, &text, 16);
    sealer.seal(&mut sealed, None, 0x1011_1213_1415_1617);
    assert_eq!(sealed, expected);
    let opener = EspOpener::new(encr, None, &keymat, &[]).unwrap();
    let range = opener.open(&mut sealed, None).unwrap();
    assert_eq!(sealed[range], text);
}

/// RFC 3602 section 4, cases 1 and 2 as packets, and case 5, a packet in transport mode. The RFC encrypts only, so the ICV is made here.
#[test]
fn aes_cbc_of_rfc_3602() {
    let cases = [
        (
            "06a9214036b8a15b512e03d534120006",
            "3dafba429d9eb430b422da802c9fac41",
            hex::encode("Single block msg"),
            "e353779c1079aeb82708942dbe77181a",
        ),
        (
            "c286696d887c9aa0611bbb3e2025a45a",
            "562e17996d093d28ddb3ba695a2e6f58",
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f".to_owned(),
            "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
        ),
        (
            "90d382b410eeba7ad938c46cec1a82bf",
            "e96e8c08ab465763fd098d45dd3ff893",
            "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f1011121314151617
             18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637
             0102030405060708090a0b0c0d0e0e01"
                .to_owned(),
            "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856
             a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a
             a269add047ad2d5913ac19b7cfbad4a6",
        ),
    ];
    for (key, iv, text, ciphertext) in cases {
        let header = octets("0000432100000001");
        let covered = [header, octets(iv), octets(ciphertext)].concat();
        let icv = Prf::HmacSha1.mac(&[9; 20], &[&covered]);
        let mut received = [&covered, &icv[..12]].concat();
        let integ = Some(Integ::HmacSha1_96);
        let opener = EspOpener::new(Encr::AesCbc128, integ, &octets(key), &[9; 20]).unwrap();
        let range = opener.open(&mut received, None).unwrap();
        assert_eq!(received[range], octets(&text));
    }
}

/// RFC 4303 section 2.2.1: the ICV also covers the high half, which is not in the packet.
#[test]
fn cbc_appends_the_high_half_to_the_icv_input() {
    let (encr_key, integ_key) = ([1; 16], [2; 32]);
    let integ = Some(Integ::HmacSha256_128);
    let sealer = EspSealer::new(Encr::AesCbc128, integ, &encr_key, &integ_key).unwrap();
    let mut sealed = packet(&[3; 8], sealer.iv_len(), &[4; 32], sealer.icv_len());
    sealer.seal(&mut sealed, Some(0x0102_0304), 77);
    let (covered, icv) = sealed.split_at(sealed.len() - 16);
    let expected = Prf::HmacSha256.mac(&integ_key, &[covered, &[1, 2, 3, 4]]);
    assert_eq!(icv, &expected[..16]);
}

/// Neither equal nor counted up, though the counters are neighbours, and different under another key.
#[test]
fn ivs_of_cbc_are_unpredictable() {
    let integ = Some(Integ::HmacSha1_96);
    let iv = |key: u8, counter| {
        let sealer = EspSealer::new(Encr::AesCbc256, integ, &[key; 32], &[0; 20]).unwrap();
        let mut sealed = packet(&[0; 8], 16, &[0; 16], 12);
        sealer.seal(&mut sealed, None, counter);
        u128::from_be_bytes(sealed[8..24].try_into().unwrap())
    };
    let first = iv(1, 1);
    assert_eq!(first, iv(1, 1));
    for other in [iv(1, 2), iv(2, 1)] {
        let differing = (first ^ other).count_ones();
        assert!((30..98).contains(&differing), "{differing} bits of 128");
    }
}
