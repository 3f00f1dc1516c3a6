//! Super-packets: what a TUN hands over and takes for many packets of one flow at once.
//!
//! A TUN with offloads (`IFF_VNET_HDR`, `TUNSETOFFLOAD`) puts a [`VirtioHeader`] before each packet. It hands over packets without
//! checksum, and TCP and UDP packets of up to 64 KiB with the size of the segments they stand for: [`take_over`] completes the former and
//! [`SuperPacket`] makes the segments of the latter. In the other direction [`Coalescer`] joins the packets of a flow.
//!
//! Segments are what Linux makes of a super-packet, bit by bit (`tcp_gso_segment`, `__udp_gso_segment`); only what Linux would split again
//! into the very same packets is joined.

mod coalesce;
mod split;
mod virtio;

pub use coalesce::Coalescer;
pub use split::{Segmentation, SuperPacket, take_over};
pub use virtio::{GsoType, VirtioHeader};

/// Where a transport header has its checksum, and how long it is at least.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    const fn checksum_at(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }

    const fn protocol(self) -> u8 {
        match self {
            Self::Tcp => crate::packet::protocol::TCP,
            Self::Udp => crate::packet::protocol::UDP,
        }
    }

    const fn min_header(self) -> usize {
        match self {
            Self::Tcp => 20,
            Self::Udp => 8,
        }
    }
}

/// Flags of TCP, in the octet at 13.
mod tcp {
    pub(super) const FLAGS_AT: usize = 13;
    pub(super) const FIN: u8 = 0x01;
    pub(super) const PSH: u8 = 0x08;
    pub(super) const ACK: u8 = 0x10;
    pub(super) const ECE: u8 = 0x40;
    pub(super) const CWR: u8 = 0x80;
}
