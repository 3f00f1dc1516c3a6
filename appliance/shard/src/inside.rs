//! Packets from inside, to the pair that covers them.

use crate::Shard;
use crate::io::{HandOff, InnerPacket, PacketSink};
use crate::outbound::Target;
use crate::trace::What;
use arrayvec::ArrayVec;
use hawser_esp::offload::{Segmentation, SuperPacket};
use hawser_esp::packet::PacketInfo;
use hawser_esp::{Clear, Fragmenter, SealedBatch, icmp, mss};
use hawser_flight::DropReason;
use hawser_policy::TenantId;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

/// Packets for one pair, one after the other, that are sealed together.
struct Run<'p> {
    pair: usize,
    packets: ArrayVec<Clear<'p>, 64>,
}

impl Shard {
    pub(crate) fn inner_packets(
        &mut self,
        now: Instant,
        tenant: TenantId,
        packets: &mut [InnerPacket<'_>],
        handed: bool,
        sink: &mut dyn PacketSink,
    ) {
        let mut run = Run {
            pair: usize::MAX,
            packets: ArrayVec::new(),
        };
        for InnerPacket {
            packet,
            segmentation,
        } in packets
        {
            let Some(info) = PacketInfo::parse(packet) else {
                self.counters.drops.count(DropReason::NotIp);
                continue;
            };
            let tables = self.spds.get(usize::from(tenant.0));
            match tables.and_then(|tables| tables.lookup(&info, handed)) {
                Some(Target::Pair(at)) => {
                    if run.pair != at || run.packets.is_full() {
                        self.seal_run(now, &mut run, sink);
                        run.pair = at;
                    }
                    match self.fits(at, &info, *segmentation) {
                        Some(mtu) => {
                            let clear = clear(packet, &info, *segmentation, mtu);
                            run.packets.extend(clear);
                        }
                        None => {
                            self.seal_run(now, &mut run, sink);
                            self.too_large(now, at, packet, *segmentation, sink);
                        }
                    }
                }
                Some(Target::Shard(to, _)) => each(packet, *segmentation, |packet| {
                    self.counters.handed_off += 1;
                    sink.hand_off(to, HandOff::Inner { tenant, packet });
                }),
                None => self.counters.drops.count(DropReason::NoChildSa),
            }
        }
        self.seal_run(now, &mut run, sink);
    }

    /// Whether the pair's path carries it; with its MTU.
    fn fits(&self, at: usize, info: &PacketInfo, how: Option<Segmentation>) -> Option<u16> {
        let mtu = self.pairs.get(at)?.mtu;
        let largest = how.map_or(info.total_len, |how| how.largest());
        // IPv6 is never told less than 1280 (RFC 8200 5): what is not larger is sealed all the same.
        let fits = largest <= usize::from(mtu) || (info.destination.is_ipv6() && largest <= 1280);
        fits.then_some(mtu)
    }

    fn seal_run(&mut self, now: Instant, run: &mut Run<'_>, sink: &mut dyn PacketSink) {
        if run.packets.is_empty() {
            return;
        }
        self.before_send(now, run.pair);
        self.seal(run.pair, &run.packets, sink);
        self.check_volume(now, run.pair);
        run.packets.clear();
    }

    /// Of a super-packet each segment is.
    fn too_large(
        &mut self,
        now: Instant,
        at: usize,
        packet: &[u8],
        segmentation: Option<Segmentation>,
        sink: &mut dyn PacketSink,
    ) {
        self.before_send(now, at);
        each(packet, segmentation, |packet| {
            self.send_large(now, at, packet, sink);
        });
        self.check_volume(now, at);
    }

    /// Larger than the path: an ICMP error towards the inside, or fragments where DF allows it.
    fn send_large(&mut self, now: Instant, at: usize, packet: &[u8], sink: &mut dyn PacketSink) {
        let Some(pair) = self.pairs.get(at) else {
            return;
        };
        let (mtu, tenant) = (pair.mtu, pair.tenant);
        if let Some(mut fragments) = Fragmenter::new(packet, usize::from(mtu)) {
            let mut fragment = Vec::with_capacity(usize::from(mtu));
            while fragments.next_into(&mut fragment).is_some() {
                self.seal(at, &[Clear::Packet(&fragment)], sink);
                fragment.clear();
            }
            return;
        }
        self.counters.drops.count(DropReason::TooBig);
        let Some(PacketInfo { source, .. }) = PacketInfo::parse(packet) else {
            return;
        };
        if !self.gate.may_report(now) {
            return;
        }
        let from = self.inside_address(tenant, source);
        if let Some(error) = icmp::too_big(packet, mtu, from) {
            sink.inner(tenant, &error);
        }
    }

    /// Our address on the inside of a tenant, for ICMP errors; 192.0.0.8 (RFC 7600) or the
    /// IPv6 discard prefix's first where the TUN has none.
    fn inside_address(&self, tenant: TenantId, like: IpAddr) -> IpAddr {
        let addresses = &self.policy.tenant(tenant).addresses;
        let own = addresses
            .iter()
            .map(ipnet::IpNet::addr)
            .find(|a| a.is_ipv4() == like.is_ipv4());
        own.unwrap_or(match like {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1)),
        })
    }

    fn seal(&mut self, at: usize, packets: &[Clear<'_>], sink: &mut dyn PacketSink) {
        let captures = self.traces.want(What::Packets);
        let mut captured = SealedBatch::default();
        let Some(pair) = self.pairs.get_mut(at) else {
            return;
        };
        let (outbound, counters) = (&mut pair.outbound, &mut self.counters);
        sink.outer_batch(&pair.path, &mut |batch| {
            let before = batch.packets.len();
            let from = batch.octets.len();
            let result = outbound.seal_batch(packets, batch);
            for sealed in &batch.packets[before..] {
                counters.esp_packets_out += 1;
                counters.esp_bytes_out += sealed.len as u64;
            }
            if let Err((number, reason)) = result {
                packets[number..]
                    .iter()
                    .for_each(|_| counters.drops.count(reason));
            }
            if captures {
                captured.octets.extend_from_slice(&batch.octets[from..]);
                captured.packets.extend_from_slice(&batch.packets[before..]);
            }
        });
        if captures {
            self.capture_sealed(at, &captured);
        }
    }
}

/// The packet as it is sealed.
fn clear<'p>(
    packet: &'p mut [u8],
    info: &PacketInfo,
    how: Option<Segmentation>,
    mtu: u16,
) -> Option<Clear<'p>> {
    match how {
        Some(how) => SuperPacket::new(packet, how).map(Clear::Super),
        None => {
            mss::clamp(packet, mtu);
            packet.get(..info.total_len).map(Clear::Packet)
        }
    }
}

/// The packet, or the segments of a super-packet one after the other.
fn each(packet: &[u8], segmentation: Option<Segmentation>, mut f: impl FnMut(&[u8])) {
    let Some(whole) = segmentation.and_then(|how| SuperPacket::new(packet, how)) else {
        return f(packet);
    };
    let mut segment = Vec::new();
    for number in 0..whole.segments() {
        segment.clear();
        whole.append_segment(number, &mut segment);
        f(&segment);
    }
}
