//! AES-CBC (RFC 3602) over whole blocks; padding belongs to the caller.

use std::cmp::Reverse;

use aes::{Aes128, Aes192, Aes256};
use cbc::{Decryptor, Encryptor};
use cipher::array::Array;
use cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt as _, BlockModeEncrypt as _,
    BlockSizeUser, InnerIvInit as _, KeyInit as _, consts::U16,
};

/// Octets of a block and of an IV.
pub(crate) const BLOCK_LEN: usize = 16;

/// Texts that are encrypted side by side: as many as the segments of the largest GSO train.
pub(crate) const SIDE_BY_SIDE: usize = 64;

/// A text to be encrypted, with its IV.
pub(crate) struct Chain<'a> {
    pub(crate) iv: [u8; BLOCK_LEN],
    /// Whole blocks.
    pub(crate) text: &'a mut [u8],
}

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

    /// Encrypts texts in place, side by side: inside of one each block waits for the one before, and the CPU would idle. Changes
    /// the order of `chains`.
    pub(crate) fn encrypt_many(&self, chains: &mut [Chain<'_>]) {
        for group in chains.chunks_mut(SIDE_BY_SIDE) {
            match self {
                Self::Aes128(key) => encrypt_side_by_side(&**key, group),
                Self::Aes192(key) => encrypt_side_by_side(&**key, group),
                Self::Aes256(key) => encrypt_side_by_side(&**key, group),
            }
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

/// Takes at most [`SIDE_BY_SIDE`] chains.
fn encrypt_side_by_side<C>(key: &C, chains: &mut [Chain<'_>])
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    // The longest first: those at work are always the first ones.
    if !chains.is_sorted_by_key(|chain| Reverse(chain.text.len())) {
        chains.sort_unstable_by_key(|chain| Reverse(chain.text.len()));
    }
    let mut blocks = [Array::from([0; BLOCK_LEN]); SIDE_BY_SIDE];
    for (block, chain) in blocks.iter_mut().zip(chains.iter()) {
        *block = chain.iv.into();
    }
    let (mut at, mut active) = (0, chains.len());
    loop {
        while active > 0 && chains[active - 1].text.len() < at + BLOCK_LEN {
            active -= 1;
        }
        if active == 0 {
            return;
        }
        let (blocks, chains) = (&mut blocks[..active], &mut chains[..active]);
        for (block, chain) in blocks.iter_mut().zip(chains.iter()) {
            if let Some(text) = chain.text[at..].first_chunk() {
                let mixed = u128::from_ne_bytes((*block).into()) ^ u128::from_ne_bytes(*text);
                *block = mixed.to_ne_bytes().into();
            }
        }
        key.encrypt_blocks(blocks);
        for (block, chain) in blocks.iter().zip(chains) {
            chain.text[at..at + BLOCK_LEN].copy_from_slice(block);
        }
        at += BLOCK_LEN;
    }
}

fn decrypt<C>(key: &C, iv: &[u8; BLOCK_LEN], text: &mut [u8])
where
    C: BlockCipherDecrypt + BlockSizeUser<BlockSize = U16>,
{
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    debug_assert!(rest.is_empty(), "the caller has checked for whole blocks");
    Decryptor::inner_iv_init(key, &Array::from(*iv)).decrypt_blocks(blocks);
}
