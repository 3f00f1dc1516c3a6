//! What several test files need: random numbers that are not random, hexadecimal, and every suite with keys.
#![allow(dead_code, clippy::unwrap_used, unreachable_pub)]

use std::convert::Infallible;

use hawser_crypto::{Encr, Integ};
use rand::{TryCryptoRng, TryRng};

/// Hands out prepared octets, so that a known private key can be "generated".
pub struct Scripted(Vec<u8>);

impl Scripted {
    pub fn new(octets: &[u8]) -> Self {
        Self(octets.to_vec())
    }

    pub fn is_used_up(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryRng for Scripted {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut octets = [0; 4];
        self.try_fill_bytes(&mut octets)?;
        Ok(u32::from_le_bytes(octets))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut octets = [0; 8];
        self.try_fill_bytes(&mut octets)?;
        Ok(u64::from_le_bytes(octets))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0[..out.len()]);
        self.0.drain(..out.len());
        Ok(())
    }
}

impl TryCryptoRng for Scripted {}

/// Octets from hexadecimal digits; white space is ignored.
pub fn octets(digits: &str) -> Vec<u8> {
    let digits: String = digits.split_whitespace().collect();
    hex::decode(digits).unwrap()
}

/// Lines of a vector file, split into columns, without comments.
pub fn rows(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(' ').collect())
}

/// An encryption algorithm with what belongs to it, and keys counted up from `seed`.
#[derive(Clone, Debug)]
pub struct Keyed {
    pub encr: Encr,
    pub integ: Option<Integ>,
    pub encr_key: Vec<u8>,
    pub integ_key: Vec<u8>,
}

/// Every encryption algorithm with every integrity algorithm that goes with it.
pub fn suites(seed: u8) -> Vec<Keyed> {
    let key = |len| (seed..=u8::MAX).cycle().take(len).collect();
    let pairs = Encr::ALL.into_iter().flat_map(|encr| {
        let integs: Vec<_> = if encr.is_aead() {
            vec![None]
        } else {
            Integ::ALL.map(Some).to_vec()
        };
        integs.into_iter().map(move |integ| (encr, integ))
    });
    pairs
        .map(|(encr, integ)| Keyed {
            encr,
            integ,
            encr_key: key(encr.key_len()),
            integ_key: key(integ.map_or(0, Integ::key_len)),
        })
        .collect()
}
