//! Our algorithms as transforms (RFC 7296 section 3.3.2) and back.

use crate::payload::Transform;
use crate::registry::TransformType;
use hawser_crypto::{Encr, Integ, KeyExchange, Prf};
use hawser_policy::Esn;

/// ENCR_AES_CBC (RFC 3602).
const AES_CBC: u16 = 12;
/// ENCR_AES_GCM_16 (RFC 4106, RFC 5282).
const AES_GCM_16: u16 = 20;
/// ENCR_CHACHA20_POLY1305 (RFC 7634).
const CHACHA20_POLY1305: u16 = 28;

/// Transform ID and Key Length attribute. ChaCha20-Poly1305 has one key length and so no attribute (RFC 7634 section 4).
const fn encr_id(encr: Encr) -> (u16, Option<u16>) {
    match encr {
        Encr::AesCbc128 => (AES_CBC, Some(128)),
        Encr::AesCbc192 => (AES_CBC, Some(192)),
        Encr::AesCbc256 => (AES_CBC, Some(256)),
        Encr::AesGcm128 => (AES_GCM_16, Some(128)),
        Encr::AesGcm256 => (AES_GCM_16, Some(256)),
        Encr::ChaCha20Poly1305 => (CHACHA20_POLY1305, None),
    }
}

const fn integ_id(integ: Integ) -> u16 {
    match integ {
        Integ::HmacSha1_96 => 2,
        Integ::HmacSha256_128 => 12,
        Integ::HmacSha384_192 => 13,
        Integ::HmacSha512_256 => 14,
    }
}

const fn prf_id(prf: Prf) -> u16 {
    match prf {
        Prf::HmacSha1 => 2,
        Prf::HmacSha256 => 5,
        Prf::HmacSha384 => 6,
        Prf::HmacSha512 => 7,
    }
}

/// The number of a key exchange method, as transform ID and in the KE payload (RFC 7296 section 3.4).
#[must_use]
pub const fn ke_group(ke: KeyExchange) -> u16 {
    match ke {
        KeyExchange::Modp1024 => 2,
        KeyExchange::Modp1536 => 5,
        KeyExchange::Modp2048 => 14,
        KeyExchange::Modp3072 => 15,
        KeyExchange::Modp4096 => 16,
        KeyExchange::Ecp256 => 19,
        KeyExchange::Ecp384 => 20,
        KeyExchange::X25519 => 31,
    }
}

/// The key exchange method of a number (RFC 7296 section 3.4), if it is one of ours.
#[must_use]
pub fn ke_from_group(id: u16) -> Option<KeyExchange> {
    KeyExchange::ALL.into_iter().find(|ke| ke_group(*ke) == id)
}

/// The transform of an encryption algorithm (RFC 7296 section 3.3.2, key lengths section 3.3.5).
#[must_use]
pub const fn encr_transform(encr: Encr) -> Transform {
    let (id, key_length) = encr_id(encr);
    Transform {
        key_length,
        ..Transform::new(TransformType::Encr, id)
    }
}

/// The transform of an integrity algorithm (RFC 7296 section 3.3.2).
#[must_use]
pub const fn integ_transform(integ: Integ) -> Transform {
    Transform::new(TransformType::Integ, integ_id(integ))
}

/// The transform of a pseudo-random function (RFC 7296 section 3.3.2).
#[must_use]
pub const fn prf_transform(prf: Prf) -> Transform {
    Transform::new(TransformType::Prf, prf_id(prf))
}

/// The transform of a key exchange method (RFC 7296 section 3.3.2).
#[must_use]
pub const fn ke_transform(ke: KeyExchange) -> Transform {
    Transform::new(TransformType::Ke, ke_group(ke))
}

/// The transform that says whether sequence numbers are extended (RFC 7296 section 3.3.2).
#[must_use]
pub const fn esn_transform(esn: Esn) -> Transform {
    let id = match esn {
        Esn::No => 0,
        Esn::Yes => 1,
    };
    Transform::new(TransformType::Esn, id)
}

impl Transform {
    /// The encryption algorithm, if it is one of ours with a key length we have. AES without the attribute is none, for
    /// its key length MUST be given (RFC 7296 section 3.3.5).
    #[must_use]
    pub fn as_encr(&self) -> Option<Encr> {
        Encr::ALL.into_iter().find(|e| encr_transform(*e) == *self)
    }

    /// The integrity algorithm, if it is one of ours (RFC 7296 section 3.3.2).
    #[must_use]
    pub fn as_integ(&self) -> Option<Integ> {
        Integ::ALL
            .into_iter()
            .find(|i| integ_transform(*i) == *self)
    }

    /// The pseudo-random function, if it is one of ours (RFC 7296 section 3.3.2).
    #[must_use]
    pub fn as_prf(&self) -> Option<Prf> {
        Prf::ALL.into_iter().find(|p| prf_transform(*p) == *self)
    }

    /// The key exchange method, if it is one of ours (RFC 7296 section 3.3.2).
    #[must_use]
    pub fn as_ke(&self) -> Option<KeyExchange> {
        KeyExchange::ALL
            .into_iter()
            .find(|k| ke_transform(*k) == *self)
    }

    /// Whether sequence numbers are extended, if the transform says that (RFC 7296 section 3.3.2).
    #[must_use]
    pub fn as_esn(&self) -> Option<Esn> {
        [Esn::No, Esn::Yes]
            .into_iter()
            .find(|e| esn_transform(*e) == *self)
    }

    /// Whether it is the value NONE of a kind that may be left out: INTEG or KE (RFC 7296 sections 3.3.2 and 3.3.3).
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self.kind, TransformType::Integ | TransformType::Ke)
            && *self == Self::new(self.kind, 0)
    }
}
