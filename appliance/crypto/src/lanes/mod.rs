//! HMAC-SHA1 and HMAC-SHA256 of many messages at once, one in each lane of vector registers: sixteen of AVX-512, eight of AVX2.
//!
//! Where there are no lanes, [`KeyedHash`](crate::hash::KeyedHash) computes one message after the other.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod key;
#[cfg(target_arch = "x86_64")]
mod schedule;
#[cfg(target_arch = "x86_64")]
mod sha1;
#[cfg(target_arch = "x86_64")]
mod sha256;
#[cfg(target_arch = "x86_64")]
mod vectors;

#[cfg(not(target_arch = "x86_64"))]
mod none;

#[cfg(target_arch = "x86_64")]
pub(crate) use key::LaneKey;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use none::LaneKey;

/// A message to be authenticated.
pub(crate) struct Message<'a> {
    /// Its octets.
    pub(crate) data: &'a [u8],
    /// What is covered behind them: nothing, or the high half of a sequence number.
    pub(crate) suffix: Option<[u8; 4]>,
    /// Where the code goes: as many of its octets as there is room for.
    pub(crate) code: &'a mut [u8],
}

impl Message<'_> {
    /// The suffix as octets.
    pub(crate) fn suffix(&self) -> &[u8] {
        self.suffix.as_slice().as_flattened()
    }
}
