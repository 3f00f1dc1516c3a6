//! Pseudorandom functions (transform type 2).

use std::fmt;
use std::iter::once;
use std::ops::Deref;

use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use crate::error::PrfPlusError;
use crate::hash::{Hash, KeyedHash, MAX_OUTPUT_LEN};

/// A pseudorandom function of IKE. SHA-1: RFC 2104; SHA-2: RFC 4868.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Prf {
    /// PRF_HMAC_SHA1.
    HmacSha1,
    /// PRF_HMAC_SHA2_256.
    HmacSha256,
    /// PRF_HMAC_SHA2_384.
    HmacSha384,
    /// PRF_HMAC_SHA2_512.
    HmacSha512,
}

impl Prf {
    /// Every function.
    pub const ALL: [Self; 4] = [
        Self::HmacSha1,
        Self::HmacSha256,
        Self::HmacSha384,
        Self::HmacSha512,
    ];

    /// Octets of the preferred key, the length of SK_d and SK_p: the same as [`output_len`](Self::output_len) (RFC 7296 section 2.13).
    #[must_use]
    pub const fn key_len(self) -> usize {
        self.output_len()
    }

    /// Octets of an output.
    #[must_use]
    pub const fn output_len(self) -> usize {
        self.hash().output_len()
    }

    /// Whether the function should be named on purpose only: SHA-1.
    #[must_use]
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::HmacSha1)
    }

    /// The keyword of a strongSwan proposal.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::HmacSha1 => "prfsha1",
            Self::HmacSha256 => "prfsha256",
            Self::HmacSha384 => "prfsha384",
            Self::HmacSha512 => "prfsha512",
        }
    }

    /// The function of a [`keyword`](Self::keyword), in lower case.
    #[must_use]
    pub fn from_keyword(keyword: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|prf| prf.keyword() == keyword)
    }

    /// `prf(key, parts[0] | parts[1] | ...)`. The key may have any length (RFC 7296 section 2.13).
    #[must_use]
    pub fn mac(self, key: &[u8], parts: &[&[u8]]) -> Digest {
        let mut digest = Digest {
            bytes: [0; MAX_OUTPUT_LEN],
            len: self.output_len(),
        };
        KeyedHash::new(self.hash(), key).compute(parts.iter().copied(), &mut digest.bytes);
        digest
    }

    /// Fills `out` with `prf+(key, seed[0] | seed[1] | ...)` of RFC 7296 section 2.13.
    ///
    /// # Errors
    /// `out` is longer than 255 outputs. It is left untouched.
    pub fn plus(self, key: &[u8], seed: &[&[u8]], out: &mut [u8]) -> Result<(), PrfPlusError> {
        let block_len = self.output_len();
        let max = block_len * usize::from(u8::MAX);
        if out.len() > max {
            return Err(PrfPlusError {
                requested: out.len(),
                max,
            });
        }
        let keyed = KeyedHash::new(self.hash(), key);
        let mut previous = Zeroizing::new([0; MAX_OUTPUT_LEN]);
        let mut block = Zeroizing::new([0; MAX_OUTPUT_LEN]);
        for (number, chunk) in (1..=u8::MAX).zip(out.chunks_mut(block_len)) {
            // T1 has no predecessor.
            let chained: &[u8] = if number == 1 {
                &[]
            } else {
                &previous[..block_len]
            };
            let parts = once(chained).chain(seed.iter().copied());
            keyed.compute(parts.chain(once(std::slice::from_ref(&number))), &mut block);
            chunk.copy_from_slice(&block[..chunk.len()]);
            std::mem::swap(&mut previous, &mut block);
        }
        Ok(())
    }

    const fn hash(self) -> Hash {
        match self {
            Self::HmacSha1 => Hash::Sha1,
            Self::HmacSha256 => Hash::Sha256,
            Self::HmacSha384 => Hash::Sha384,
            Self::HmacSha512 => Hash::Sha512,
        }
    }
}

impl fmt::Display for Prf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.keyword())
    }
}

/// An output of a [`Prf`]: [`Prf::output_len`] octets, wiped on drop.
#[derive(Clone)]
pub struct Digest {
    bytes: [u8; MAX_OUTPUT_LEN],
    len: usize,
}

impl Digest {
    /// Compares with a received value in constant time, as an AUTH payload must be.
    #[must_use]
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        bool::from(self.as_ref().ct_eq(other))
    }
}

impl Deref for Digest {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Digest {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl ZeroizeOnDrop for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest").finish_non_exhaustive()
    }
}
