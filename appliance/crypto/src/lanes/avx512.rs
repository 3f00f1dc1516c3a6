//! Sixteen lanes of AVX-512.

use std::arch::x86_64::__m512i;

use pulp::x86::V4;

use super::key::BLOCK_LEN;
use super::vectors::{Vectors, swap};

/// Truth tables of the functions, for a ternary logic instruction.
const CHOOSE: i32 = 0xca;
const PARITY: i32 = 0x96;
const MAJORITY: i32 = 0xe8;

impl Vectors<16> for V4 {
    type Register = __m512i;

    #[inline(always)]
    fn load(self, row: [u32; 16]) -> __m512i {
        pulp::cast(row)
    }

    #[inline(always)]
    fn store(self, register: __m512i) -> [u32; 16] {
        pulp::cast(register)
    }

    #[inline(always)]
    fn splat(self, word: u32) -> __m512i {
        self.avx512f._mm512_set1_epi32(word as i32)
    }

    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        self.avx512f._mm512_add_epi32(a, b)
    }

    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        self.avx512f._mm512_xor_si512(a, b)
    }

    #[inline(always)]
    fn rotate_left<const BY: i32, const REST: i32>(self, a: __m512i) -> __m512i {
        self.avx512f._mm512_rol_epi32::<BY>(a)
    }

    #[inline(always)]
    fn shift_right<const BY: i32>(self, a: __m512i) -> __m512i {
        // Of this instruction the number is unsigned.
        let by = self.avx512f._mm512_set1_epi32(BY);
        self.avx512f._mm512_srlv_epi32(a, by)
    }

    #[inline(always)]
    fn choose(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        self.avx512f._mm512_ternarylogic_epi32::<CHOOSE>(a, b, c)
    }

    #[inline(always)]
    fn majority(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        self.avx512f._mm512_ternarylogic_epi32::<MAJORITY>(a, b, c)
    }

    #[inline(always)]
    fn parity(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        self.avx512f._mm512_ternarylogic_epi32::<PARITY>(a, b, c)
    }

    #[inline(always)]
    fn message_words(self, blocks: &[&[u8; BLOCK_LEN]; 16]) -> [__m512i; 16] {
        transposed(self, blocks)
    }
}

/// Word `t` of sixteen blocks, for each of the sixteen `t`.
#[inline(always)]
fn transposed(simd: V4, blocks: &[&[u8; BLOCK_LEN]; 16]) -> [__m512i; 16] {
    let (f, bw) = (simd.avx512f, simd.avx512bw);
    let swap: __m512i = pulp::cast(swap::<64>());
    let mut a = [f._mm512_setzero_si512(); 16];
    for (row, block) in a.iter_mut().zip(blocks) {
        *row = bw._mm512_shuffle_epi8(pulp::cast(**block), swap);
    }
    let mut b = a;
    for i in (0..16).step_by(2) {
        b[i] = f._mm512_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = f._mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
    // Now a[4g + j]: column j of each 128 bits, for the four blocks from 4g on.
    for g in (0..16).step_by(4) {
        a[g] = f._mm512_unpacklo_epi64(b[g], b[g + 2]);
        a[g + 1] = f._mm512_unpackhi_epi64(b[g], b[g + 2]);
        a[g + 2] = f._mm512_unpacklo_epi64(b[g + 1], b[g + 3]);
        a[g + 3] = f._mm512_unpackhi_epi64(b[g + 1], b[g + 3]);
    }
    for j in 0..4 {
        b[j] = f._mm512_shuffle_i32x4::<0x88>(a[j], a[4 + j]);
        b[4 + j] = f._mm512_shuffle_i32x4::<0xdd>(a[j], a[4 + j]);
        b[8 + j] = f._mm512_shuffle_i32x4::<0x88>(a[8 + j], a[12 + j]);
        b[12 + j] = f._mm512_shuffle_i32x4::<0xdd>(a[8 + j], a[12 + j]);
    }
    for j in 0..4 {
        a[j] = f._mm512_shuffle_i32x4::<0x88>(b[j], b[8 + j]);
        a[8 + j] = f._mm512_shuffle_i32x4::<0xdd>(b[j], b[8 + j]);
        a[4 + j] = f._mm512_shuffle_i32x4::<0x88>(b[4 + j], b[12 + j]);
        a[12 + j] = f._mm512_shuffle_i32x4::<0xdd>(b[4 + j], b[12 + j]);
    }
    a
}
