//! Fragmenting inner IPv4 packets before encapsulation (RFC 791 section 3.2, RFC 4301 section 8.2).

use crate::checksum::{Sum, set_word};
use crate::packet::{IPV4_HEADER, PacketInfo};

/// Octets of an IPv4 header at most.
const MAX_HEADER: usize = 60;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
/// The bit of an option that goes into every fragment.
const COPIED: u8 = 0x80;

/// The fragments of one packet, drawn one after the other into a buffer of the caller.
#[derive(Clone, Copy, Debug)]
pub struct Fragmenter<'p> {
    first_header: Header,
    later_header: Header,
    payload: &'p [u8],
    mtu: usize,
    /// Octets of the payload already drawn.
    drawn: usize,
    done: bool,
}

/// An IPv4 header by itself.
#[derive(Clone, Copy, Debug)]
struct Header {
    octets: [u8; MAX_HEADER],
    len: usize,
}

impl<'p> Fragmenter<'p> {
    /// Prepares to split `packet` into fragments of at most `mtu` octets, IPv4 header included. The packet may itself be a
    /// fragment; one that fits comes out as it is.
    ///
    /// `None`: not IPv4, DF is set, its offsets reach beyond what the header can say, or `mtu` has no room for the header and 8
    /// octets.
    #[must_use]
    pub fn new(packet: &'p [u8], mtu: usize) -> Option<Self> {
        let info = PacketInfo::parse(packet)?;
        if info.dont_fragment || mtu < info.header_len + 8 {
            return None;
        }
        let payload = packet.get(info.header_len..info.total_len)?;
        let first_header = Header::copy(packet.get(..info.header_len)?)?;
        let end = usize::from(first_header.flags_and_offset() & OFFSET) * 8 + payload.len();
        (end <= usize::from(u16::MAX)).then_some(Self {
            first_header,
            later_header: first_header.for_later()?,
            payload,
            mtu,
            drawn: 0,
            done: false,
        })
    }

    /// Appends the next fragment to `out`. Returns its length in octets, or `None` after the last. Allocates only if the capacity
    /// of `out` does not do.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        if self.done {
            return None;
        }
        let header = if self.drawn == 0 {
            self.first_header
        } else {
            self.later_header
        };
        let rest = self.payload.get(self.drawn..)?;
        let room = self.mtu - header.len;
        self.done = rest.len() <= room;
        let part = if self.done {
            rest
        } else {
            &rest[..room - room % 8]
        };
        let start = out.len();
        out.extend_from_slice(&header.octets[..header.len]);
        out.extend_from_slice(part);
        self.finish_header(header, &mut out[start..]);
        self.drawn += part.len();
        Some(out.len() - start)
    }

    /// Writes total length, flags, offset and checksum of a fragment.
    fn finish_header(&self, header: Header, fragment: &mut [u8]) {
        let original = header.flags_and_offset();
        let more = if self.done {
            original & MORE_FRAGMENTS
        } else {
            MORE_FRAGMENTS
        };
        let offset = (original & OFFSET) + (self.drawn / 8) as u16;
        set_word(fragment, 2, fragment.len() as u16);
        set_word(fragment, 6, more | offset);
        set_word(fragment, 10, 0);
        let checksum = Sum::default().add(&fragment[..header.len]).finish();
        set_word(fragment, 10, checksum);
    }
}

impl Header {
    fn copy(header: &[u8]) -> Option<Self> {
        let mut octets = [0; MAX_HEADER];
        octets.get_mut(..header.len())?.copy_from_slice(header);
        Some(Self {
            octets,
            len: header.len(),
        })
    }

    fn flags_and_offset(&self) -> u16 {
        u16::from_be_bytes([self.octets[6], self.octets[7]])
    }

    /// The header of the later fragments: with the options that are to be copied only, padded to whole words. `None`: the options
    /// make no sense.
    fn for_later(&self) -> Option<Self> {
        let mut later = Self::copy(&self.octets[..IPV4_HEADER])?;
        let mut rest = self.octets.get(IPV4_HEADER..self.len)?;
        while let Some(kind) = rest.first().copied() {
            let length = match kind {
                END_OF_OPTIONS => break,
                NO_OPERATION => 1,
                _ => usize::from(*rest.get(1).filter(|length| **length >= 2)?),
            };
            let (option, behind) = rest.split_at_checked(length)?;
            if kind & COPIED != 0 {
                later.octets[later.len..later.len + length].copy_from_slice(option);
                later.len += length;
            }
            rest = behind;
        }
        later.len = later.len.next_multiple_of(4);
        later.octets[0] = 0x40 | (later.len / 4) as u8;
        Some(later)
    }
}
