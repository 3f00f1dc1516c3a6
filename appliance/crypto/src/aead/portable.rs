//! The AEADs of RustCrypto.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit as _};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;

use super::{AeadAlgorithm, ICV_LEN, NONCE_LEN};

/// Boxed, as the key schedules differ much in size.
pub(super) enum Key {
    AesGcm128(Box<Aes128Gcm>),
    AesGcm256(Box<Aes256Gcm>),
    ChaCha20Poly1305(Box<ChaCha20Poly1305>),
}

impl Key {
    pub(super) fn new(algorithm: AeadAlgorithm, key: &[u8]) -> Option<Self> {
        Some(match algorithm {
            AeadAlgorithm::AesGcm128 => {
                Self::AesGcm128(Box::new(Aes128Gcm::new_from_slice(key).ok()?))
            }
            AeadAlgorithm::AesGcm256 => {
                Self::AesGcm256(Box::new(Aes256Gcm::new_from_slice(key).ok()?))
            }
            AeadAlgorithm::ChaCha20Poly1305 => {
                Self::ChaCha20Poly1305(Box::new(ChaCha20Poly1305::new_from_slice(key).ok()?))
            }
        })
    }

    pub(super) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        text: &mut [u8],
    ) -> Option<[u8; ICV_LEN]> {
        let text = InOutBuf::from(text);
        let nonce = &nonce.into();
        let tag = match self {
            Self::AesGcm128(key) => key.encrypt_inout_detached(nonce, aad, text),
            Self::AesGcm256(key) => key.encrypt_inout_detached(nonce, aad, text),
            Self::ChaCha20Poly1305(key) => key.encrypt_inout_detached(nonce, aad, text),
        };
        tag.ok().map(Into::into)
    }

    pub(super) fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        text: &mut [u8],
        icv: &[u8; ICV_LEN],
    ) -> Option<()> {
        let text = InOutBuf::from(text);
        let (nonce, icv) = (&nonce.into(), &(*icv).into());
        let verified = match self {
            Self::AesGcm128(key) => key.decrypt_inout_detached(nonce, aad, text, icv),
            Self::AesGcm256(key) => key.decrypt_inout_detached(nonce, aad, text, icv),
            Self::ChaCha20Poly1305(key) => key.decrypt_inout_detached(nonce, aad, text, icv),
        };
        verified.ok()
    }
}
