//! From packets of one flow to super-packets.

use super::{GsoType, Transport, VirtioHeader, tcp};
use crate::checksum::{Sum, set_word, word};
use crate::packet::{IPV4_HEADER, IPV6_HEADER};
use std::ops::Range;

/// Octets of the largest packet.
const LARGEST: usize = 65_535;
/// Segments of a UDP super-packet: what Linux splits at most (`UDP_MAX_SEGMENTS` before 6.11).
const MAX_DATAGRAMS: usize = 64;
/// Packets and super-packets that are held: when there are so many, it is time to drain.
const ITEMS: usize = 64;

/// Collects packets in the order they come and joins those that follow each other in a flow.
///
/// A packet is joined to the flow's last one if Linux would split the whole into the very same two again. So no checksum is trusted
/// that was not verified, and ECN marks, options, times to live, flags and lengths that differ keep packets apart. Packets of one flow
/// never overtake each other.
pub struct Coalescer {
    /// In order; those behind `used` only keep their memory.
    items: Vec<Item>,
    used: usize,
    /// Whether the device takes UDP super-packets.
    udp: bool,
}

/// A packet, or several that were joined.
#[derive(Default)]
struct Item {
    /// Room for the header, then the packet.
    octets: Vec<u8>,
    /// Absent of what cannot be joined.
    flow: Option<Flow>,
    /// Whether more can be joined.
    open: bool,
}

/// What the packets of a flow have in common, and where it stands.
#[derive(Clone, Copy)]
struct Flow {
    transport: Transport,
    transport_at: usize,
    headers: usize,
    /// Octets of payload in the first segment.
    size: usize,
    segments: usize,
    /// A mixture of addresses and ports, to tell most flows apart at once.
    mixture: u64,
    /// Whether the checksum of the first segment has been verified.
    verified: bool,
}

impl Coalescer {
    /// `udp`: whether the device takes UDP super-packets (USO, Linux 6.2).
    #[must_use]
    pub fn new(udp: bool) -> Self {
        Self {
            items: Vec::new(),
            used: 0,
            udp,
        }
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Whether it is time to drain.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.used >= ITEMS
    }

    /// Takes an IP packet of at most 65,535 octets, without anything behind it.
    pub fn push(&mut self, packet: &[u8]) {
        let flow = Flow::of(packet, self.udp);
        match flow {
            Some(flow) => {
                if let Some(item) = self.last_of(&flow)
                    && item.join(&flow, packet)
                {
                    return;
                }
            }
            // Of whatever flow it is, nothing overtakes it.
            None => self.items[..self.used]
                .iter_mut()
                .for_each(|item| item.open = false),
        }
        self.add(packet, flow);
    }

    /// The latest item of the flow.
    fn last_of(&mut self, flow: &Flow) -> Option<&mut Item> {
        let held = self.items[..self.used].iter_mut().rev();
        let mut same = held.filter(|item| item.flow.is_some_and(|f| f.mixture == flow.mixture));
        same.next()
    }

    fn add(&mut self, packet: &[u8], flow: Option<Flow>) {
        if self.used == self.items.len() {
            self.items.push(Item::default());
        }
        let item = &mut self.items[self.used];
        item.octets.clear();
        item.octets.extend_from_slice(&[0; VirtioHeader::LEN]);
        item.octets.extend_from_slice(packet);
        item.flow = flow;
        item.open = flow.is_some_and(|flow| !flow.ends_with(packet));
        self.used += 1;
    }

    /// Hands over what is held, in order: each packet or super-packet with its [`VirtioHeader`] in front, and for how many packets it
    /// stands.
    pub fn drain(&mut self, mut write: impl FnMut(&[u8], usize)) {
        for item in &mut self.items[..self.used] {
            let segments = item.flow.map_or(1, |flow| flow.segments);
            write(item.finish(), segments);
        }
        self.used = 0;
    }
}

impl Flow {
    /// The flow of a packet that could be joined; `None` of any other.
    fn of(packet: &[u8], udp: bool) -> Option<Self> {
        let (protocol, transport_at, total, mixture) = match *packet.first()? {
            // Without options, not a fragment.
            0x45 if word(packet, 6)? & 0xbfff == 0 => {
                let addresses = packet.get(12..IPV4_HEADER)?;
                let mixture = mix(0, addresses);
                (
                    *packet.get(9)?,
                    IPV4_HEADER,
                    usize::from(word(packet, 2)?),
                    mixture,
                )
            }
            // Without extension headers: theirs are no transports.
            first if first >> 4 == 6 => {
                let addresses = packet.get(8..IPV6_HEADER)?;
                let total = IPV6_HEADER + usize::from(word(packet, 4)?);
                (*packet.get(6)?, IPV6_HEADER, total, mix(1, addresses))
            }
            _ => return None,
        };
        let upper = packet.get(transport_at..)?;
        let (transport, header) = match protocol {
            6 => (Transport::Tcp, usize::from(*upper.get(12)? >> 4) * 4),
            17 if udp && word(upper, 6)? != 0 => (Transport::Udp, 8),
            _ => return None,
        };
        let joinable = match transport {
            // Anything but an ordinary segment stands alone.
            Transport::Tcp => {
                let flags = *upper.get(tcp::FLAGS_AT)?;
                flags & !(tcp::PSH | tcp::FIN | tcp::ECE) == tcp::ACK
            }
            Transport::Udp => usize::from(word(upper, 4)?) == upper.len(),
        };
        let sound =
            header >= transport.min_header() && header < upper.len() && total == packet.len();
        (joinable && sound).then(|| Self {
            transport,
            transport_at,
            headers: transport_at + header,
            size: upper.len() - header,
            segments: 1,
            mixture: mix(mixture ^ u64::from(protocol), &upper[..4]),
            verified: false,
        })
    }
}

fn mix(seed: u64, octets: &[u8]) -> u64 {
    let (words, _) = octets.as_chunks::<4>();
    words.iter().fold(seed, |mixture, word| {
        (mixture ^ u64::from(u32::from_ne_bytes(*word)))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
    })
}

impl Flow {
    /// Whether a segment is the last of its super-packet by its flags.
    fn ends_with(&self, packet: &[u8]) -> bool {
        let flags = packet.get(self.transport_at + tcp::FLAGS_AT);
        self.transport == Transport::Tcp && flags.is_some_and(|f| f & (tcp::PSH | tcp::FIN) != 0)
    }

    /// Whether a packet is the segment behind those that are held in `whole`.
    fn continues(&self, whole: &[u8], next: &Self, packet: &[u8]) -> bool {
        let shape = (self.transport, self.transport_at, self.headers);
        let fits = shape == (next.transport, next.transport_at, next.headers)
            && next.size <= self.size
            && whole.len() + next.size <= LARGEST;
        if !fits {
            return false;
        }
        let (ip, transport) = whole[..self.headers].split_at(self.transport_at);
        let (next_ip, next_transport) = packet[..self.headers].split_at(self.transport_at);
        let same_network = match self.transport_at {
            // Without DF the identification matters to who reassembles (RFC 6864).
            IPV4_HEADER => {
                let id = word(ip, 4).unwrap_or(0).wrapping_add(self.segments as u16);
                let atomic = ip[6] & 0x40 != 0;
                same(ip, next_ip, &[0..2, 6..10, 12..20])
                    && (atomic || word(next_ip, 4) == Some(id))
            }
            _ => same(ip, next_ip, &[0..4, 6..40]),
        };
        same_network
            && match self.transport {
                Transport::Tcp => self.continues_tcp(transport, next_transport),
                Transport::Udp => transport[..4] == next_transport[..4],
            }
    }

    fn continues_tcp(&self, held: &[u8], next: &[u8]) -> bool {
        let sequence = |header: &[u8]| header[4..].first_chunk().map(|s| u32::from_be_bytes(*s));
        let expected = sequence(held).map(|s| s.wrapping_add((self.segments * self.size) as u32));
        let flags = |header: &[u8]| header[tcp::FLAGS_AT] & !(tcp::PSH | tcp::FIN);
        sequence(next) == expected
            && flags(held) == flags(next)
            && same(held, next, &[0..4, 8..13, 14..16, 18..held.len()])
    }

    /// Whether the checksums of a packet are right.
    fn is_valid(&self, packet: &[u8]) -> bool {
        let Some((ip, transport)) = packet.split_at_checked(self.transport_at) else {
            return false;
        };
        let header_sound = ip[0] >> 4 != 4 || Sum::default().add(ip).partial() == 0xffff;
        header_sound && self.pseudo(ip, transport.len()).add(transport).partial() == 0xffff
    }

    fn pseudo(&self, ip: &[u8], len: usize) -> Sum {
        Sum::default()
            .add_addresses(ip, self.transport.protocol())
            .add_word(len as u16)
    }

    /// Writes the headers of a super-packet, whose transport checksum is left open.
    fn finish(&self, whole: &mut [u8]) -> VirtioHeader {
        let total = whole.len();
        let (ip, transport) = whole.split_at_mut(self.transport_at);
        let v4 = ip[0] >> 4 == 4;
        if v4 {
            set_word(ip, 2, total as u16);
            set_word(ip, 10, 0);
            let sum = Sum::default().add(ip).finish();
            set_word(ip, 10, sum);
        } else {
            set_word(ip, 4, (total - IPV6_HEADER) as u16);
        }
        if self.transport == Transport::Udp {
            set_word(transport, 4, transport.len() as u16);
        }
        let open = self.pseudo(ip, transport.len()).partial();
        set_word(transport, self.transport.checksum_at(), open);
        VirtioHeader {
            needs_checksum: true,
            gso: match self.transport {
                Transport::Tcp if v4 => GsoType::TcpV4,
                Transport::Tcp => GsoType::TcpV6,
                Transport::Udp => GsoType::UdpL4,
            },
            header_len: self.headers as u16,
            gso_size: self.size as u16,
            checksum_start: self.transport_at as u16,
            checksum_offset: self.transport.checksum_at() as u16,
        }
    }
}

/// Whether two headers of one length are the same in these places.
fn same(a: &[u8], b: &[u8], places: &[Range<usize>]) -> bool {
    places
        .iter()
        .all(|place| a[place.clone()] == b[place.clone()])
}

impl Item {
    /// Joins a packet that `next` was made of, if it is the next one and nothing tells it from a segment of the same super-packet.
    fn join(&mut self, next: &Flow, packet: &[u8]) -> bool {
        let whole = &mut self.octets[VirtioHeader::LEN..];
        let held = match &mut self.flow {
            Some(held) if self.open && held.continues(whole, next, packet) => held,
            _ => return false,
        };
        held.verified = held.verified || held.is_valid(whole);
        if !held.verified || !next.is_valid(packet) {
            return false;
        }
        held.segments += 1;
        let full = held.transport == Transport::Udp && held.segments == MAX_DATAGRAMS;
        self.open = next.size == held.size && !next.ends_with(packet) && !full;
        if held.transport == Transport::Tcp {
            let flags_at = held.transport_at + tcp::FLAGS_AT;
            whole[flags_at] |= packet[flags_at];
        }
        self.octets.extend_from_slice(&packet[next.headers..]);
        true
    }

    /// What is written to the device.
    fn finish(&mut self) -> &[u8] {
        if let Some(flow) = self.flow.filter(|flow| flow.segments > 1) {
            let header = flow.finish(&mut self.octets[VirtioHeader::LEN..]);
            self.octets[..VirtioHeader::LEN].copy_from_slice(&header.octets());
        }
        &self.octets
    }
}
