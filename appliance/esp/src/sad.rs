//! The Security Association Database, inbound part (RFC 4301 section 4.4.2): SAs by SPI.

use crate::inbound::InboundSa;
use hawser_flight::DropReason;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The inbound SAs of one shard, each with an `owner` by which the shard finds the peer.
///
/// A SPI is 32 bits of our choosing, the top octet being the bucket. So the hash needs no secret: what an attacker can choose
/// are SPIs that are not here, and those cost one probe.
#[derive(Debug)]
pub struct Sad<T> {
    entries: HashMap<u32, Box<SadEntry<T>>, BuildHasherDefault<SpiHasher>>,
}

/// An SA and whose it is.
#[derive(Debug)]
pub struct SadEntry<T> {
    /// The SA.
    pub sa: InboundSa,
    /// Whose it is.
    pub owner: T,
}

impl<T> Sad<T> {
    /// An empty database.
    #[must_use]
    pub fn new() -> Self {
        Self {
            entries: HashMap::default(),
        }
    }

    /// Adds an SA under its SPI. Returns the one that had the SPI before: whoever chooses SPIs asks [`contains`](Self::contains)
    /// first.
    pub fn insert(&mut self, sa: InboundSa, owner: T) -> Option<SadEntry<T>> {
        let spi = sa.spi();
        let former = self.entries.insert(spi, Box::new(SadEntry { sa, owner }));
        former.map(|entry| *entry)
    }

    /// Takes out the SA of a SPI, for instance to park it.
    pub fn remove(&mut self, spi: u32) -> Option<SadEntry<T>> {
        self.entries.remove(&spi).map(|entry| *entry)
    }

    /// Whether a SPI is in use.
    #[must_use]
    pub fn contains(&self, spi: u32) -> bool {
        self.entries.contains_key(&spi)
    }

    /// The SA of a SPI.
    #[must_use]
    pub fn get(&self, spi: u32) -> Option<&SadEntry<T>> {
        self.entries.get(&spi).map(Box::as_ref)
    }

    /// The SA of a SPI, to open packets with.
    pub fn get_mut(&mut self, spi: u32) -> Option<&mut SadEntry<T>> {
        self.entries.get_mut(&spi).map(Box::as_mut)
    }

    /// The SA of a packet that begins with its SPI.
    ///
    /// # Errors
    /// [`DropReason::TooShort`]: less than 4 octets; [`DropReason::UnknownSpi`]: no SA has it.
    pub fn find(&mut self, packet: &[u8]) -> Result<&mut SadEntry<T>, DropReason> {
        let spi = packet.first_chunk().ok_or(DropReason::TooShort)?;
        self.get_mut(u32::from_be_bytes(*spi))
            .ok_or(DropReason::UnknownSpi)
    }

    /// Number of SAs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no SA.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<T> Default for Sad<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Multiplies by an odd constant (Fibonacci hashing) and brings the well-mixed high bits down to where the table looks too.
#[derive(Default)]
struct SpiHasher(u64);

impl Hasher for SpiHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        let mixed = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}
