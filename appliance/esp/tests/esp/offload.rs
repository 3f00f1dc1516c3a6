//! Super-packets against a plain per-packet reference: what is split is made by `etherparse` segment by segment, and what is joined comes
//! out of a split as it went in.

use etherparse::{IpHeaders, PacketBuilder, SlicedPacket, TransportSlice};
use hawser_esp::offload::{Coalescer, GsoType, SuperPacket, VirtioHeader, take_over};
use proptest::collection::vec;
use proptest::prelude::*;

/// A flow of TCP or UDP over IPv4 or IPv6.
#[derive(Clone, Copy, Debug)]
struct Flow {
    v6: bool,
    tcp: bool,
    port: u16,
    /// Options of TCP: a multiple of 4 octets.
    options: usize,
    ecn: u8,
    extension: bool,
}

/// The next packet of a flow.
#[derive(Clone, Copy, Debug)]
struct Step {
    payload: usize,
    flags: u8,
    /// 0: as it should be; else something that keeps it from being joined.
    oddity: u8,
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const PSH: u8 = 8;
const ACK: u8 = 0x10;
const CWR: u8 = 0x80;

fn sum(octets: &[u8]) -> u32 {
    let words = octets.chunks(2);
    words
        .map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)))
        .sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Where the transport header begins.
fn transport_at(packet: &[u8]) -> usize {
    match packet[0] >> 4 {
        4 => 20,
        _ if packet[6] == 60 => 48,
        _ => 40,
    }
}

fn protocol(packet: &[u8]) -> u8 {
    match packet[0] >> 4 {
        4 => packet[9],
        _ if packet[6] == 60 => packet[40],
        _ => packet[6],
    }
}

fn pseudo(packet: &[u8], len: usize) -> u32 {
    let addresses = if packet[0] >> 4 == 4 { 12..20 } else { 8..40 };
    sum(&packet[addresses]) + u32::from(protocol(packet)) + len as u32
}

fn checksum_at(packet: &[u8]) -> usize {
    transport_at(packet) + if protocol(packet) == 6 { 16 } else { 6 }
}

/// Makes all checksums and lengths right.
fn seal_checksums(packet: &mut [u8]) {
    let (at, total) = (transport_at(packet), packet.len());
    if packet[0] >> 4 == 4 {
        packet[2..4].copy_from_slice(&(total as u16).to_be_bytes());
        packet[10..12].fill(0);
        let header = !fold(sum(&packet[..20]));
        packet[10..12].copy_from_slice(&header.to_be_bytes());
    } else {
        packet[4..6].copy_from_slice(&((total - 40) as u16).to_be_bytes());
    }
    if protocol(packet) == 17 {
        packet[at + 4..at + 6].copy_from_slice(&((total - at) as u16).to_be_bytes());
    }
    let place = checksum_at(packet);
    packet[place..place + 2].fill(0);
    let made = !fold(pseudo(packet, total - at) + sum(&packet[at..]));
    let made = if made == 0 && protocol(packet) == 17 {
        0xffff
    } else {
        made
    };
    packet[place..place + 2].copy_from_slice(&made.to_be_bytes());
}

/// A packet of the flow, complete.
fn packet(flow: Flow, sequence: u32, id: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    if flow.v6 {
        let builder = PacketBuilder::ipv6([0xfd; 16], [0xfc; 16], 60);
        write(builder, flow, payload, &mut octets);
        octets[1] |= flow.ecn << 4;
        if flow.extension {
            let next = octets[6];
            octets[6] = 60;
            octets.splice(40..40, [next, 0, 1, 4, 0, 0, 0, 0]);
        }
    } else {
        let builder = PacketBuilder::ipv4([10, 1, 0, 1], [10, 2, 0, 2], 60);
        write(builder, flow, payload, &mut octets);
        octets[1] = flow.ecn;
        octets[4..6].copy_from_slice(&id.to_be_bytes());
        // Without DF: the identification counts.
        octets[6] = 0;
    }
    let at = transport_at(&octets);
    if flow.tcp {
        octets[at + 4..at + 8].copy_from_slice(&sequence.to_be_bytes());
        octets[at + 8..at + 12].copy_from_slice(&77u32.to_be_bytes());
        octets[at + 13] = flags;
    }
    seal_checksums(&mut octets);
    octets
}

fn write(
    builder: etherparse::PacketBuilderStep<IpHeaders>,
    flow: Flow,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    if flow.tcp {
        let options = vec![1; flow.options];
        let tcp = builder
            .tcp(flow.port, 443, 1, 1000)
            .options_raw(&options)
            .unwrap();
        tcp.write(out, payload).unwrap();
    } else {
        builder.udp(flow.port, 443).write(out, payload).unwrap();
    }
}

fn flow() -> impl Strategy<Value = Flow> {
    (
        any::<bool>(),
        any::<bool>(),
        1..5u16,
        0..4usize,
        0..4u8,
        any::<bool>(),
    )
        .prop_map(|(v6, tcp, port, options, ecn, extension)| Flow {
            v6,
            tcp,
            port,
            options: options * 4,
            ecn,
            extension,
        })
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// As a TUN hands a super-packet over: the sum of the pseudo header in the checksum's place.
fn as_super(mut whole: Vec<u8>, size: usize) -> (VirtioHeader, Vec<u8>) {
    let (at, place) = (transport_at(&whole), checksum_at(&whole));
    let open = fold(pseudo(&whole, whole.len() - at));
    whole[place..place + 2].copy_from_slice(&open.to_be_bytes());
    let header = VirtioHeader {
        needs_checksum: true,
        gso: match (protocol(&whole), whole[0] >> 4) {
            (6, 4) => GsoType::TcpV4,
            (6, _) => GsoType::TcpV6,
            _ => GsoType::UdpL4,
        },
        header_len: 0,
        gso_size: size as u16,
        checksum_start: at as u16,
        checksum_offset: (place - at) as u16,
    };
    (header, whole)
}

/// Splits what a device got, or a TUN handed over.
fn split(header: &VirtioHeader, packet: &[u8]) -> Vec<Vec<u8>> {
    let mut packet = packet.to_vec();
    let Some(how) = take_over(header, &mut packet).unwrap() else {
        return vec![packet];
    };
    let whole = SuperPacket::new(&packet, how).unwrap();
    let segment = |number| {
        let mut out = vec![0xee; 3];
        whole.append_segment(number, &mut out);
        assert_eq!(out.len() - 3, whole.segment_len(number));
        out.split_off(3)
    };
    (0..whole.segments()).map(segment).collect()
}

/// Joins packets; what a device gets.
fn join(packets: &[Vec<u8>]) -> Vec<(Vec<u8>, usize)> {
    let mut coalescer = Coalescer::new(true);
    let mut written = Vec::new();
    for packet in packets {
        if coalescer.is_full() {
            coalescer.drain(|octets, count| written.push((octets.to_vec(), count)));
        }
        coalescer.push(packet);
    }
    coalescer.drain(|octets, count| written.push((octets.to_vec(), count)));
    assert!(coalescer.is_empty());
    written
}

fn split_written(written: &[(Vec<u8>, usize)]) -> Vec<Vec<u8>> {
    let each = written.iter().flat_map(|(octets, count)| {
        let (header, packet) = octets.split_first_chunk().unwrap();
        let packets = split(&VirtioHeader::from_octets(header), packet);
        assert_eq!(packets.len(), *count);
        packets
    });
    each.collect()
}

/// Packets of several flows in one stream, each flow with what may befall it.
fn stream() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let payload = prop_oneof![3 => Just(1200usize), 2 => 0..1200usize, 1 => Just(1usize)];
    let flags = prop_oneof![
        8 => Just(ACK), 1 => Just(ACK | PSH), 1 => Just(ACK | FIN), 1 => Just(SYN), 1 => Just(ACK | CWR)
    ];
    let oddity = prop_oneof![12 => Just(0u8), 1 => 1..7u8];
    let step = (payload, flags, oddity).prop_map(|(payload, flags, oddity)| Step {
        payload,
        flags,
        oddity,
    });
    (vec(flow(), 1..4), vec((any::<u8>(), step), 0..150)).prop_map(|(flows, steps)| {
        let mut state = vec![(1000u32, 40_000u16); flows.len()];
        let next = |(which, step): (u8, Step)| {
            let which = usize::from(which) % flows.len();
            let (sequence, id) = state[which];
            let mut one = packet(
                flows[which],
                sequence,
                id,
                step.flags,
                &content(step.payload),
            );
            state[which] = (
                sequence.wrapping_add(step.payload as u32),
                id.wrapping_add(1),
            );
            distort(&mut one, step.oddity);
            one
        };
        steps.into_iter().map(next).collect()
    })
}

fn distort(packet: &mut [u8], oddity: u8) {
    let (at, last) = (transport_at(packet), packet.len() - 1);
    match oddity {
        // A wrong checksum, which must arrive wrong.
        1 => packet[last] ^= 1,
        // Another time to live.
        2 => {
            let place = if packet[0] >> 4 == 4 { 8 } else { 7 };
            packet[place] = 9;
            seal_checksums(packet);
        }
        // A fragment.
        3 if packet[0] >> 4 == 4 => {
            packet[6] = 0x20;
            seal_checksums(packet);
        }
        // A gap.
        4 => {
            packet[at + 7] ^= 0x55;
            seal_checksums(packet);
        }
        // UDP without checksum.
        5 if protocol(packet) == 17 => packet[at + 6..at + 8].fill(0),
        // A wrong checksum of the IPv4 header.
        6 if packet[0] >> 4 == 4 => packet[10] ^= 1,
        _ => {}
    }
}

/// By addresses and ports.
fn flow_of(packet: &[u8]) -> Vec<u8> {
    let at = transport_at(packet);
    let addresses = if packet[0] >> 4 == 4 { 12..20 } else { 8..40 };
    [&packet[addresses], &[protocol(packet)], &packet[at..at + 4]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn segments_are_what_a_sender_without_offload_makes(
        flow in flow(), size in 1..1400usize, len in 1..20_000usize, id: u16, sequence: u32,
        last in prop_oneof![Just(ACK), Just(ACK | PSH), Just(ACK | FIN | PSH), Just(ACK | CWR | PSH)],
    ) {
        let len = len.min(size * 100);
        let payload = content(len);
        let whole = packet(flow, sequence, id, last, &payload);
        let (header, whole) = as_super(whole, size);
        let segments = split(&header, &whole);
        let count = len.div_ceil(size);
        let expected: Vec<_> = payload
            .chunks(size)
            .enumerate()
            .map(|(i, payload)| {
                let mut flags = last;
                if i > 0 { flags &= !CWR }
                if i + 1 < count { flags &= !(FIN | PSH) }
                let id = id.wrapping_add(i as u16);
                packet(flow, sequence.wrapping_add((i * size) as u32), id, flags, payload)
            })
            .collect();
        prop_assert_eq!(segments, expected);
    }

    #[test]
    fn what_is_joined_is_split_into_the_same_packets(packets in stream()) {
        let back = split_written(&join(&packets));
        // Flows may pass each other, packets of one flow may not.
        prop_assert_eq!(back.len(), packets.len());
        let mut flows: Vec<_> = packets.iter().map(|p| flow_of(p)).collect();
        flows.sort_unstable();
        flows.dedup();
        for flow in flows {
            let of = |list: &[Vec<u8>]| -> Vec<Vec<u8>> {
                list.iter().filter(|p| flow_of(p) == flow).cloned().collect()
            };
            prop_assert_eq!(of(&back), of(&packets));
        }
    }

    #[test]
    fn nonsense_neither_panics_nor_is_lost(
        packets in vec(vec(any::<u8>(), 0..100), 0..80), start: u16, offset: u16, size: u16, kind in 0..6u8,
    ) {
        let written = join(&packets);
        prop_assert_eq!(written.len(), packets.len());
        for mut packet in packets {
            let mut header = [0; VirtioHeader::LEN];
            (header[0], header[1]) = (1, kind);
            header[4..6].copy_from_slice(&size.to_ne_bytes());
            header[6..8].copy_from_slice(&(start % 128).to_ne_bytes());
            header[8..10].copy_from_slice(&(offset % 128).to_ne_bytes());
            if let Ok(Some(how)) = take_over(&VirtioHeader::from_octets(&header), &mut packet) {
                let whole = SuperPacket::new(&packet, how).unwrap();
                let mut out = Vec::new();
                (0..whole.segments()).for_each(|number| whole.append_segment(number, &mut out));
            }
        }
    }
}

#[test]
fn a_long_flow_becomes_few_packets() {
    for (v6, tcp) in [(false, true), (true, true), (false, false), (true, false)] {
        let flow = Flow {
            v6,
            tcp,
            port: 9,
            options: 0,
            ecn: 2,
            extension: false,
        };
        let packets: Vec<_> = (0..100u32)
            .map(|i| packet(flow, i * 1200, i as u16, ACK, &content(1200)))
            .collect();
        let written = join(&packets);
        assert_eq!(written.len(), 2, "{v6} {tcp}");
        assert_eq!(split_written(&written), packets);
    }
}

#[test]
fn an_open_checksum_is_completed() {
    for (v6, tcp) in [(false, true), (true, true), (false, false), (true, false)] {
        let flow = Flow {
            v6,
            tcp,
            port: 9,
            options: 4,
            ecn: 0,
            extension: true,
        };
        let complete = packet(flow, 5, 6, ACK, &content(333));
        let (mut header, mut open) = as_super(complete.clone(), 1);
        header.gso = GsoType::None;
        assert_eq!(take_over(&header, &mut open).unwrap(), None);
        assert_eq!(open, complete);
        let sliced = SlicedPacket::from_ip(&open).unwrap();
        assert_eq!(
            matches!(sliced.transport, Some(TransportSlice::Tcp(_))),
            tcp
        );
    }
}
