//! A key for the lanes, safe by way of `pulp`: its tokens exist only where the CPU has the instructions.

use pulp::NullaryFnOnce;
use pulp::x86::{V3, V4};
use zeroize::Zeroize as _;

use super::vectors::Vectors;
use super::{Message, schedule, sha1, sha256};
use crate::hash::Hash;

/// Octets that a hash function takes at once.
pub(super) const BLOCK_LEN: usize = 64;
/// Words of the larger state, that of SHA-256; SHA-1 uses the first five.
pub(super) const WORDS: usize = 8;

/// The state of `N` computations: each row holds one word of every lane.
pub(super) type Rows<const N: usize> = [[u32; N]; WORDS];
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
    pub(super) fn compress<V: Vectors<N>, const N: usize>(
        self,
        simd: V,
        rows: &mut Rows<N>,
        blocks: &[&[u8; BLOCK_LEN]; N],
    ) {
        match self {
            Self::Sha1 => sha1::compress(simd, rows, blocks),
            Self::Sha256 => sha256::compress(simd, rows, blocks),
        }
    }
}

/// The instructions of this CPU.
#[derive(Clone, Copy)]
pub(super) enum Width {
    Sixteen(V4),
    Eight(V3),
}

/// What is done on the lanes, however many there are.
pub(super) trait OnLanes {
    type Output;
    fn call<V: Vectors<N>, const N: usize>(self, simd: V) -> Self::Output;
}

impl Width {
    /// `None` where the CPU has no lanes, or SHA instructions that eight lanes would have to beat first: that is not measured.
    fn of_cpu() -> Option<Self> {
        match V4::try_new() {
            Some(simd) => Some(Self::Sixteen(simd)),
            None if is_x86_feature_detected!("sha") => None,
            None => V3::try_new().map(Self::Eight),
        }
    }

    fn lanes(self) -> usize {
        match self {
            Self::Sixteen(_) => 16,
            Self::Eight(_) => 8,
        }
    }

    pub(super) fn run<W: OnLanes>(self, work: W) -> W::Output {
        struct Call<V, W>(V, W);
        impl<W: OnLanes> NullaryFnOnce for Call<V4, W> {
            type Output = W::Output;

            #[inline(always)]
            fn call(self) -> W::Output {
                self.1.call::<V4, 16>(self.0)
            }
        }
        impl<W: OnLanes> NullaryFnOnce for Call<V3, W> {
            type Output = W::Output;

            #[inline(always)]
            fn call(self) -> W::Output {
                self.1.call::<V3, 8>(self.0)
            }
        }
        match self {
            Self::Sixteen(simd) => simd.vectorize(Call(simd, work)),
            Self::Eight(simd) => simd.vectorize(Call(simd, work)),
        }
    }
}

/// An HMAC key whose two blocks have been absorbed, on a CPU that has lanes.
pub(crate) struct LaneKey {
    width: Width,
    pub(super) function: Function,
    /// The states behind the two blocks of the key.
    pub(super) inner: State,
    pub(super) outer: State,
}

impl LaneKey {
    /// `None` where the CPU or the hash function has no lanes. `key` has at most 64 octets.
    pub(crate) fn new(hash: Hash, key: &[u8]) -> Option<Self> {
        Self::with_width(Width::of_cpu()?, hash, key)
    }

    fn with_width(width: Width, hash: Hash, key: &[u8]) -> Option<Self> {
        let function = match hash {
            Hash::Sha1 => Function::Sha1,
            Hash::Sha256 => Function::Sha256,
            Hash::Sha384 | Hash::Sha512 => return None,
        };
        let mut padded = [0; BLOCK_LEN];
        padded.get_mut(..key.len())?.copy_from_slice(key);
        let state_of = |octet: u8| {
            let mut block = padded.map(|k| k ^ octet);
            let state = schedule::absorb(width, function, &block);
            block.zeroize();
            state
        };
        let (inner, outer) = (state_of(0x36), state_of(0x5c));
        padded.zeroize();
        Some(Self {
            width,
            function,
            inner,
            outer,
        })
    }

    /// Of so many messages those that the lanes, which take as long for one as for all, compute faster than it goes one after
    /// the other: of sixteen lanes that is measured against the SHA instructions (`benches`), of eight, where there are none of those, half of the
    /// lanes is a cautious guess.
    pub(crate) fn worth(&self, messages: usize) -> usize {
        let from = match (self.width, self.function) {
            (Width::Sixteen(_), Function::Sha1) => 6,
            (Width::Sixteen(_), Function::Sha256) => 9,
            (Width::Eight(_), _) => 4,
        };
        let left = messages % self.width.lanes();
        if left >= from {
            messages
        } else {
            messages - left
        }
    }

    /// Computes the codes of all messages, which may differ in length.
    pub(crate) fn sign(&self, messages: &mut [Message<'_>]) {
        schedule::run(self.width, self, messages);
    }
}

impl Drop for LaneKey {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::hash::{KeyedHash, MAX_OUTPUT_LEN};
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Every width that this CPU has, also one that it would not choose.
    fn widths() -> impl Iterator<Item = Width> {
        let sixteen = V4::try_new().map(Width::Sixteen);
        sixteen.into_iter().chain(V3::try_new().map(Width::Eight))
    }

    proptest! {
        #[test]
        fn lanes_compute_what_one_after_the_other_does(
            key in vec(any::<u8>(), 0..=BLOCK_LEN),
            messages in vec((vec(any::<u8>(), 0..400), any::<Option<[u8; 4]>>()), 0..40),
        ) {
            for (width, hash) in widths().flat_map(|w| [(w, Hash::Sha1), (w, Hash::Sha256)]) {
                let lanes = LaneKey::with_width(width, hash, &key).unwrap();
                let mut codes = vec![[0; MAX_OUTPUT_LEN]; messages.len()];
                let mut together: Vec<_> = (messages.iter().zip(&mut codes))
                    .map(|((data, suffix), code)| {
                        let (suffix, code) = (*suffix, &mut code[..hash.output_len()]);
                        Message { data, suffix, code }
                    })
                    .collect();
                lanes.sign(&mut together);
                let keyed = KeyedHash::new(hash, &key);
                for ((data, suffix), code) in messages.iter().zip(&codes) {
                    let mut expected = [0; MAX_OUTPUT_LEN];
                    let suffix = suffix.as_slice().as_flattened();
                    keyed.compute([data.as_slice(), suffix].into_iter(), &mut expected);
                    prop_assert_eq!(code, &expected);
                }
            }
        }
    }
}
