//! What the hash functions ask of the vector instructions of a CPU.

use super::key::BLOCK_LEN;

/// Instructions whose registers hold one word of each of `N` lanes.
pub(super) trait Vectors<const N: usize>: Copy {
    /// A register.
    type Register: Copy;

    fn load(self, row: [u32; N]) -> Self::Register;
    fn store(self, register: Self::Register) -> [u32; N];
    fn splat(self, word: u32) -> Self::Register;
    fn add(self, a: Self::Register, b: Self::Register) -> Self::Register;
    fn xor(self, a: Self::Register, b: Self::Register) -> Self::Register;
    /// `REST` is 32 less `BY`: where there is no rotation, two shifts make one.
    fn rotate_left<const BY: i32, const REST: i32>(self, a: Self::Register) -> Self::Register;
    fn shift_right<const BY: i32>(self, a: Self::Register) -> Self::Register;
    /// Of each bit `b` where `a` is set, else `c` (FIPS 180-4 section 4.1).
    fn choose(self, a: Self::Register, b: Self::Register, c: Self::Register) -> Self::Register;
    /// Of each bit what two of the three say.
    fn majority(self, a: Self::Register, b: Self::Register, c: Self::Register) -> Self::Register;
    fn parity(self, a: Self::Register, b: Self::Register, c: Self::Register) -> Self::Register;
    /// From blocks, one a lane, to registers, one a message word: register `t` is word `t` of every block.
    fn message_words(self, blocks: &[&[u8; BLOCK_LEN]; N]) -> [Self::Register; 16];
}

/// Octets of a word from big-endian order to that of the CPU, in each 128 bits.
pub(super) const fn swap<const N: usize>() -> [u8; N] {
    let mut order = [0; N];
    let mut at = 0;
    while at < N {
        order[at] = (at % 16 / 4 * 4 + 3 - at % 4) as u8;
        at += 1;
    }
    order
}
