//! `struct virtio_net_hdr` (virtio 1.3 section 5.1.6), as Linux puts it before the packets of a TUN.

/// What stands before a packet. The numbers are in the order of the CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VirtioHeader {
    /// Whether the checksum has to be completed from `csum_start` on.
    pub needs_checksum: bool,
    /// Whether, and as what, the packet stands for several.
    pub gso: GsoType,
    /// Octets of all headers; a hint.
    pub header_len: u16,
    /// Octets of payload in each segment.
    pub gso_size: u16,
    /// Where the transport header begins.
    pub checksum_start: u16,
    /// Where in the transport header the checksum is.
    pub checksum_offset: u16,
}

/// What a packet stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum GsoType {
    /// Itself.
    #[default]
    None,
    /// TCP segments over IPv4.
    TcpV4,
    /// TCP segments over IPv6.
    TcpV6,
    /// UDP datagrams over either.
    UdpL4,
    /// Something that was not asked for.
    Other(u8),
}

const NEEDS_CHECKSUM: u8 = 1;
/// The TCP packet carries CWR; TCP headers say it themselves.
const GSO_ECN: u8 = 0x80;

impl VirtioHeader {
    /// Octets of the header.
    pub const LEN: usize = 10;

    /// Reads a header.
    #[must_use]
    pub fn from_octets(octets: &[u8; Self::LEN]) -> Self {
        let word = |at: usize| u16::from_ne_bytes([octets[at], octets[at + 1]]);
        Self {
            needs_checksum: octets[0] & NEEDS_CHECKSUM != 0,
            gso: match octets[1] & !GSO_ECN {
                0 => GsoType::None,
                1 => GsoType::TcpV4,
                4 => GsoType::TcpV6,
                5 => GsoType::UdpL4,
                other => GsoType::Other(other),
            },
            header_len: word(2),
            gso_size: word(4),
            checksum_start: word(6),
            checksum_offset: word(8),
        }
    }

    /// Writes the header.
    #[must_use]
    pub fn octets(&self) -> [u8; Self::LEN] {
        let gso = match self.gso {
            GsoType::None => 0,
            GsoType::TcpV4 => 1,
            GsoType::TcpV6 => 4,
            GsoType::UdpL4 => 5,
            GsoType::Other(other) => other,
        };
        let flags = if self.needs_checksum {
            NEEDS_CHECKSUM
        } else {
            0
        };
        let [a, b] = self.header_len.to_ne_bytes();
        let [c, d] = self.gso_size.to_ne_bytes();
        let [e, f] = self.checksum_start.to_ne_bytes();
        let [g, h] = self.checksum_offset.to_ne_bytes();
        [flags, gso, a, b, c, d, e, f, g, h]
    }
}
