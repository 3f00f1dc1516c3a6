//! What policy needs to know of an inner IP packet.

use crate::checksum::{set_word, updated, word};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of an IPv4 header without options.
pub(crate) const IPV4_HEADER: usize = 20;
/// Octets of an IPv6 header without extensions.
pub(crate) const IPV6_HEADER: usize = 40;
/// Extension headers that are walked before a packet is refused.
const MAX_EXTENSIONS: usize = 8;

/// Numbers of the Protocol and Next Header fields (IANA "Protocol Numbers").
pub(crate) mod protocol {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const IPV4: u8 = 4;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const DCCP: u8 = 33;
    pub(crate) const IPV6: u8 = 41;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const AH: u8 = 51;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const NO_NEXT_HEADER: u8 = 59;
    pub(crate) const DESTINATION_OPTIONS: u8 = 60;
    pub(crate) const SCTP: u8 = 132;
    pub(crate) const MOBILITY: u8 = 135;
    pub(crate) const UDP_LITE: u8 = 136;
}

/// The ECN field of an IP header (RFC 3168 section 5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum Ecn {
    /// Not ECN-capable.
    #[default]
    NotEct = 0,
    /// ECN-capable, ECT(1).
    Ect1 = 1,
    /// ECN-capable, ECT(0).
    Ect0 = 2,
    /// Congestion experienced.
    Ce = 3,
}

impl Ecn {
    /// The field in the two low bits of a traffic class; the other bits are ignored.
    #[must_use]
    pub const fn from_bits(traffic_class: u8) -> Self {
        match traffic_class & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// The two bits, 0 to 3.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// The field of an IP packet; `None` where that is too short or of no known version.
    #[must_use]
    pub fn of(packet: &[u8]) -> Option<Self> {
        match packet {
            [first, second, ..] => match first >> 4 {
                4 => Some(Self::from_bits(*second)),
                6 => Some(Self::from_bits(second >> 4)),
                _ => None,
            },
            _ => None,
        }
    }

    /// What the inner header carries on after decapsulation (RFC 6040 section 4.2); `None`: the packet must be dropped, as it met
    /// congestion and could not be marked.
    #[must_use]
    pub const fn decapsulate(inner: Self, outer: Self) -> Option<Self> {
        match (inner, outer) {
            (Self::NotEct, Self::Ce) => None,
            (Self::NotEct, _) => Some(Self::NotEct),
            (_, Self::Ce) => Some(Self::Ce),
            (Self::Ect0, Self::Ect1) => Some(Self::Ect1),
            (inner, _) => Some(inner),
        }
    }

    /// Writes the field into an IP header and adjusts the checksum of IPv4. What is no IP packet stays as it is.
    pub(crate) fn write(self, packet: &mut [u8]) {
        let Some(old) = word(packet, 0) else { return };
        match old >> 12 {
            4 => {
                let new = old & !3 | u16::from(self.bits());
                set_word(packet, 0, new);
                if let Some(checksum) = word(packet, 10) {
                    set_word(packet, 10, updated(checksum, old, new));
                }
            }
            6 => {
                set_word(packet, 0, old & !0x30 | u16::from(self.bits()) << 4);
            }
            _ => {}
        }
    }
}

/// Whether a packet is a fragment, and which.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fragment {
    /// Not a fragment.
    Whole,
    /// The first one, which has the header of the upper layer.
    First,
    /// A later one: without ports.
    Later,
}

/// The parsed headers of an IP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketInfo {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Protocol of the upper layer, behind the extension headers of IPv6. Of a later fragment: as its headers say.
    pub protocol: u8,
    /// Source port. Of ICMP the type (high octet) and code, of a Mobility Header the type (high octet), as RFC 4301 section 4.4.1.1
    /// has it; `None` where the packet shows none.
    pub source_port: Option<u16>,
    /// Destination port; of ICMP and a Mobility Header the same as `source_port`.
    pub destination_port: Option<u16>,
    /// Octets of the packet by its own header, at most those given.
    pub total_len: usize,
    /// Octets of the headers before the upper layer, with options and extension headers.
    pub header_len: usize,
    /// Whether nobody on the way may fragment it: the DF bit of IPv4, always for IPv6.
    pub dont_fragment: bool,
    /// ECN field.
    pub ecn: Ecn,
    /// Whether it is a fragment.
    pub fragment: Fragment,
}

impl PacketInfo {
    /// Reads an IPv4 (RFC 791) or IPv6 (RFC 8200) packet. More octets than the header tells are allowed and left out; fewer are
    /// not. Checksums are not verified. `None`: no IP packet, or its headers make no sense.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => parse_v4(packet),
            6 => parse_v6(packet),
            _ => None,
        }
    }

    /// Whether the packet is any fragment.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.fragment != Fragment::Whole
    }

    /// Reads the ports, where the packet has them.
    fn with_ports(mut self, packet: &[u8]) -> Self {
        let upper = match self.fragment {
            Fragment::Later => &[],
            _ => packet.get(self.header_len..self.total_len).unwrap_or(&[]),
        };
        (self.source_port, self.destination_port) = ports(self.protocol, upper);
        self
    }
}

fn ports(number: u8, upper: &[u8]) -> (Option<u16>, Option<u16>) {
    match number {
        protocol::TCP | protocol::UDP | protocol::DCCP | protocol::SCTP | protocol::UDP_LITE => {
            (word(upper, 0), word(upper, 2))
        }
        protocol::ICMP | protocol::ICMPV6 => (word(upper, 0), word(upper, 0)),
        protocol::MOBILITY => {
            let kind = upper.get(2).map(|kind| u16::from(*kind) << 8);
            (kind, kind)
        }
        _ => (None, None),
    }
}

fn parse_v4(packet: &[u8]) -> Option<PacketInfo> {
    let header = packet.first_chunk::<IPV4_HEADER>()?;
    let header_len = usize::from(header[0] & 15) * 4;
    let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header_len < IPV4_HEADER || total_len < header_len || packet.len() < total_len {
        return None;
    }
    let flags_and_offset = u16::from_be_bytes([header[6], header[7]]);
    let address = |at: usize| IpAddr::V4(Ipv4Addr::from([0, 1, 2, 3].map(|i| header[at + i])));
    let info = PacketInfo {
        source: address(12),
        destination: address(16),
        protocol: header[9],
        source_port: None,
        destination_port: None,
        total_len,
        header_len,
        dont_fragment: flags_and_offset & 0x4000 != 0,
        ecn: Ecn::from_bits(header[1]),
        fragment: fragment(flags_and_offset & 0x1fff, flags_and_offset & 0x2000 != 0),
    };
    Some(info.with_ports(packet))
}

fn fragment(offset: u16, more: bool) -> Fragment {
    match (offset, more) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    }
}

fn parse_v6(packet: &[u8]) -> Option<PacketInfo> {
    let header = packet.first_chunk::<IPV6_HEADER>()?;
    let total_len = IPV6_HEADER + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let extensions = Extensions::walk(header[6], packet.get(..total_len)?)?;
    let address =
        |octets: &[u8]| <[u8; 16]>::try_from(octets).map(|o| IpAddr::V6(Ipv6Addr::from(o)));
    let info = PacketInfo {
        source: address(&header[8..24]).ok()?,
        destination: address(&header[24..40]).ok()?,
        protocol: extensions.protocol,
        source_port: None,
        destination_port: None,
        total_len,
        header_len: extensions.end,
        dont_fragment: true,
        ecn: Ecn::from_bits(header[1] >> 4),
        fragment: extensions.fragment,
    };
    Some(info.with_ports(packet))
}

/// What lies between an IPv6 header and the upper layer.
struct Extensions {
    protocol: u8,
    end: usize,
    fragment: Fragment,
}

impl Extensions {
    /// Walks the extension headers (RFC 8200 section 4). A second Fragment header, which no sender makes, counts as an upper layer.
    /// `None`: one does not end inside of the packet, or there are too many.
    fn walk(first: u8, packet: &[u8]) -> Option<Self> {
        let mut found = Self {
            protocol: first,
            end: IPV6_HEADER,
            fragment: Fragment::Whole,
        };
        for _ in 0..=MAX_EXTENSIONS {
            let rest = packet.get(found.end..)?;
            let length = match found.protocol {
                protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                    (usize::from(*rest.get(1)?) + 1) * 8
                }
                protocol::AH => (usize::from(*rest.get(1)?) + 2) * 4,
                protocol::FRAGMENT if found.fragment == Fragment::Whole => {
                    let field = word(rest, 2)?;
                    found.fragment = fragment(field >> 3, field & 1 != 0);
                    8
                }
                _ => return Some(found),
            };
            found.protocol = *rest.first()?;
            found.end += length;
            if found.end > packet.len() {
                return None;
            }
            if found.fragment == Fragment::Later {
                return Some(found);
            }
        }
        None
    }
}
