//! The Internet checksum (RFC 1071), whole and incremental (RFC 1624).

use std::net::Ipv6Addr;

/// A one's complement sum in the making.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds octets that begin at an even offset; an odd last octet is padded with zero.
    pub(crate) fn add(mut self, octets: &[u8]) -> Self {
        let (words, rest) = octets.as_chunks::<2>();
        for word in words {
            self.0 += u64::from(u16::from_be_bytes(*word));
        }
        if let [last] = rest {
            self.0 += u64::from(*last) << 8;
        }
        self
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
