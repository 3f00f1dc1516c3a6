//! Key exchange methods (transform type 4).

mod bignum;
mod curve;
mod fixed_base;
mod modp;

use std::fmt;
use std::ops::Deref;

use rand::CryptoRng;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::error::KeError;

/// A key exchange method of IKE. The names carry bits: MODP groups of RFC 7296 appendix B and RFC 3526, ECP groups of RFC 5903,
/// Curve25519 of RFC 8031.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum KeyExchange {
    /// Group 2.
    Modp1024,
    /// Group 5.
    Modp1536,
    /// Group 14.
    Modp2048,
    /// Group 15.
    Modp3072,
    /// Group 16.
    Modp4096,
    /// Group 19, NIST P-256.
    Ecp256,
    /// Group 20, NIST P-384.
    Ecp384,
    /// Group 31.
    X25519,
}

/// What the methods have in common, each with a table of what its members differ in.
enum Family {
    Modp(&'static modp::Group),
    Curve(&'static curve::Curve),
}

impl KeyExchange {
    /// Every method.
    pub const ALL: [Self; 8] = [
        Self::Modp1024,
        Self::Modp1536,
        Self::Modp2048,
        Self::Modp3072,
        Self::Modp4096,
        Self::Ecp256,
        Self::Ecp384,
        Self::X25519,
    ];

    /// Octets of a public value in the KE payload: the length of p (RFC 7296 section 3.4), both coordinates (RFC 5903 section 7), or 32.
    #[must_use]
    pub fn public_len(self) -> usize {
        match self.family() {
            Family::Modp(group) => group.len,
            Family::Curve(curve) => curve.public_len,
        }
    }

    /// Whether the method should be named on purpose only: MODP groups below 2048 bits (RFC 8247 section 2.4).
    #[must_use]
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::Modp1024 | Self::Modp1536)
    }

    /// The keyword of a strongSwan proposal.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Modp1024 => "modp1024",
            Self::Modp1536 => "modp1536",
            Self::Modp2048 => "modp2048",
            Self::Modp3072 => "modp3072",
            Self::Modp4096 => "modp4096",
            Self::Ecp256 => "ecp256",
            Self::Ecp384 => "ecp384",
            Self::X25519 => "x25519",
        }
    }

    /// The method of a [`keyword`](Self::keyword), in lower case; `curve25519` is another one for X25519.
    #[must_use]
    pub fn from_keyword(keyword: &str) -> Option<Self> {
        if keyword == "curve25519" {
            return Some(Self::X25519);
        }
        Self::ALL.into_iter().find(|ke| ke.keyword() == keyword)
    }

    /// Makes a private key and the public value of [`public_len`](Self::public_len) octets to send.
    ///
    /// Everything random comes from `rng`, so a seeded one makes the same keys again.
    ///
    /// # Errors
    /// [`KeError::Generate`], [`KeError::Memory`].
    pub fn generate(self, rng: &mut dyn CryptoRng) -> Result<(KePrivate, Vec<u8>), KeError> {
        let (secret, public) = match self.family() {
            Family::Modp(group) => {
                let (private, public) = modp::Private::generate(group, rng)?;
                (Secret::Modp(private), public)
            }
            Family::Curve(curve) => {
                let (private, public) = curve::Private::generate(curve, rng)?;
                (Secret::Curve(private), public)
            }
        };
        let private = KePrivate {
            method: self,
            secret,
        };
        Ok((private, public))
    }

    fn family(self) -> Family {
        match self {
            Self::Modp1024 => Family::Modp(&modp::MODP1024),
            Self::Modp1536 => Family::Modp(&modp::MODP1536),
            Self::Modp2048 => Family::Modp(&modp::MODP2048),
            Self::Modp3072 => Family::Modp(&modp::MODP3072),
            Self::Modp4096 => Family::Modp(&modp::MODP4096),
            Self::Ecp256 => Family::Curve(&curve::ECP256),
            Self::Ecp384 => Family::Curve(&curve::ECP384),
            Self::X25519 => Family::Curve(&curve::X25519),
        }
    }
}

impl fmt::Display for KeyExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.keyword())
    }
}

/// The private half of a key exchange, good for one agreement and wiped with it.
pub struct KePrivate {
    method: KeyExchange,
    secret: Secret,
}

enum Secret {
    Modp(modp::Private),
    Curve(curve::Private),
}

impl KePrivate {
    /// The method it belongs to.
    #[must_use]
    pub fn method(&self) -> KeyExchange {
        self.method
    }

    /// Makes the shared secret from the public value that the peer sent.
    ///
    /// # Errors
    /// The peer's value has the wrong length or is not one that the method allows (RFC 6989).
    pub fn agree(self, peer_public: &[u8]) -> Result<SharedSecret, KeError> {
        let expected = self.method.public_len();
        if peer_public.len() != expected {
            return Err(KeError::PublicLength {
                expected,
                actual: peer_public.len(),
            });
        }
        let shared = match &self.secret {
            Secret::Modp(private) => private.agree(peer_public)?,
            Secret::Curve(private) => private.agree(peer_public)?,
        };
        Ok(SharedSecret(shared))
    }
}

impl fmt::Debug for KePrivate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KePrivate")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// `g^ir` as SKEYSEED takes it: of the length of p for a MODP group, the x coordinate for an ECP group (RFC 5903 section 9), 32
/// octets for X25519. Wiped on drop.
pub struct SharedSecret(Zeroizing<Vec<u8>>);

impl Deref for SharedSecret {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for SharedSecret {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl ZeroizeOnDrop for SharedSecret {}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSecret").finish_non_exhaustive()
    }
}
