//! The errors of this crate. None of them carries key material.

use thiserror::Error;

use crate::{Encr, Integ};

/// Why keys do not make a cipher: a wrong length, or algorithms that do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyLengthError {
    /// The encryption key has the wrong length, in octets.
    #[error("{encr} takes {expected} octets of keying material, not {actual}")]
    Encr {
        /// The encryption algorithm.
        encr: Encr,
        /// [`Encr::key_len`].
        expected: usize,
        /// The octets given.
        actual: usize,
    },
    /// The integrity key has the wrong length, in octets.
    #[error("{integ} takes a key of {expected} octets, not {actual}")]
    Integ {
        /// The integrity algorithm.
        integ: Integ,
        /// [`Integ::key_len`].
        expected: usize,
        /// The octets given.
        actual: usize,
    },
    /// An AEAD authenticates by itself: it takes neither an integrity algorithm nor its key (RFC 5282 section 8).
    #[error("{0} takes no separate integrity algorithm")]
    IntegWithAead(Encr),
    /// Encryption that does not authenticate was given no integrity algorithm.
    #[error("{0} needs an integrity algorithm")]
    IntegMissing(Encr),
}

/// Why a protected message or packet was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Too short for IV, ciphertext and ICV, or the ciphertext is not whole blocks. Nothing was authenticated.
    #[error("the length does not fit the algorithms")]
    Length,
    /// The ICV does not match.
    #[error("the integrity check failed")]
    Integrity,
    /// The message is authentic, but its Pad Length reaches before the plaintext: the peer is broken.
    #[error("the padding is longer than the plaintext")]
    Padding,
}

/// [`Prf::plus`](crate::Prf::plus) was asked for more than 255 blocks (RFC 7296 section 2.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("prf+ gives at most {max} octets, not {requested}")]
pub struct PrfPlusError {
    /// The octets asked for.
    pub requested: usize,
    /// The most that the PRF can give.
    pub max: usize,
}

/// Why a key exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeError {
    /// The peer's public value has the wrong length, in octets (RFC 7296 section 3.4).
    #[error("the public value must have {expected} octets, not {actual}")]
    PublicLength {
        /// [`KeyExchange::public_len`](crate::KeyExchange::public_len).
        expected: usize,
        /// The octets received.
        actual: usize,
    },
    /// The peer's point does not lie on the curve (RFC 6989 section 2.3).
    #[error("the public value is not a point on the curve")]
    NotOnCurve,
    /// The peer's value lies outside 2..=p-2 (RFC 6989 section 2.1).
    #[error("the public value lies outside 2..=p-2")]
    OutOfRange,
    /// The peer's value has small order, the shared secret would be zero (RFC 8031 section 5, RFC 7748 section 6.1).
    #[error("the shared secret is zero")]
    ZeroSecret,
    /// No private key could be made: the random numbers are not random, or the library ran out of memory.
    #[error("no private key could be generated")]
    Generate,
    /// The library ran out of memory.
    #[error("there is no memory left for it")]
    Memory,
}
