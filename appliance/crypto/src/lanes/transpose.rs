//! From sixteen blocks, one a lane, to sixteen rows, one a message word.

use std::arch::x86_64::__m512i;

use pulp::x86::V4;

use super::LANES;
use super::avx512::BLOCK_LEN;

/// Octets of a word from big-endian order to that of the CPU, in each 128 bits.
const SWAP: [u8; BLOCK_LEN] = {
    let mut order = [0; BLOCK_LEN];
    let mut at = 0;
    while at < BLOCK_LEN {
        order[at] = (at % 16 / 4 * 4 + 3 - at % 4) as u8;
        at += 1;
    }
    order
};

/// Row `t` is word `t` of every block.
#[inline(always)]
pub(super) fn message_words(simd: V4, blocks: &[&[u8; BLOCK_LEN]; LANES]) -> [__m512i; LANES] {
    let (f, bw) = (simd.avx512f, simd.avx512bw);
    let swap = pulp::cast(SWAP);
    let mut a = [f._mm512_setzero_si512(); LANES];
    for (row, block) in a.iter_mut().zip(blocks) {
        *row = bw._mm512_shuffle_epi8(pulp::cast(**block), swap);
    }
    let mut b = a;
    for i in (0..LANES).step_by(2) {
        b[i] = f._mm512_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = f._mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
    // Now a[4g + j]: column j of each 128 bits, for the four blocks from 4g on.
    for g in (0..LANES).step_by(4) {
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
