//! SHA-1 (FIPS 180-4 section 6.1) in sixteen lanes.

use std::arch::x86_64::__m512i;

use pulp::x86::V4;

use super::LANES;
use super::avx512::{BLOCK_LEN, Rows, State};
use super::transpose::message_words;

pub(super) const INITIAL: State = [
    0x6745_2301,
    0xefcd_ab89,
    0x98ba_dcfe,
    0x1032_5476,
    0xc3d2_e1f0,
    0,
    0,
    0,
];

/// Truth tables of the functions (FIPS 180-4 section 4.1.1), for a ternary logic instruction.
const CHOOSE: i32 = 0xca;
const PARITY: i32 = 0x96;
const MAJORITY: i32 = 0xe8;

#[inline(always)]
pub(super) fn compress(simd: V4, rows: &mut Rows, blocks: &[&[u8; BLOCK_LEN]; LANES]) {
    let f = simd.avx512f;
    let mut w = message_words(simd, blocks);
    let [mut a, mut b, mut c, mut d, mut e, ..]: [__m512i; 8] = rows.map(pulp::cast);
    let start = [a, b, c, d, e];
    macro_rules! rounds {
        ($table:expr, $constant:expr, $range:expr) => {
            let k = f._mm512_set1_epi32($constant as i32);
            for t in $range {
                if t >= 16 {
                    let three = f._mm512_ternarylogic_epi32::<PARITY>(
                        w[(t + 13) % 16],
                        w[(t + 8) % 16],
                        w[(t + 2) % 16],
                    );
                    w[t % 16] = f._mm512_rol_epi32::<1>(f._mm512_xor_si512(three, w[t % 16]));
                }
                let mixed = f._mm512_ternarylogic_epi32::<$table>(b, c, d);
                let added = f._mm512_add_epi32(f._mm512_add_epi32(e, k), w[t % 16]);
                let turned = f._mm512_add_epi32(f._mm512_rol_epi32::<5>(a), mixed);
                e = d;
                d = c;
                c = f._mm512_rol_epi32::<30>(b);
                b = a;
                a = f._mm512_add_epi32(added, turned);
            }
        };
    }
    rounds!(CHOOSE, 0x5a82_7999u32, 0..20usize);
    rounds!(PARITY, 0x6ed9_eba1u32, 20..40usize);
    rounds!(MAJORITY, 0x8f1b_bcdcu32, 40..60usize);
    rounds!(PARITY, 0xca62_c1d6u32, 60..80usize);
    for ((row, old), new) in rows.iter_mut().zip(start).zip([a, b, c, d, e]) {
        *row = pulp::cast(f._mm512_add_epi32(old, new));
    }
}
