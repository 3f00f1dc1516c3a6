//! Encryption algorithms (transform type 1).

use std::fmt;

use crate::aead::{self, AeadAlgorithm};

/// An encryption algorithm of IKE and ESP. The AEADs carry an ICV of 16 octets.
///
/// AES-CBC: RFC 3602. AES-GCM: RFC 4106, in IKE RFC 5282. ChaCha20-Poly1305: RFC 7634.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Encr {
    /// AES-CBC with a key of 128 bits.
    AesCbc128,
    /// AES-CBC with a key of 192 bits.
    AesCbc192,
    /// AES-CBC with a key of 256 bits.
    AesCbc256,
    /// AES-GCM with a key of 128 bits.
    AesGcm128,
    /// AES-GCM with a key of 256 bits.
    AesGcm256,
    /// ChaCha20-Poly1305; its key always has 256 bits.
    ChaCha20Poly1305,
}

impl Encr {
    /// Every algorithm.
    pub const ALL: [Self; 6] = [
        Self::AesCbc128,
        Self::AesCbc192,
        Self::AesCbc256,
        Self::AesGcm128,
        Self::AesGcm256,
        Self::ChaCha20Poly1305,
    ];

    /// Octets taken from SKEYSEED's or the Child SA's KEYMAT: the key, and for an AEAD the salt of 4 octets behind it (RFC 4106
    /// section 8.1, RFC 7634 section 2).
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::AesCbc128 => 16,
            Self::AesCbc192 => 24,
            Self::AesCbc256 => 32,
            Self::AesGcm128 => 16 + aead::SALT_LEN,
            Self::AesGcm256 | Self::ChaCha20Poly1305 => 32 + aead::SALT_LEN,
        }
    }

    /// Octets of the IV in every packet and message: 16 for CBC, 8 for an AEAD.
    #[must_use]
    pub const fn iv_len(self) -> usize {
        if self.is_aead() { aead::IV_LEN } else { 16 }
    }

    /// Octets of the ICV that the algorithm itself makes: 16 for an AEAD, 0 for CBC.
    #[must_use]
    pub const fn aead_icv_len(self) -> usize {
        if self.is_aead() { aead::ICV_LEN } else { 0 }
    }

    /// Octets to whose multiple ESP pads payload, Pad Length and Next Header: the block of CBC, 4 for an AEAD (RFC 4303 section 2.4).
    #[must_use]
    pub const fn esp_align(self) -> usize {
        if self.is_aead() { 4 } else { 16 }
    }

    /// Octets to whose multiple IKE pads payloads and Pad Length: the block of CBC, 1 for an AEAD (RFC 5282 section 3).
    #[must_use]
    pub const fn ike_align(self) -> usize {
        if self.is_aead() { 1 } else { 16 }
    }

    /// Whether the algorithm authenticates too, and so goes without an [`Integ`](crate::Integ).
    #[must_use]
    pub const fn is_aead(self) -> bool {
        self.aead().is_some()
    }

    /// Whether the algorithm should be named on purpose only. None of these is weak.
    #[must_use]
    pub const fn is_weak(self) -> bool {
        false
    }

    /// The keyword of a strongSwan proposal.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::AesCbc128 => "aes128",
            Self::AesCbc192 => "aes192",
            Self::AesCbc256 => "aes256",
            Self::AesGcm128 => "aes128gcm16",
            Self::AesGcm256 => "aes256gcm16",
            Self::ChaCha20Poly1305 => "chacha20poly1305",
        }
    }

    /// The algorithm of a [`keyword`](Self::keyword), in lower case.
    #[must_use]
    pub fn from_keyword(keyword: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encr| encr.keyword() == keyword)
    }

    pub(crate) const fn aead(self) -> Option<AeadAlgorithm> {
        match self {
            Self::AesGcm128 => Some(AeadAlgorithm::AesGcm128),
            Self::AesGcm256 => Some(AeadAlgorithm::AesGcm256),
            Self::ChaCha20Poly1305 => Some(AeadAlgorithm::ChaCha20Poly1305),
            Self::AesCbc128 | Self::AesCbc192 | Self::AesCbc256 => None,
        }
    }
}

impl fmt::Display for Encr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.keyword())
    }
}
