//! The pair of encryption and integrity that IKE and ESP both use.

use std::fmt;

use crate::aead::Aead;
use crate::cbc::CbcKey;
use crate::encr::Encr;
use crate::error::KeyLengthError;
use crate::integ::{Integ, IntegKey};

/// Algorithms that go together, with their keys.
pub(crate) struct Suite {
    pub(crate) encr: Encr,
    pub(crate) keys: Keys,
}

/// The two constructions: one algorithm for both services, or encrypt-then-MAC.
pub(crate) enum Keys {
    Aead(Aead),
    CbcHmac { cbc: CbcKey, integ: Box<IntegKey> },
}

impl Suite {
    pub(crate) fn new(
        encr: Encr,
        integ: Option<Integ>,
        encr_key: &[u8],
        integ_key: &[u8],
    ) -> Result<Self, KeyLengthError> {
        let wrong_encr_key = KeyLengthError::Encr {
            encr,
            expected: encr.key_len(),
            actual: encr_key.len(),
        };
        if encr_key.len() != encr.key_len() {
            return Err(wrong_encr_key);
        }
        let keys = if let Some(algorithm) = encr.aead() {
            if integ.is_some() || !integ_key.is_empty() {
                return Err(KeyLengthError::IntegWithAead(encr));
            }
            Keys::Aead(Aead::new(algorithm, encr_key).ok_or(wrong_encr_key)?)
        } else {
            let integ = integ.ok_or(KeyLengthError::IntegMissing(encr))?;
            if integ_key.len() != integ.key_len() {
                return Err(KeyLengthError::Integ {
                    integ,
                    expected: integ.key_len(),
                    actual: integ_key.len(),
                });
            }
            Keys::CbcHmac {
                cbc: CbcKey::new(encr_key).ok_or(wrong_encr_key)?,
                integ: Box::new(IntegKey::new(integ, integ_key)),
            }
        };
        Ok(Self { encr, keys })
    }

    pub(crate) fn integ(&self) -> Option<Integ> {
        match &self.keys {
            Keys::Aead(_) => None,
            Keys::CbcHmac { integ, .. } => Some(integ.integ()),
        }
    }

    pub(crate) fn iv_len(&self) -> usize {
        self.encr.iv_len()
    }

    pub(crate) fn icv_len(&self) -> usize {
        self.integ()
            .map_or(self.encr.aead_icv_len(), Integ::icv_len)
    }

    /// The `Debug` output of the type that owns the suite: the algorithms, never the keys.
    pub(crate) fn debug(&self, f: &mut fmt::Formatter<'_>, owner: &str) -> fmt::Result {
        f.debug_struct(owner)
            .field("encr", &self.encr)
            .field("integ", &self.integ())
            .finish_non_exhaustive()
    }
}
