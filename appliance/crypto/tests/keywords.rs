//! The names and lengths of the algorithms.
#![allow(clippy::unwrap_used)]

use hawser_crypto::{Encr, Integ, KeyExchange, Prf};

#[test]
fn every_keyword_names_one_algorithm() {
    for encr in Encr::ALL {
        assert_eq!(Encr::from_keyword(encr.keyword()), Some(encr));
        assert_eq!(encr.to_string(), encr.keyword());
    }
    for integ in Integ::ALL {
        assert_eq!(Integ::from_keyword(integ.keyword()), Some(integ));
        assert_eq!(integ.to_string(), integ.keyword());
    }
    for prf in Prf::ALL {
        assert_eq!(Prf::from_keyword(prf.keyword()), Some(prf));
        assert_eq!(prf.to_string(), prf.keyword());
    }
    for ke in KeyExchange::ALL {
        assert_eq!(KeyExchange::from_keyword(ke.keyword()), Some(ke));
        assert_eq!(ke.to_string(), ke.keyword());
    }
    let alias = KeyExchange::from_keyword("curve25519");
    assert_eq!(alias, Some(KeyExchange::X25519));
    assert_eq!(Encr::from_keyword("3des"), None);
    assert_eq!(KeyExchange::from_keyword("MODP1024"), None);
}

#[test]
fn weak_are_sha1_and_the_short_groups() {
    let weak = |ke: &KeyExchange| ke.is_weak();
    let weak: Vec<_> = KeyExchange::ALL.into_iter().filter(weak).collect();
    assert_eq!(weak, [KeyExchange::Modp1024, KeyExchange::Modp1536]);
    assert_eq!(Prf::ALL.map(Prf::is_weak), [true, false, false, false]);
    assert_eq!(Integ::ALL.map(Integ::is_weak), [true, false, false, false]);
    assert!(!Encr::ALL.into_iter().any(Encr::is_weak));
}

#[test]
fn lengths_are_those_of_the_rfcs() {
    assert_eq!(Encr::ALL.map(Encr::key_len), [16, 24, 32, 20, 36, 36]);
    assert_eq!(Encr::ALL.map(Encr::iv_len), [16, 16, 16, 8, 8, 8]);
    assert_eq!(Encr::ALL.map(Encr::aead_icv_len), [0, 0, 0, 16, 16, 16]);
    assert_eq!(Encr::ALL.map(Encr::esp_align), [16, 16, 16, 4, 4, 4]);
    assert_eq!(Encr::ALL.map(Encr::ike_align), [16, 16, 16, 1, 1, 1]);
    assert_eq!(Integ::ALL.map(Integ::key_len), [20, 32, 48, 64]);
    assert_eq!(Integ::ALL.map(Integ::icv_len), [12, 16, 24, 32]);
    assert_eq!(Prf::ALL.map(Prf::key_len), [20, 32, 48, 64]);
    assert_eq!(Prf::ALL.map(Prf::output_len), [20, 32, 48, 64]);
    let publics = [128, 192, 256, 384, 512, 64, 96, 32];
    assert_eq!(KeyExchange::ALL.map(KeyExchange::public_len), publics);
}
