//! Powers of one base: what can be computed of it once is, and a power then takes one multiplication for four bits of the exponent.

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::bignum::{Modulus, Number, Scratch};

/// Four bits have so many values.
const VALUES: usize = 16;

/// The base to all values of each four bits of an exponent.
pub(super) struct FixedBase {
    /// From the last four bits on, for each value in turn: a power in Montgomery form, little endian, in `words` words.
    table: Vec<u64>,
    words: usize,
}

impl FixedBase {
    /// For exponents of `exponent_len` octets; `len` is that of the prime, a multiple of eight. `None`: aws-lc is out of memory.
    pub(super) fn new(
        modulus: &Modulus,
        base: u8,
        exponent_len: usize,
        len: usize,
    ) -> Option<Self> {
        let mut scratch = Scratch::new()?;
        let one = modulus.enter(&Number::new(&[1])?)?;
        let mut unit = modulus.enter(&Number::new(&[base])?)?;
        let (mut table, mut octets) = (Vec::new(), vec![0; len]);
        for _ in 0..2 * exponent_len {
            let mut power = modulus.multiply(&one, &one, &mut scratch)?;
            for _ in 0..VALUES {
                power.write(&mut octets)?;
                table.extend(octets.chunks_exact(8).map(word));
                power = modulus.multiply(&power, &unit, &mut scratch)?;
            }
            unit = power;
        }
        let words = len / 8;
        Some(Self { table, words })
    }

    /// The base to `exponent`, little endian, of the length that this is for. The time does not depend on its value.
    pub(super) fn power(&self, modulus: &Modulus, exponent: &[u8]) -> Option<Number> {
        let mut scratch = Scratch::new()?;
        let digits = exponent.iter().flat_map(|octet| [octet & 15, octet >> 4]);
        let rows = self.table.chunks_exact(VALUES * self.words);
        let mut factors = rows.zip(digits).map(|(row, digit)| self.select(row, digit));
        let first = factors.next()??;
        let product = factors.try_fold(first, |product, factor| {
            modulus.multiply(&product, &factor?, &mut scratch)
        });
        modulus.leave(&product?)
    }

    /// The entry of a row for `digit`; every entry is read.
    fn select(&self, row: &[u64], digit: u8) -> Option<Number> {
        let mut chosen = Zeroizing::new(vec![0; self.words]);
        for (entry, value) in row.chunks_exact(self.words).zip(0u8..) {
            let mask = u64::from(value.ct_eq(&digit).unwrap_u8()).wrapping_neg();
            let both = chosen.iter_mut().zip(entry);
            both.for_each(|(chosen, word)| *chosen |= word & mask);
        }
        let octets: Zeroizing<Vec<u8>> =
            Zeroizing::new(chosen.iter().flat_map(|word| word.to_le_bytes()).collect());
        Number::new(&octets)
    }
}

fn word(octets: &[u8]) -> u64 {
    octets
        .iter()
        .rev()
        .fold(0, |word, octet| word << 8 | u64::from(*octet))
}
