//! Packets from outside, to the SA that they name.

use crate::Shard;
use crate::io::{HandOff, PacketSink};
use crate::one_way::Unanswered;
use crate::pairs::PairLife;
use crate::spi::shard_of;
use crate::trace::What;
use hawser_esp::mss;
use hawser_esp::packet::Ecn;
use hawser_flight::{CloseCause, DropReason, Path};
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
            Some(_) => self.esp_run(now, path, ecn, &mut [payload], handed, sink),
            None if *payload == [0xff] => self.counters.drops.count(DropReason::NatKeepalive),
            None => self.counters.drops.count(DropReason::TooShort),
        }
    }

    /// Sorts datagrams that came on one path: ESP packets of one SA that follow each other are opened together.
    pub(crate) fn demux_batch(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        mut payloads: &mut [&mut [u8]],
        sink: &mut dyn PacketSink,
    ) {
        while let Some(first) = payloads.first() {
            let spi = spi_of(first);
            let esp = path.encapsulated && spi.is_some_and(|spi| spi != MARKER);
            let same = payloads.iter().take_while(|p| esp && spi_of(p) == spi);
            let (run, rest) = payloads.split_at_mut(same.count().max(1));
            match run {
                [one] if !esp => self.demux(now, path, ecn, one, false, sink),
                run => self.esp_run(now, path, ecn, run, false, sink),
            }
            payloads = rest;
        }
    }

    /// Packets of IP protocol 50 that came on one path: native ESP. `path` has ports 0 and is not encapsulated.
    pub fn native_esp(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        mut packets: &mut [&mut [u8]],
        sink: &mut dyn PacketSink,
    ) {
        self.clock = now;
        while let Some(first) = packets.first() {
            let spi = spi_of(first);
            let same = packets.iter().take_while(|p| spi_of(p) == spi).count();
            let (run, rest) = packets.split_at_mut(same);
            self.esp_run(now, path, ecn, run, true, sink);
            packets = rest;
        }
    }

    /// ESP packets with one SPI.
    fn esp_run(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        packets: &mut [&mut [u8]],
        handed: bool,
        sink: &mut dyn PacketSink,
    ) {
        if self.traces.want(What::Packets) {
            self.capture_esp(now, path, ecn, packets, handed);
        }
        self.open_run(now, path, ecn, packets, handed, sink);
    }

    fn open_run(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        packets: &mut [&mut [u8]],
        handed: bool,
        sink: &mut dyn PacketSink,
    ) {
        let Some(first) = packets.first() else { return };
        let entry = match self.sad.find(first) {
            Ok(entry) => entry,
            Err(reason) => {
                return packets.iter_mut().for_each(|packet| {
                    self.esp_of_nobody(now, path, ecn, packet, handed, reason, sink);
                });
            }
        };
        let at = entry.owner;
        let Some(pair) = self.pairs.get(at) else {
            return;
        };
        let (key, tenant, mtu) = (pair.peer, pair.tenant, pair.mtu);
        let elsewhere = pair.path != path;
        let lingers = pair.life == PairLife::Lingers;
        let ended = matches!(pair.life, PairLife::Parked { .. } | PairLife::Buried);
        if let [first, rest @ ..] = packets
            && ended
            && !rest.is_empty()
        {
            // The first may bring it back: then the others are heard.
            self.open_run(now, path, ecn, std::slice::from_mut(first), handed, sink);
            return self.open_run(now, path, ecn, rest, handed, sink);
        }
        let (mut heard, mut newest) = (false, false);
        let counters = &mut self.counters;
        let packets = packets.iter_mut().map(|packet| &mut **packet);
        entry
            .sa
            .open_batch(packets, ecn, now, |opened| match opened {
                Ok(opened) => {
                    counters.esp_packets_in += 1;
                    counters.esp_bytes_in += opened.len as u64;
                    (heard, newest) = (true, newest | opened.newest);
                    if !opened.dummy && !ended {
                        mss::clamp(opened.inner, mtu);
                        sink.inner(tenant, opened.inner);
                    }
                }
                Err(reason) => counters.drops.count(reason),
            });
        if heard && ended {
            return self.esp_of_ended(now, at, path, newest);
        }
        if !heard || lingers {
            return;
        }
        let confirms = self.pairs.get_mut(at).is_some_and(|pair| {
            pair.unanswered = Unanswered::default();
            pair.unconfirmed
        });
        if let Some(peer) = self.peers.get_mut(key) {
            let was_silent = peer.hear(now);
            peer.flow.hear(now);
            if peer.revival.is_some() {
                self.trust(key);
            }
            if was_silent {
                // From now on its silence is waited for again.
                self.arm_peer(key);
            }
        }
        if elsewhere && newest {
            self.esp_moved(now, at, path);
        }
        if confirms {
            self.confirm(now, at);
        }
        self.check_volume(now, at);
    }

    /// No SA here has its SPI: another shard may.
    #[allow(clippy::too_many_arguments)]
    fn esp_of_nobody(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        payload: &[u8],
        handed: bool,
        reason: DropReason,
        sink: &mut dyn PacketSink,
    ) {
        let bucket = payload.first().copied().unwrap_or(0);
        let to = shard_of(bucket, self.shards);
        if reason == DropReason::UnknownSpi && !handed && to != self.id {
            self.counters.handed_off += 1;
            return sink.hand_off(to, HandOff::Datagram { path, ecn, payload });
        }
        self.counters.drops.count(reason);
        if reason == DropReason::UnknownSpi {
            self.unknown_spi(now, path, payload);
        }
    }

    /// Inbound traffic on a pair that we do not send on yet: the peer has it.
    fn confirm(&mut self, now: Instant, at: usize) {
        let Some(pair) = self.pairs.get_mut(at) else {
            return;
        };
        let peer = self.peers.get(pair.peer);
        if peer.is_some_and(|p| p.is_on_trial(pair.ike_spi)) {
            return;
        }
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
    pub(crate) fn check_volume(&mut self, now: Instant, at: usize) {
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
}

/// The SPI of an ESP packet, or the marker.
fn spi_of(payload: &[u8]) -> Option<[u8; 4]> {
    payload.first_chunk().copied()
}
