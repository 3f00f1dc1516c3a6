//! The Internet checksum (RFC 1071), whole and incremental (RFC 1624).

use std::net::Ipv6Addr;

/// A one's complement sum in the making.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds octets that begin at an even offset; what is missing to a whole word is zero.
    ///
    /// They are added four at a time and as they lie in memory, which compilers do with vectors: the sum only has to be turned in the end
    /// (RFC 1071 section 2).
    pub(crate) fn add(self, octets: &[u8]) -> Self {
        let (words, rest) = octets.as_chunks::<4>();
        let mut sum: u64 = words
            .iter()
            .map(|w| u64::from(u32::from_ne_bytes(*w)))
            .sum();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        sum += u64::from(u32::from_ne_bytes(last));
        self.add_word(u16::from_be(fold(sum)))
    }

    /// Adds a word.
    pub(crate) fn add_word(self, word: u16) -> Self {
        Self(self.0 + u64::from(word))
    }

    /// Takes away a word that was added.
    pub(crate) fn subtract_word(self, word: u16) -> Self {
        self.add_word(!word)
    }

    /// Adds the pseudo header of an upper layer (RFC 9293 section 3.1, RFC 8200 section 8.1) without its length.
    pub(crate) fn add_addresses(self, ip_header: &[u8], protocol: u8) -> Self {
        let addresses = match ip_header.first() {
            Some(first) if first >> 4 == 6 => ip_header.get(8..40),
            _ => ip_header.get(12..20),
        };
        self.add(addresses.unwrap_or(&[]))
            .add_word(u16::from(protocol))
    }

    /// Adds the pseudo header of an upper layer of IPv6 (RFC 8200 section 8.1).
    pub(crate) fn add_pseudo_v6(
        self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        len: u32,
        next_header: u8,
    ) -> Self {
        self.add(&source.octets())
            .add(&destination.octets())
            .add(&len.to_be_bytes())
            .add(&[0, next_header])
    }

    /// The checksum as it is written into the header.
    pub(crate) fn finish(self) -> u16 {
        !fold(self.0)
    }

    /// The sum itself, as a sender leaves that of the pseudo header to the hardware.
    pub(crate) fn partial(self) -> u16 {
        fold(self.0)
    }
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The checksum after one aligned word changed (RFC 1624 equation 3). A wrong checksum stays wrong.
pub(crate) fn updated(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(u64::from(!checksum) + u64::from(!old) + u64::from(new))
}

/// The big-endian word at `offset`, if it is there.
pub(crate) fn word(octets: &[u8], offset: usize) -> Option<u16> {
    let end = offset.checked_add(2)?;
    match octets.get(offset..end)? {
        &[high, low] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

/// Writes a big-endian word at `offset`. Returns whether it is inside.
pub(crate) fn set_word(octets: &mut [u8], offset: usize, value: u16) -> bool {
    let place = offset
        .checked_add(2)
        .and_then(|end| octets.get_mut(offset..end));
    match place {
        Some(place) => {
            place.copy_from_slice(&value.to_be_bytes());
            true
        }
        None => false,
    }
}
