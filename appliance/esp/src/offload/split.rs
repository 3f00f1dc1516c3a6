//! From super-packets to the packets they stand for.

use super::{GsoType, Transport, VirtioHeader, tcp};
use crate::checksum::{Sum, set_word, word};
use crate::packet::{Fragment, IPV6_HEADER, PacketInfo};
use hawser_flight::DropReason;

/// How a super-packet is to be split; it belongs to the packet it was made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segmentation {
    transport: Transport,
    /// Where the transport header begins, and where it ends.
    transport_at: usize,
    headers: usize,
    /// Octets of payload in each segment, at least 1.
    size: usize,
}

impl Segmentation {
    /// Octets of the largest packet that the super-packet stands for.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.headers + self.size
    }
}

/// Takes over a packet from a TUN with offloads. A checksum that was left open is completed; `Some` is returned of a super-packet, whose
/// checksum stays open.
///
/// # Errors
/// [`DropReason::NotIp`]: what the header says does not fit the packet.
pub fn take_over(
    header: &VirtioHeader,
    packet: &mut [u8],
) -> Result<Option<Segmentation>, DropReason> {
    let transport = match header.gso {
        GsoType::None if header.needs_checksum => {
            return complete(header, packet)
                .map(|()| None)
                .ok_or(DropReason::NotIp);
        }
        GsoType::None => return Ok(None),
        GsoType::TcpV4 | GsoType::TcpV6 => Transport::Tcp,
        GsoType::UdpL4 => Transport::Udp,
        GsoType::Other(_) => return Err(DropReason::NotIp),
    };
    segmentation(header, transport, packet)
        .map(Some)
        .ok_or(DropReason::NotIp)
}

/// The checksum field holds the sum of the pseudo header; the transport is summed up behind it.
fn complete(header: &VirtioHeader, packet: &mut [u8]) -> Option<()> {
    let total = PacketInfo::parse(packet)?.total_len;
    let transport = packet.get_mut(usize::from(header.checksum_start)..total)?;
    let sum = Sum::default().add(transport).finish();
    // Zero says of UDP that there is none; its other form is the same number.
    let sum = if sum == 0 { 0xffff } else { sum };
    set_word(transport, usize::from(header.checksum_offset), sum).then_some(())
}

fn segmentation(
    header: &VirtioHeader,
    transport: Transport,
    packet: &[u8],
) -> Option<Segmentation> {
    let info = PacketInfo::parse(packet)?;
    let transport_at = info.header_len;
    let fits = header.needs_checksum
        && header.gso_size > 0
        && usize::from(header.checksum_start) == transport_at
        && info.protocol == transport.protocol()
        && info.fragment == Fragment::Whole
        && info.total_len == packet.len();
    let upper = packet.get(transport_at..)?;
    let header_len = match transport {
        Transport::Tcp => usize::from(*upper.get(12)? >> 4) * 4,
        Transport::Udp => transport.min_header(),
    };
    let sound = fits && header_len >= transport.min_header() && header_len < upper.len();
    sound.then_some(Segmentation {
        transport,
        transport_at,
        headers: transport_at + header_len,
        size: usize::from(header.gso_size),
    })
}

/// A super-packet, ready to be split.
#[derive(Clone, Copy)]
pub struct SuperPacket<'p> {
    packet: &'p [u8],
    how: Segmentation,
    /// Sums of what is the same in every segment.
    ip_sum: Sum,
    transport_sum: Sum,
}

impl<'p> SuperPacket<'p> {
    /// `how` is what [`take_over`] returned for this packet; `None`: it is of another one.
    #[must_use]
    pub fn new(packet: &'p [u8], how: Segmentation) -> Option<Self> {
        let (ip, transport) = packet
            .get(..how.headers)?
            .split_at_checked(how.transport_at)?;
        let checksum = word(transport, how.transport.checksum_at())?;
        let len = (packet.len() - how.transport_at) as u16;
        // The field holds the sum of the pseudo header with the length of the whole.
        let mut transport_sum = Sum::default().add_word(checksum).subtract_word(len);
        if how.transport == Transport::Tcp {
            // Without sequence number, flags and checksum.
            transport_sum = transport_sum
                .add(transport.get(..4)?)
                .add(transport.get(8..12)?)
                .add(transport.get(14..16)?)
                .add(transport.get(18..)?);
        } else {
            transport_sum = transport_sum.add(transport.get(..4)?);
        }
        // Without length, identification and checksum.
        let ip_sum = Sum::default()
            .add(ip.get(..2)?)
            .add(ip.get(6..10)?)
            .add(ip.get(12..)?);
        Some(Self {
            packet,
            how,
            ip_sum,
            transport_sum,
        })
    }

    /// Number of packets it stands for, at least 1.
    #[must_use]
    pub fn segments(&self) -> usize {
        (self.packet.len() - self.how.headers).div_ceil(self.how.size)
    }

    /// The super-packet as it was taken over.
    #[must_use]
    pub fn packet(&self) -> &'p [u8] {
        self.packet
    }

    /// Octets of a segment.
    #[must_use]
    pub fn segment_len(&self, number: usize) -> usize {
        self.how.headers + self.payload(number).len()
    }

    /// Octets of a segment's payload.
    fn payload(&self, number: usize) -> &'p [u8] {
        let rest = self.packet.get(self.how.headers + number * self.how.size..);
        let rest = rest.unwrap_or(&[]);
        &rest[..rest.len().min(self.how.size)]
    }

    /// Appends a segment, counted from 0, complete with its checksums.
    pub fn append_segment(&self, number: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.packet[..self.how.headers]);
        let payload = self.payload(number);
        out.extend_from_slice(payload);
        let (ip, transport) = out[start..].split_at_mut(self.how.transport_at);
        let len = transport.len();
        if ip[0] >> 4 == 4 {
            self.mend_v4(number, ip, (ip.len() + len) as u16);
        } else {
            set_word(ip, 4, (ip.len() - IPV6_HEADER + len) as u16);
        }
        let sum = self.transport_sum.add(payload).add_word(len as u16);
        match self.how.transport {
            Transport::Tcp => self.mend_tcp(number, transport, sum),
            Transport::Udp => {
                set_word(transport, 4, len as u16);
                let sum = sum.add_word(len as u16).finish();
                set_word(transport, 6, if sum == 0 { 0xffff } else { sum });
            }
        }
    }

    /// Each packet has an identification of its own.
    fn mend_v4(&self, number: usize, ip: &mut [u8], total_len: u16) {
        let id = word(ip, 4).unwrap_or(0).wrapping_add(number as u16);
        set_word(ip, 2, total_len);
        set_word(ip, 4, id);
        let sum = self.ip_sum.add_word(total_len).add_word(id).finish();
        set_word(ip, 10, sum);
    }

    /// CWR belongs to the first segment, FIN and PSH to the last.
    fn mend_tcp(&self, number: usize, transport: &mut [u8], sum: Sum) {
        if number > 0 {
            transport[tcp::FLAGS_AT] &= !tcp::CWR;
        }
        if number + 1 < self.segments() {
            transport[tcp::FLAGS_AT] &= !(tcp::FIN | tcp::PSH);
        }
        if let Some(place) = transport[4..].first_chunk_mut() {
            let offset = (number * self.how.size) as u32;
            *place = u32::from_be_bytes(*place)
                .wrapping_add(offset)
                .to_be_bytes();
        }
        let sum = sum.add(&transport[4..8]).add(&transport[12..14]).finish();
        set_word(transport, 16, sum);
    }
}
