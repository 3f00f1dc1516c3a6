//! Eight lanes of AVX2.

use std::arch::x86_64::__m256i;

use pulp::x86::V3;

use super::key::BLOCK_LEN;
use super::vectors::{Vectors, swap};

impl Vectors<8> for V3 {
    type Register = __m256i;

    #[inline(always)]
    fn load(self, row: [u32; 8]) -> __m256i {
        pulp::cast(row)
    }

    #[inline(always)]
    fn store(self, register: __m256i) -> [u32; 8] {
        pulp::cast(register)
    }

    #[inline(always)]
    fn splat(self, word: u32) -> __m256i {
        self.avx._mm256_set1_epi32(word as i32)
    }

    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_add_epi32(a, b)
    }

    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_xor_si256(a, b)
    }

    #[inline(always)]
    fn rotate_left<const BY: i32, const REST: i32>(self, a: __m256i) -> __m256i {
        let (left, right) = (
            self.avx2._mm256_slli_epi32::<BY>(a),
            self.avx2._mm256_srli_epi32::<REST>(a),
        );
        self.avx2._mm256_or_si256(left, right)
    }

    #[inline(always)]
    fn shift_right<const BY: i32>(self, a: __m256i) -> __m256i {
        self.avx2._mm256_srli_epi32::<BY>(a)
    }

    #[inline(always)]
    fn choose(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        let differ = self.avx2._mm256_xor_si256(b, c);
        self.xor(c, self.avx2._mm256_and_si256(a, differ))
    }

    #[inline(always)]
    fn majority(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        let (both, either) = (
            self.avx2._mm256_and_si256(a, b),
            self.avx2._mm256_or_si256(a, b),
        );
        self.avx2
            ._mm256_or_si256(both, self.avx2._mm256_and_si256(either, c))
    }

    #[inline(always)]
    fn parity(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        self.xor(self.xor(a, b), c)
    }

    #[inline(always)]
    fn message_words(self, blocks: &[&[u8; BLOCK_LEN]; 8]) -> [__m256i; 16] {
        let mut words = [self.splat(0); 16];
        let (halves, _) = words.as_chunks_mut::<8>();
        for (half, words) in halves.iter_mut().enumerate() {
            let rows = blocks.map(|block| block.as_chunks::<32>().0[half]);
            *words = transposed(self, rows);
        }
        words
    }
}

/// Word `t` of eight rows, for each of the eight `t`.
#[inline(always)]
fn transposed(simd: V3, rows: [[u8; 32]; 8]) -> [__m256i; 8] {
    let v = simd.avx2;
    let swap: __m256i = pulp::cast(swap::<32>());
    let a = rows.map(|row| v._mm256_shuffle_epi8(pulp::cast(row), swap));
    let mut b = a;
    for i in (0..8).step_by(2) {
        b[i] = v._mm256_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = v._mm256_unpackhi_epi32(a[i], a[i + 1]);
    }
    // Now c[4g + j]: words j and 4 + j of the four rows from 4g on.
    let mut c = b;
    for g in [0, 4] {
        c[g] = v._mm256_unpacklo_epi64(b[g], b[g + 2]);
        c[g + 1] = v._mm256_unpackhi_epi64(b[g], b[g + 2]);
        c[g + 2] = v._mm256_unpacklo_epi64(b[g + 1], b[g + 3]);
        c[g + 3] = v._mm256_unpackhi_epi64(b[g + 1], b[g + 3]);
    }
    let mut words = c;
    for j in 0..4 {
        words[j] = v._mm256_permute2x128_si256::<0x20>(c[j], c[4 + j]);
        words[4 + j] = v._mm256_permute2x128_si256::<0x31>(c[j], c[4 + j]);
    }
    words
}
