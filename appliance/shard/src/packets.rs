//! Packets: from outside to the SA they name, from inside to the pair that covers them.

use crate::Shard;
use crate::io::{HandOff, PacketSink};
use crate::outbound::Target;
use crate::pairs::PairLife;
use crate::spi::shard_of;
use hawser_esp::packet::{Ecn, PacketInfo};
use hawser_esp::{Fragmenter, icmp, mss};
use hawser_flight::{CloseCause, DropReason, Path};
use hawser_policy::TenantId;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

/// The non-ESP marker (RFC 3948 2.2).
const MARKER: [u8; 4] = [0; 4];

impl Shard {
    /// Sorts a datagram: keepalive, IKE, ESP.
    pub(crate) fn demux(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        payload: &mut [u8],
        handed: bool,
        sink: &mut dyn PacketSink,
    ) {
        if !path.encapsulated {
            return self.ike_message(now, path, ecn, payload, handed, sink);
        }
        match payload.first_chunk::<4>() {
            Some(&MARKER) => {
                let message = payload.get(4..).unwrap_or(&[]);
                self.ike_message(now, path, ecn, message, handed, sink);
            }
            Some(_) => self.esp_packet(now, path, ecn, payload, handed, sink),
            None if *payload == [0xff] => self.counters.drops.count(DropReason::NatKeepalive),
            None => self.counters.drops.count(DropReason::TooShort),
        }
    }

    /// A packet of IP protocol 50: native ESP. `path` has ports 0 and is not encapsulated.
    pub fn native_esp(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        payload: &mut [u8],
        sink: &mut dyn PacketSink,
    ) {
        self.clock = now;
        self.esp_packet(now, path, ecn, payload, true, sink);
    }

    fn esp_packet(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        packet: &mut [u8],
        handed: bool,
        sink: &mut dyn PacketSink,
    ) {
        let bytes = packet.len() as u64;
        let bucket = packet.first().copied().unwrap_or(0);
        let entry = match self.sad.find(packet) {
            Ok(entry) => entry,
            Err(DropReason::UnknownSpi) if !handed && shard_of(bucket, self.shards) != self.id => {
                self.counters.handed_off += 1;
                let to = shard_of(bucket, self.shards);
                return sink.hand_off(
                    to,
                    HandOff::Datagram {
                        path,
                        ecn,
                        payload: packet,
                    },
                );
            }
            Err(reason) => {
                self.counters.drops.count(reason);
                if reason == DropReason::UnknownSpi {
                    self.unknown_spi(now, path, packet);
                }
                return;
            }
        };
        let at = entry.owner;
        let opened = match entry.sa.open(packet, ecn, now) {
            Ok(opened) => opened,
            Err(reason) => return self.counters.drops.count(reason),
        };
        self.counters.esp_packets_in += 1;
        self.counters.esp_bytes_in += bytes;
        let Some(pair) = self.pairs.get(at) else {
            return;
        };
        let (key, tenant, mtu) = (pair.peer, pair.tenant, pair.mtu);
        if matches!(pair.life, PairLife::Parked { .. } | PairLife::Buried) {
            let newest = opened.newest;
            return self.esp_of_ended(now, at, path, newest);
        }
        let (moved, confirms) = (pair.path != path && opened.newest, pair.unconfirmed);
        if !opened.dummy {
            mss::clamp(opened.inner, mtu);
            sink.inner(tenant, opened.inner);
        }
        if pair.life == PairLife::Lingers {
            return;
        }
        if let Some(peer) = self.peers.get_mut(key) {
            peer.hear(now);
            peer.flow.hear(now);
            if peer.revival.is_some() {
                self.trust(key);
            }
        }
        if moved {
            self.esp_moved(now, at, path);
        }
        if confirms {
            self.confirm(now, at);
        }
        self.check_volume(now, at);
    }

    /// Inbound traffic on a pair that we do not send on yet: the peer has it.
    fn confirm(&mut self, now: Instant, at: usize) {
        let Some(pair) = self.pairs.get_mut(at) else {
            return;
        };
        pair.unconfirmed = false;
        let (key, ike_spi, spi_in) = (pair.peer, pair.ike_spi, pair.spi_in);
        if pair.reauthenticated.is_some() {
            return self.activate_pair(key, spi_in);
        }
        if let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(ike_spi)) {
            sa.inbound_seen(spi_in);
            self.drive(now, key);
        }
    }

    /// Byte limits: rekeying at nine tenths, the end at the limit.
    fn check_volume(&mut self, now: Instant, at: usize) {
        let Some(pair) = self.pairs.get_mut(at) else {
            return;
        };
        if pair.hard_bytes == u64::MAX {
            return;
        }
        let received = self
            .sad
            .get(pair.spi_in)
            .map_or(0, |entry| entry.sa.bytes());
        let volume = received.max(pair.outbound.bytes());
        let (soft, hard) = (volume >= pair.soft_bytes, volume >= pair.hard_bytes);
        if !hard && (!soft || pair.rekeying) {
            return;
        }
        pair.rekeying = true;
        let (key, ike_spi, spi_in) = (pair.peer, pair.ike_spi, pair.spi_in);
        if let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(ike_spi)) {
            let mut env = crate::env!(self, now);
            if hard {
                sa.delete_child(&mut env, spi_in, CloseCause::Expired);
            } else {
                sa.rekey_child(&mut env, spi_in);
            }
            self.drive(now, key);
        }
    }

    pub(crate) fn inner_packet(
        &mut self,
        now: Instant,
        tenant: TenantId,
        packet: &mut [u8],
        handed: bool,
        sink: &mut dyn PacketSink,
    ) {
        let Some(info) = PacketInfo::parse(packet) else {
            return self.counters.drops.count(DropReason::NotIp);
        };
        let target = self
            .spds
            .get(usize::from(tenant.0))
            .and_then(|tables| tables.lookup(&info, handed));
        match target {
            Some(Target::Pair(at)) => self.send_on(now, at, &info, packet, sink),
            Some(Target::Shard(shard, _)) => {
                self.counters.handed_off += 1;
                sink.hand_off(shard, HandOff::Inner { tenant, packet });
            }
            None => self.counters.drops.count(DropReason::NoChildSa),
        }
    }

    fn send_on(
        &mut self,
        now: Instant,
        at: usize,
        info: &PacketInfo,
        packet: &mut [u8],
        sink: &mut dyn PacketSink,
    ) {
        let Some(pair) = self.pairs.get(at) else {
            return;
        };
        let (mtu, key) = (pair.mtu, pair.peer);
        self.before_send(now, key);
        // IPv6 is never told less than 1280 (RFC 8200 5): what is not larger is sealed all the same.
        let fits = info.total_len <= usize::from(mtu)
            || (info.destination.is_ipv6() && info.total_len <= 1280);
        if fits {
            mss::clamp(packet, mtu);
            let packet = packet.get(..info.total_len).unwrap_or(&[]);
            self.seal(at, packet, sink);
        } else {
            self.send_large(now, at, info, packet, sink);
        }
        self.check_volume(now, at);
    }

    /// Larger than the path: an ICMP error towards the inside, or fragments where DF allows it.
    fn send_large(
        &mut self,
        now: Instant,
        at: usize,
        info: &PacketInfo,
        packet: &[u8],
        sink: &mut dyn PacketSink,
    ) {
        let Some(pair) = self.pairs.get(at) else {
            return;
        };
        let (mtu, tenant) = (pair.mtu, pair.tenant);
        if let Some(mut fragments) = Fragmenter::new(packet, usize::from(mtu)) {
            let mut fragment = Vec::with_capacity(usize::from(mtu));
            while fragments.next_into(&mut fragment).is_some() {
                self.seal(at, &fragment, sink);
                fragment.clear();
            }
            return;
        }
        self.counters.drops.count(DropReason::TooBig);
        if !self.gate.may_report(now) {
            return;
        }
        let from = self.inside_address(tenant, info.source);
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

    fn seal(&mut self, at: usize, inner: &[u8], sink: &mut dyn PacketSink) {
        let Some(pair) = self.pairs.get_mut(at) else {
            return;
        };
        self.sealed.clear();
        match pair.outbound.seal(inner, &mut self.sealed) {
            Ok(sealed) => {
                self.counters.esp_packets_out += 1;
                self.counters.esp_bytes_out += sealed.len as u64;
                sink.outer(&pair.path, sealed.ecn, &self.sealed);
            }
            Err(reason) => self.counters.drops.count(reason),
        }
    }
}
