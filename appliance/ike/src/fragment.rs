//! Reassembly of a fragmented message (RFC 7383 section 2.6).

use crate::registry::PayloadType;
use hawser_flight::MessageError;

/// The most fragments of a message. At 500 octets a fragment that makes 32 KiB; messages with certificates have 8.
pub const MAX_FRAGMENTS: u16 = 64;

/// The most octets of a reassembled message.
pub const MAX_OCTETS: usize = 64 * 1024;

/// Collects the fragments of one message: of one direction and one Message ID, authentic already (RFC 7383 section 2.6).
#[derive(Clone, Debug, Default)]
pub struct Reassembly {
    /// A slot for each fragment; as many as Total Fragments says.
    slots: Vec<Option<Vec<u8>>>,
    octets: usize,
    first: Option<PayloadType>,
    done: bool,
}

/// Refuses what cannot be (RFC 7383 section 2.6): number or total zero, a number above the total, too many.
pub(crate) const fn check(number: u16, total: u16) -> Result<(), MessageError> {
    if number == 0 || number > total || total > MAX_FRAGMENTS {
        return Err(MessageError::BadFragment);
    }
    Ok(())
}

impl Reassembly {
    /// Nothing collected yet (RFC 7383 section 2.6).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an authentic fragment; gives the whole once it is complete: type of its first payload, and payloads.
    ///
    /// A duplicate changes nothing, likewise everything after completion. A larger total means that the peer began anew
    /// with smaller fragments, and replaces what was collected (RFC 7383 section 2.6).
    ///
    /// # Errors
    /// `BadFragment`: numbers that cannot be, a total smaller than before, or more than [`MAX_OCTETS`]. What was collected stays.
    pub fn add(
        &mut self,
        number: u16,
        total: u16,
        first: PayloadType,
        body: Vec<u8>,
    ) -> Result<Option<(PayloadType, Vec<u8>)>, MessageError> {
        check(number, total)?;
        if self.done {
            return Ok(None);
        }
        self.make_room(total)?;
        let slot = self.slots.get_mut(usize::from(number) - 1);
        let slot = slot.ok_or(MessageError::BadFragment)?;
        if slot.is_some() {
            return Ok(None);
        }
        if self.octets + body.len() > MAX_OCTETS {
            return Err(MessageError::BadFragment);
        }
        self.octets += body.len();
        *slot = Some(body);
        if number == 1 {
            self.first = Some(first);
        }
        Ok(self.take_if_complete())
    }

    fn make_room(&mut self, total: u16) -> Result<(), MessageError> {
        let total = usize::from(total);
        if total < self.slots.len() {
            return Err(MessageError::BadFragment);
        }
        if total > self.slots.len() {
            self.slots = vec![None; total];
            self.octets = 0;
            self.first = None;
        }
        Ok(())
    }

    fn take_if_complete(&mut self) -> Option<(PayloadType, Vec<u8>)> {
        let first = self.first?;
        if self.slots.iter().any(Option::is_none) {
            return None;
        }
        self.done = true;
        let parts = std::mem::take(&mut self.slots);
        let whole = parts.into_iter().flatten().collect::<Vec<_>>().concat();
        Some((first, whole))
    }
}
