//! Integrity algorithms (transform type 3).

use std::fmt;
use std::iter::once;

use subtle::ConstantTimeEq as _;

use crate::error::OpenError;
use crate::hash::{Hash, KeyedHash, MAX_OUTPUT_LEN};
use crate::lanes::{LaneKey, Message};

/// An integrity algorithm of IKE and ESP: an HMAC cut to its first octets. SHA-1: RFC 2404; SHA-2: RFC 4868.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Integ {
    /// AUTH_HMAC_SHA1_96.
    HmacSha1_96,
    /// AUTH_HMAC_SHA2_256_128.
    HmacSha256_128,
    /// AUTH_HMAC_SHA2_384_192.
    HmacSha384_192,
    /// AUTH_HMAC_SHA2_512_256.
    HmacSha512_256,
}

impl Integ {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [
        Self::HmacSha1_96,
        Self::HmacSha256_128,
        Self::HmacSha384_192,
        Self::HmacSha512_256,
    ];

    /// Octets of the key, always the whole output of the hash.
    #[must_use]
    pub const fn key_len(self) -> usize {
        self.hash().output_len()
    }

    /// Octets of the ICV.
    #[must_use]
    pub const fn icv_len(self) -> usize {
        match self {
            Self::HmacSha1_96 => 12,
            Self::HmacSha256_128 => 16,
            Self::HmacSha384_192 => 24,
            Self::HmacSha512_256 => 32,
        }
    }

    /// Whether the algorithm should be named on purpose only: SHA-1.
    #[must_use]
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::HmacSha1_96)
    }

    /// The keyword of a strongSwan proposal.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::HmacSha1_96 => "sha1",
            Self::HmacSha256_128 => "sha256",
            Self::HmacSha384_192 => "sha384",
            Self::HmacSha512_256 => "sha512",
        }
    }

    /// The algorithm of a [`keyword`](Self::keyword), in lower case.
    #[must_use]
    pub fn from_keyword(keyword: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|integ| integ.keyword() == keyword)
    }

    const fn hash(self) -> Hash {
        match self {
            Self::HmacSha1_96 => Hash::Sha1,
            Self::HmacSha256_128 => Hash::Sha256,
            Self::HmacSha384_192 => Hash::Sha384,
            Self::HmacSha512_256 => Hash::Sha512,
        }
    }
}

impl fmt::Display for Integ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.keyword())
    }
}

/// An [`Integ`] with its key.
pub(crate) struct IntegKey {
    integ: Integ,
    keyed: KeyedHash,
    /// For many messages at once, where the CPU and the algorithm have it.
    lanes: Option<LaneKey>,
}

impl IntegKey {
    /// `key` has [`Integ::key_len`] octets.
    pub(crate) fn new(integ: Integ, key: &[u8]) -> Self {
        Self {
            integ,
            keyed: KeyedHash::new(integ.hash(), key),
            lanes: LaneKey::new(integ.hash(), key),
        }
    }

    pub(crate) fn integ(&self) -> Integ {
        self.integ
    }

    /// Writes the ICV of `data | suffix` to `icv`, which has [`Integ::icv_len`] octets.
    pub(crate) fn sign(&self, data: &[u8], suffix: &[u8], icv: &mut [u8]) {
        let output = self.compute(data, suffix);
        icv.copy_from_slice(&output[..self.integ.icv_len()]);
    }

    /// Writes the codes of many messages, each [`Integ::icv_len`] octets.
    pub(crate) fn sign_many(&self, messages: &mut [Message<'_>]) {
        let at_once = self.lanes.as_ref().map(|lanes| lanes.worth(messages.len()));
        let (at_once, one_by_one) = messages.split_at_mut(at_once.unwrap_or(0));
        if let Some(lanes) = &self.lanes {
            lanes.sign(at_once);
        }
        for message in one_by_one {
            let code = self.compute(message.data, message.suffix());
            message.code.copy_from_slice(&code[..message.code.len()]);
        }
    }

    /// Compares the ICV of `data | suffix` with `icv` in constant time.
    pub(crate) fn verify(&self, data: &[u8], suffix: &[u8], icv: &[u8]) -> Result<(), OpenError> {
        let output = self.compute(data, suffix);
        if bool::from(output[..self.integ.icv_len()].ct_eq(icv)) {
            Ok(())
        } else {
            Err(OpenError::Integrity)
        }
    }

    fn compute(&self, data: &[u8], suffix: &[u8]) -> [u8; MAX_OUTPUT_LEN] {
        let mut output = [0; MAX_OUTPUT_LEN];
        self.keyed
            .compute(once(data).chain(once(suffix)), &mut output);
        output
    }
}
