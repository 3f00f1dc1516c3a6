//! Local SPIs: the top octet is a bucket, and a bucket belongs to a shard.

use crate::io::ShardId;
use hawser_esp::Sad;
use hawser_ike::io::SpiSource;

/// The shard of a SPI whose top octet is `bucket` (1 to 255), among `shards` shards.
pub const fn shard_of(bucket: u8, shards: u8) -> ShardId {
    ShardId(bucket % if shards == 0 { 1 } else { shards })
}

/// Draws SPIs for one shard.
pub(crate) struct SpiPicker<'a> {
    pub(crate) sad: &'a Sad<usize>,
    pub(crate) shard: ShardId,
    pub(crate) shards: u8,
}

impl SpiPicker<'_> {
    /// A random bucket of the shard; never 0, so that no SPI looks like a non-ESP marker.
    fn bucket(&self, rng: &mut dyn rand::CryptoRng) -> u8 {
        loop {
            let bucket = rng.next_u32().to_be_bytes()[0];
            if bucket != 0 && shard_of(bucket, self.shards) == self.shard {
                return bucket;
            }
        }
    }
}

impl SpiSource for SpiPicker<'_> {
    fn ike_spi(&mut self, rng: &mut dyn rand::CryptoRng) -> u64 {
        let mut spi = rng.next_u64().to_be_bytes();
        spi[0] = self.bucket(rng);
        u64::from_be_bytes(spi)
    }

    fn esp_spi(&mut self, rng: &mut dyn rand::CryptoRng) -> u32 {
        loop {
            let mut spi = rng.next_u32().to_be_bytes();
            spi[0] = self.bucket(rng);
            let spi = u32::from_be_bytes(spi);
            if !self.sad.contains(spi) {
                return spi;
            }
        }
    }
}
