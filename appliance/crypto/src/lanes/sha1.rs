//! SHA-1 (FIPS 180-4 section 6.1) in lanes.

use super::key::{BLOCK_LEN, Rows, State};
use super::vectors::Vectors;

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

#[inline(always)]
pub(super) fn compress<V: Vectors<N>, const N: usize>(
    v: V,
    rows: &mut Rows<N>,
    blocks: &[&[u8; BLOCK_LEN]; N],
) {
    let mut w = v.message_words(blocks);
    let [mut a, mut b, mut c, mut d, mut e, ..] = rows.map(|row| v.load(row));
    let start = [a, b, c, d, e];
    macro_rules! rounds {
        ($function:ident, $constant:expr, $range:expr) => {
            let k = v.splat($constant);
            for t in $range {
                if t >= 16 {
                    let three = v.parity(w[(t + 13) % 16], w[(t + 8) % 16], w[(t + 2) % 16]);
                    w[t % 16] = v.rotate_left::<1, 31>(v.xor(three, w[t % 16]));
                }
                let mixed = v.$function(b, c, d);
                let added = v.add(v.add(e, k), w[t % 16]);
                let turned = v.add(v.rotate_left::<5, 27>(a), mixed);
                e = d;
                d = c;
                c = v.rotate_left::<30, 2>(b);
                b = a;
                a = v.add(added, turned);
            }
        };
    }
    rounds!(choose, 0x5a82_7999u32, 0..20usize);
    rounds!(parity, 0x6ed9_eba1u32, 20..40usize);
    rounds!(majority, 0x8f1b_bcdcu32, 40..60usize);
    rounds!(parity, 0xca62_c1d6u32, 60..80usize);
    for ((row, old), new) in rows.iter_mut().zip(start).zip([a, b, c, d, e]) {
        *row = v.store(v.add(old, new));
    }
}
