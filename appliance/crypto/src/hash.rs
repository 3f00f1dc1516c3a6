//! HMAC (RFC 2104) with its key already absorbed, the one primitive below [`Prf`](crate::Prf) and [`Integ`](crate::Integ).

use hmac::{Hmac, KeyInit as _, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

/// Octets of the longest output, that of SHA-512.
pub(crate) const MAX_OUTPUT_LEN: usize = 64;

/// The hash function inside the HMAC.
#[derive(Clone, Copy)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub(crate) const fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// An HMAC that has taken its key. A computation clones the state, so that no packet pays for the two blocks of the key again.
pub(crate) enum KeyedHash {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl KeyedHash {
    pub(crate) fn new(hash: Hash, key: &[u8]) -> Self {
        const ANY_LENGTH: &str = "HMAC takes a key of any length";
        match hash {
            Hash::Sha1 => Self::Sha1(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Hash::Sha256 => Self::Sha256(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Hash::Sha384 => Self::Sha384(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Hash::Sha512 => Self::Sha512(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
        }
    }

    /// Writes the HMAC of the parts, one after the other, to the front of `out`.
    pub(crate) fn compute<'a>(
        &self,
        parts: impl Iterator<Item = &'a [u8]>,
        out: &mut [u8; MAX_OUTPUT_LEN],
    ) {
        match self {
            Self::Sha1(keyed) => run(keyed, parts, out),
            Self::Sha256(keyed) => run(keyed, parts, out),
            Self::Sha384(keyed) => run(keyed, parts, out),
            Self::Sha512(keyed) => run(keyed, parts, out),
        }
    }
}

fn run<'a>(
    keyed: &(impl Mac + Clone),
    parts: impl Iterator<Item = &'a [u8]>,
    out: &mut [u8; MAX_OUTPUT_LEN],
) {
    let mut mac = keyed.clone();
    for part in parts {
        mac.update(part);
    }
    let output = mac.finalize().into_bytes();
    out[..output.len()].copy_from_slice(&output);
}
