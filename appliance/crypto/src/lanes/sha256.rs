//! SHA-256 (FIPS 180-4 section 6.2) in lanes.

use super::key::{BLOCK_LEN, Rows, State};
use super::vectors::Vectors;

pub(super) const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// FIPS 180-4 section 4.2.2.
#[rustfmt::skip]
const K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

#[inline(always)]
pub(super) fn compress<V: Vectors<N>, const N: usize>(
    v: V,
    rows: &mut Rows<N>,
    blocks: &[&[u8; BLOCK_LEN]; N],
) {
    // The rotations of sigma, to the right, the last of which may be a shift.
    macro_rules! sigma {
        ($x:expr, $one:literal, $two:literal, ror $three:literal) => {
            v.parity(
                v.rotate_left::<{ 32 - $one }, $one>($x),
                v.rotate_left::<{ 32 - $two }, $two>($x),
                v.rotate_left::<{ 32 - $three }, $three>($x),
            )
        };
        ($x:expr, $one:literal, $two:literal, shr $three:literal) => {
            v.parity(
                v.rotate_left::<{ 32 - $one }, $one>($x),
                v.rotate_left::<{ 32 - $two }, $two>($x),
                v.shift_right::<$three>($x),
            )
        };
    }
    let add = |a, b| v.add(a, b);
    let mut w = v.message_words(blocks);
    let start = rows.map(|row| v.load(row));
    let [mut a, mut b, mut c, mut d, mut e, mut g, mut h, mut i] = start;
    for t in 0..64 {
        if t >= 16 {
            let (w2, w15) = (w[(t + 14) % 16], w[(t + 1) % 16]);
            let old = add(w[t % 16], w[(t + 9) % 16]);
            let new = add(sigma!(w2, 17, 19, shr 10), sigma!(w15, 7, 18, shr 3));
            w[t % 16] = add(old, new);
        }
        let known = add(add(i, v.splat(K[t])), w[t % 16]);
        let chosen = v.choose(e, g, h);
        let one = add(known, add(sigma!(e, 6, 11, ror 25), chosen));
        let most = v.majority(a, b, c);
        let two = add(sigma!(a, 2, 13, ror 22), most);
        (i, h, g, e) = (h, g, e, add(d, one));
        (d, c, b, a) = (c, b, a, add(one, two));
    }
    for ((row, old), new) in rows.iter_mut().zip(start).zip([a, b, c, d, e, g, h, i]) {
        *row = v.store(v.add(old, new));
    }
}
