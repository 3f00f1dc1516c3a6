//! AES-CBC (RFC 3602) over whole blocks; padding belongs to the caller.

use aes::{Aes128, Aes192, Aes256};
use cbc::{Decryptor, Encryptor};
use cipher::array::Array;
use cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt as _, BlockModeEncrypt as _,
    BlockSizeUser, InnerIvInit as _, KeyInit as _, consts::U16,
};

/// Octets of a block and of an IV.
pub(crate) const BLOCK_LEN: usize = 16;

/// A key, ready for both directions. Boxed, as the key schedules differ much in size.
pub(crate) enum CbcKey {
    Aes128(Box<Aes128>),
    Aes192(Box<Aes192>),
    Aes256(Box<Aes256>),
}

impl CbcKey {
    /// Takes a key of 16, 24 or 32 octets.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        Some(match key.len() {
            16 => Self::Aes128(Box::new(Aes128::new_from_slice(key).ok()?)),
            24 => Self::Aes192(Box::new(Aes192::new_from_slice(key).ok()?)),
            32 => Self::Aes256(Box::new(Aes256::new_from_slice(key).ok()?)),
            _ => return None,
        })
    }

    /// Encrypts in place. `text` is whole blocks.
    pub(crate) fn encrypt(&self, iv: &[u8; BLOCK_LEN], text: &mut [u8]) {
        match self {
            Self::Aes128(key) => encrypt(&**key, iv, text),
            Self::Aes192(key) => encrypt(&**key, iv, text),
            Self::Aes256(key) => encrypt(&**key, iv, text),
        }
    }

    /// Decrypts in place. `text` is whole blocks.
    pub(crate) fn decrypt(&self, iv: &[u8; BLOCK_LEN], text: &mut [u8]) {
        match self {
            Self::Aes128(key) => decrypt(&**key, iv, text),
            Self::Aes192(key) => decrypt(&**key, iv, text),
            Self::Aes256(key) => decrypt(&**key, iv, text),
        }
    }
}

fn encrypt<C>(key: &C, iv: &[u8; BLOCK_LEN], text: &mut [u8])
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    debug_assert!(rest.is_empty(), "the caller has padded to whole blocks");
    Encryptor::inner_iv_init(key, &Array::from(*iv)).encrypt_blocks(blocks);
}

fn decrypt<C>(key: &C, iv: &[u8; BLOCK_LEN], text: &mut [u8])
where
    C: BlockCipherDecrypt + BlockSizeUser<BlockSize = U16>,
{
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    debug_assert!(rest.is_empty(), "the caller has checked for whole blocks");
    Decryptor::inner_iv_init(key, &Array::from(*iv)).decrypt_blocks(blocks);
}
