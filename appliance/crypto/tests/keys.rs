//! Which keys make a cipher.
#![allow(clippy::unwrap_used)]

mod common;

use common::suites;
use hawser_crypto::{Encr, EspOpener, EspSealer, IkeCipher, Integ, KeyLengthError};

/// The outcome, which all three constructors must share.
fn outcome(
    encr: Encr,
    integ: Option<Integ>,
    encr_key: &[u8],
    integ_key: &[u8],
) -> Result<(), KeyLengthError> {
    let ike = IkeCipher::new(encr, integ, encr_key, integ_key).map(drop);
    assert_eq!(
        EspSealer::new(encr, integ, encr_key, integ_key).map(drop),
        ike
    );
    assert_eq!(
        EspOpener::new(encr, integ, encr_key, integ_key).map(drop),
        ike
    );
    ike
}

#[test]
fn only_keys_of_the_right_length_are_taken() {
    for suite in suites(0) {
        let (encr, integ) = (suite.encr, suite.integ);
        assert_eq!(
            outcome(encr, integ, &suite.encr_key, &suite.integ_key),
            Ok(())
        );
        for actual in [0, encr.key_len() - 1, encr.key_len() + 1] {
            let error = KeyLengthError::Encr {
                encr,
                expected: encr.key_len(),
                actual,
            };
            assert_eq!(
                outcome(encr, integ, &vec![0; actual], &suite.integ_key),
                Err(error)
            );
        }
        let Some(integ) = integ else { continue };
        for actual in [0, integ.key_len() - 1, integ.key_len() + 1] {
            let error = KeyLengthError::Integ {
                integ,
                expected: integ.key_len(),
                actual,
            };
            assert_eq!(
                outcome(encr, Some(integ), &suite.encr_key, &vec![0; actual]),
                Err(error)
            );
        }
    }
}

#[test]
fn only_algorithms_that_go_together_are_taken() {
    let aead = Encr::AesGcm256;
    let error = Err(KeyLengthError::IntegWithAead(aead));
    assert_eq!(
        outcome(aead, Some(Integ::HmacSha1_96), &[0; 36], &[0; 20]),
        error
    );
    assert_eq!(outcome(aead, None, &[0; 36], &[0; 20]), error);
    let integ = Some(Integ::HmacSha1_96);
    assert_eq!(outcome(aead, integ, &[0; 36], &[]), error);
    let cbc = Encr::AesCbc256;
    let error = Err(KeyLengthError::IntegMissing(cbc));
    assert_eq!(outcome(cbc, None, &[0; 32], &[]), error);
}

#[test]
fn ciphers_are_send_and_show_no_key() {
    fn shown<T: Send + std::fmt::Debug>(cipher: &T) -> String {
        format!("{cipher:?}")
    }
    let (encr, integ) = (Encr::AesCbc128, Some(Integ::HmacSha1_96));
    let algorithms = "{ encr: AesCbc128, integ: Some(HmacSha1_96), .. }";
    let ike = IkeCipher::new(encr, integ, &[0; 16], &[0; 20]).unwrap();
    assert_eq!(shown(&ike), format!("IkeCipher {algorithms}"));
    let sealer = EspSealer::new(encr, integ, &[0; 16], &[0; 20]).unwrap();
    assert_eq!(shown(&sealer), format!("EspSealer {algorithms}"));
    let opener = EspOpener::new(encr, integ, &[0; 16], &[0; 20]).unwrap();
    assert_eq!(shown(&opener), format!("EspOpener {algorithms}"));
}
