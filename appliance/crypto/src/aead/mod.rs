//! AEAD with the nonce of IPsec: a salt from the keying material, then the IV of the packet (RFC 4106 section 4, RFC 7634 section 2).

// Key exchange needs aws-lc in any case; `portable` chooses only who encrypts.
#[cfg(not(any(feature = "portable", feature = "null-cipher")))]
mod aws;
#[cfg(feature = "null-cipher")]
mod null;
#[cfg(all(feature = "portable", not(feature = "null-cipher")))]
mod portable;

#[cfg(not(any(feature = "portable", feature = "null-cipher")))]
use aws::Key;
#[cfg(feature = "null-cipher")]
use null::Key;
#[cfg(all(feature = "portable", not(feature = "null-cipher")))]
use portable::Key;

use crate::error::OpenError;

/// Octets of the salt, the end of the keying material.
pub(crate) const SALT_LEN: usize = 4;
/// Octets of the IV in the packet.
pub(crate) const IV_LEN: usize = 8;
/// Octets of the ICV.
pub(crate) const ICV_LEN: usize = 16;

const NONCE_LEN: usize = SALT_LEN + IV_LEN;

/// The algorithms behind one interface.
#[derive(Clone, Copy)]
pub(crate) enum AeadAlgorithm {
    AesGcm128,
    AesGcm256,
    ChaCha20Poly1305,
}

/// A key with its salt.
pub(crate) struct Aead {
    salt: [u8; SALT_LEN],
    key: Key,
}

impl Aead {
    /// `keymat` is the key and the salt; `None` if its length is wrong.
    pub(crate) fn new(algorithm: AeadAlgorithm, keymat: &[u8]) -> Option<Self> {
        let (key, salt) = keymat.split_last_chunk()?;
        Some(Self {
            salt: *salt,
            key: Key::new(algorithm, key)?,
        })
    }

    /// Encrypts `text` in place and returns the ICV.
    pub(crate) fn seal(&self, iv: [u8; IV_LEN], aad: &[u8], text: &mut [u8]) -> [u8; ICV_LEN] {
        self.key
            .seal(self.nonce(iv), aad, text)
            .expect("a datagram is far below the limits of the AEADs")
    }

    /// Verifies and decrypts `text` in place. After an error the content of `text` is unspecified, but not the plaintext.
    pub(crate) fn open(
        &self,
        iv: [u8; IV_LEN],
        aad: &[u8],
        text: &mut [u8],
        icv: &[u8; ICV_LEN],
    ) -> Result<(), OpenError> {
        self.key
            .open(self.nonce(iv), aad, text, icv)
            .ok_or(OpenError::Integrity)
    }

    fn nonce(&self, iv: [u8; IV_LEN]) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce[..SALT_LEN].copy_from_slice(&self.salt);
        nonce[SALT_LEN..].copy_from_slice(&iv);
        nonce
    }
}

impl Drop for Aead {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.salt);
    }
}
