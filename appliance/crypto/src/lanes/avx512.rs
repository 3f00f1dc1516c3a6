//! The lanes of AVX-512, safe by way of `pulp`: its token exists only where the CPU has the instructions.

use pulp::x86::V4;
use zeroize::Zeroize as _;

use super::{LANES, Message, schedule, sha1, sha256};
use crate::hash::Hash;

/// Octets that a hash function takes at once.
pub(super) const BLOCK_LEN: usize = 64;
/// Words of the larger state, that of SHA-256; SHA-1 uses the first five.
pub(super) const WORDS: usize = 8;

/// The state of sixteen computations: each row holds one word of every lane.
pub(super) type Rows = [[u32; LANES]; WORDS];
/// The state of one computation.
pub(super) type State = [u32; WORDS];

/// The hash functions that have lanes.
#[derive(Clone, Copy)]
pub(super) enum Function {
    Sha1,
    Sha256,
}

impl Function {
    /// The state that a hash begins with (FIPS 180-4 section 5.3).
    pub(super) const fn initial(self) -> State {
        match self {
            Self::Sha1 => sha1::INITIAL,
            Self::Sha256 => sha256::INITIAL,
        }
    }

    /// Octets of the digest.
    pub(super) const fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Takes one block into every lane.
    #[inline(always)]
    pub(super) fn compress(self, simd: V4, rows: &mut Rows, blocks: &[&[u8; BLOCK_LEN]; LANES]) {
        match self {
            Self::Sha1 => sha1::compress(simd, rows, blocks),
            Self::Sha256 => sha256::compress(simd, rows, blocks),
        }
    }
}

/// An HMAC key whose two blocks have been absorbed, on a CPU that has the lanes.
pub(crate) struct LaneKey {
    pub(super) simd: V4,
    pub(super) function: Function,
    /// The states behind the two blocks of the key.
    pub(super) inner: State,
    pub(super) outer: State,
}

impl LaneKey {
    /// `None` where the CPU or the hash function has no lanes. `key` has at most 64 octets.
    pub(crate) fn new(hash: Hash, key: &[u8]) -> Option<Self> {
        let simd = V4::try_new()?;
        let function = match hash {
            Hash::Sha1 => Function::Sha1,
            Hash::Sha256 => Function::Sha256,
            Hash::Sha384 | Hash::Sha512 => return None,
        };
        let mut padded = [0; BLOCK_LEN];
        padded.get_mut(..key.len())?.copy_from_slice(key);
        let state_of = |octet: u8| {
            let mut block = padded.map(|k| k ^ octet);
            let state = schedule::absorb(simd, function, &block);
            block.zeroize();
            state
        };
        let (inner, outer) = (state_of(0x36), state_of(0x5c));
        padded.zeroize();
        Some(Self {
            simd,
            function,
            inner,
            outer,
        })
    }

    /// From how many messages on the lanes, which take as long for one as for all, are faster than one message after the other
    /// with the SHA instructions (measured: `benches`).
    pub(crate) const fn worth(&self) -> usize {
        match self.function {
            Function::Sha1 => 6,
            Function::Sha256 => 9,
        }
    }

    /// Computes the codes of all messages, which may differ in length.
    pub(crate) fn sign(&self, messages: &mut [Message<'_>]) {
        schedule::run(self, messages);
    }
}

impl Drop for LaneKey {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}
