//! The anti-replay window (RFC 4303 section 3.4.3 and Appendix A).

use hawser_flight::DropReason;

/// Sequence numbers in one block of the bitmap.
const BLOCK: u64 = u64::BITS as u64;

/// Sequence numbers already seen on an inbound SA, as a ring of blocks (RFC 6479): moving the window clears whole blocks and
/// shifts nothing.
///
/// Numbers are always 64 bits; without Extended Sequence Numbers the high half stays zero.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    /// Packets that the window spans; 0: off.
    size: u64,
    /// The highest number committed.
    highest: u64,
    /// One bit a number, a power of two of blocks, at least one more than the window spans. Empty when off.
    blocks: Box<[u64]>,
}

impl ReplayWindow {
    /// Packets that a window spans unless configured.
    pub const DEFAULT_SIZE: u32 = 4096;
    /// The smallest window that is on.
    pub const MIN_SIZE: u32 = 64;
    /// The largest window: 65536 packets take 16 KiB.
    pub const MAX_SIZE: u32 = 65536;

    /// A window of `size` packets for a fresh SA; 0 turns the check off, any other size is brought into
    /// [`MIN_SIZE`](Self::MIN_SIZE)`..=`[`MAX_SIZE`](Self::MAX_SIZE).
    #[must_use]
    pub fn new(size: u32) -> Self {
        let size = match size {
            0 => 0,
            on => u64::from(on.clamp(Self::MIN_SIZE, Self::MAX_SIZE)),
        };
        let blocks = match size {
            0 => 0,
            on => (on.div_ceil(BLOCK) + 1).next_power_of_two() as usize,
        };
        Self {
            size,
            highest: 0,
            blocks: vec![0; blocks].into_boxed_slice(),
        }
    }

    /// A window of `size` packets for an SA that outlived a restart: `highest` and everything below count as seen.
    #[must_use]
    pub fn resume(size: u32, highest: u64) -> Self {
        let mut window = Self::new(size);
        window.highest = highest;
        window.blocks.fill(u64::MAX);
        let behind = highest % BLOCK + 1;
        if behind < BLOCK
            && let Some(block) = window.block_mut(highest)
        {
            *block = (1 << behind) - 1;
        }
        window
    }

    /// Packets that the window spans; 0: the check is off.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size as u32
    }

    /// The highest number committed; 0: none yet.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// The whole Extended Sequence Number that the low half in a packet stands for (RFC 4303 Appendix A2.1). Half of it is a
    /// guess: only the integrity check, which covers the high half, confirms it.
    ///
    /// With the check off it is inferred as if the window had its largest size.
    #[must_use]
    pub fn infer(&self, seq_low: u32) -> u64 {
        let size = match self.size {
            0 => Self::MAX_SIZE,
            on => on as u32,
        };
        let (high, low) = ((self.highest >> 32) as u32, self.highest as u32);
        let bottom = low.wrapping_sub(size - 1);
        let high = if low >= size - 1 {
            // The window lies in one span of 2^32: what is below it belongs to the next span.
            if seq_low >= bottom {
                high
            } else {
                high.wrapping_add(1)
            }
        } else if seq_low >= bottom {
            // The window reaches into the span before, and the number lies there.
            high.saturating_sub(1)
        } else {
            high
        };
        u64::from(high) << 32 | u64::from(seq_low)
    }

    /// Whether a number may be new; asked before decryption, changes nothing.
    ///
    /// # Errors
    /// [`DropReason::Replayed`] for a number seen already and for 0, which no sender uses (RFC 4303 section 2.2);
    /// [`DropReason::OutsideWindow`] for one below the window.
    pub fn check(&self, seq: u64) -> Result<(), DropReason> {
        if self.size == 0 || seq > self.highest {
            Ok(())
        } else if self.highest - seq >= self.size {
            Err(DropReason::OutsideWindow)
        } else if seq == 0 || self.block(seq) >> (seq % BLOCK) & 1 == 1 {
            Err(DropReason::Replayed)
        } else {
            Ok(())
        }
    }

    /// Marks the number of an authenticated packet as seen, if it is not: of two packets with one number that passed
    /// [`check`](Self::check) together, the second is refused here. Returns whether the number is above all seen before.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub fn commit(&mut self, seq: u64) -> Result<bool, DropReason> {
        self.check(seq)?;
        let newest = seq > self.highest;
        if newest {
            self.advance(seq);
        }
        if let Some(block) = self.block_mut(seq) {
            *block |= 1 << (seq % BLOCK);
        }
        Ok(newest)
    }

    /// Clears the blocks that the window newly reaches.
    fn advance(&mut self, seq: u64) {
        let (from, to) = (self.highest / BLOCK, seq / BLOCK);
        let fresh = (to - from).min(self.blocks.len() as u64);
        for number in 0..fresh {
            if let Some(block) = self.block_mut((to - number) * BLOCK) {
                *block = 0;
            }
        }
        self.highest = seq;
    }

    /// Where the block of a number lies; the mask is sound as the number of blocks is a power of two.
    fn index(&self, seq: u64) -> usize {
        (seq / BLOCK) as usize & self.blocks.len().wrapping_sub(1)
    }

    fn block(&self, seq: u64) -> u64 {
        self.blocks.get(self.index(seq)).copied().unwrap_or(0)
    }

    fn block_mut(&mut self, seq: u64) -> Option<&mut u64> {
        let index = self.index(seq);
        self.blocks.get_mut(index)
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new(Self::DEFAULT_SIZE)
    }
}
