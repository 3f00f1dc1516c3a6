//! The outer packets of one peer as they are, and the keys of its SAs, while somebody looks on.
//!
//! Keys are told when they are made and kept nowhere: those of an SA that was there before are not to be had, and a
//! capture that is to be readable begins by rekeying.

use crate::Shard;
use crate::io::{DeviceId, Output};
use crate::spi::shard_of;
use crate::trace::{Sight, What};
use hawser_esp::SealedBatch;
use hawser_esp::packet::Ecn;
use hawser_flight::Path;
use hawser_ike::IkeSa;
use hawser_ike::io::ChildInstall;
use hawser_ike::keymat::{CipherKeys, Key};
use hawser_ike::peek::Direction;
use hawser_ike::select::{EspSuite, IkeSuite};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// An outer packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// From the peer.
    pub inbound: bool,
    /// Where it went or came from.
    pub path: Path,
    /// Its ECN field, where that is known.
    pub ecn: Ecn,
    /// The UDP payload; with `path.remote.port() == 0` the payload of IP protocol 50.
    pub payload: Vec<u8>,
    /// Packets before this one that were not told, for they came too fast.
    pub left_out: u64,
}

/// The keys of an SA.
#[derive(Clone)]
pub enum CapturedKeys {
    /// Of an IKE SA.
    Ike {
        /// Initiator's SPI.
        spi_i: u64,
        /// Responder's SPI.
        spi_r: u64,
        /// Algorithms.
        suite: IkeSuite,
        /// The keys.
        keys: Arc<CipherKeys>,
    },
    /// Of one direction of a Child SA.
    Esp {
        /// Who sends.
        from: IpAddr,
        /// Who receives.
        to: IpAddr,
        /// The receiver's SPI.
        spi: u32,
        /// Algorithms.
        suite: EspSuite,
        /// Encryption, with the salt of AEAD.
        encr: Key,
        /// Integrity; empty with AEAD.
        integ: Key,
    },
}

impl std::fmt::Debug for CapturedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CapturedKeys").finish_non_exhaustive()
    }
}

impl Shard {
    /// An IKE message, without the non-ESP marker.
    pub(crate) fn capture_ike(
        &mut self,
        now: Instant,
        direction: Direction,
        path: Path,
        owner: Option<DeviceId>,
        message: &[u8],
    ) {
        if self.traces.want(What::Packets) {
            let marker: &[u8] = if path.encapsulated { &[0; 4] } else { &[] };
            let packet = [marker, message].concat();
            let inbound = direction == Direction::In;
            self.tell_packets(now, inbound, path, owner, &[(Ecn::NotEct, &packet)]);
        }
    }

    /// ESP packets with one SPI have come, and are still sealed.
    pub(crate) fn capture_esp(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        packets: &[&mut [u8]],
        handed: bool,
    ) {
        let Some(first) = packets.first() else {
            return;
        };
        let pair = self.sad.find(first).ok().map(|entry| entry.owner);
        let bucket = first.first().copied().unwrap_or(0);
        if pair.is_none() && !handed && shard_of(bucket, self.shards) != self.id {
            // Another shard will see it.
            return;
        }
        let owner = pair.and_then(|at| self.owner_of_pair(at));
        let packets: Vec<(Ecn, &[u8])> = packets.iter().map(|p| (ecn, &**p)).collect();
        self.tell_packets(now, true, path, owner, &packets);
    }

    /// ESP packets of one pair are on their way.
    pub(crate) fn capture_sealed(&mut self, at: usize, batch: &SealedBatch) {
        let (owner, pair) = (self.owner_of_pair(at), self.pairs.get(at));
        let Some(path) = pair.map(|pair| pair.path) else {
            return;
        };
        let mut octets = batch.octets.as_slice();
        let mut packets = Vec::with_capacity(batch.packets.len());
        for sealed in &batch.packets {
            let Some((packet, rest)) = octets.split_at_checked(sealed.len) else {
                break;
            };
            packets.push((sealed.ecn, packet));
            octets = rest;
        }
        self.tell_packets(self.clock, false, path, owner, &packets);
    }

    /// The device that a pair belongs to.
    fn owner_of_pair(&self, at: usize) -> Option<DeviceId> {
        let peer = self.peers.get(self.pairs.get(at)?.peer)?;
        Some(peer.device)
    }

    /// Tells packets of one device to everybody who looks on.
    fn tell_packets(
        &mut self,
        now: Instant,
        inbound: bool,
        path: Path,
        owner: Option<DeviceId>,
        packets: &[(Ecn, &[u8])],
    ) {
        for trace in self.traces.of(now, What::Packets, owner, path.remote.ip()) {
            for (ecn, payload) in packets {
                if !trace.may_tell(now) {
                    continue;
                }
                let packet = Packet {
                    inbound,
                    path,
                    ecn: *ecn,
                    payload: payload.to_vec(),
                    left_out: std::mem::take(&mut trace.left_out),
                };
                let sight = Sight::Packet(packet);
                self.out.push_back(Output::Traced(trace.id, sight));
            }
        }
    }

    /// The keys of an IKE SA that a device has got now are told, and gone.
    pub(crate) fn tell_ike_keys(&mut self, device: DeviceId, sa: &mut IkeSa) {
        let Some(keys) = sa.take_cipher_keys() else {
            return;
        };
        if !self.traces.want(What::Keys) {
            return;
        }
        let (spi_i, spi_r) = sa.spis();
        let told = CapturedKeys::Ike {
            spi_i,
            spi_r,
            suite: sa.suite(),
            keys: Arc::from(keys),
        };
        self.tell_keys(device, sa.path().remote.ip(), &told);
    }

    /// The keys of a pair that is about to be installed.
    pub(crate) fn tell_child_keys(&mut self, device: DeviceId, sa: Path, install: &ChildInstall) {
        if !self.traces.want(What::Keys) {
            return;
        }
        let (local, remote) = (sa.local.ip(), sa.remote.ip());
        let inbound = (remote, local, install.spi_in);
        let outbound = (local, remote, install.spi_out);
        for ((from, to, spi), encr, integ) in [
            (inbound, &install.encr_in, &install.integ_in),
            (outbound, &install.encr_out, &install.integ_out),
        ] {
            let told = CapturedKeys::Esp {
                from,
                to,
                spi,
                suite: install.suite,
                encr: encr.clone(),
                integ: integ.clone(),
            };
            self.tell_keys(device, remote, &told);
        }
    }

    fn tell_keys(&mut self, device: DeviceId, remote: IpAddr, keys: &CapturedKeys) {
        for trace in self.traces.of(self.clock, What::Keys, Some(device), remote) {
            let sight = Sight::Keys(keys.clone());
            self.out.push_back(Output::Traced(trace.id, sight));
        }
    }
}
