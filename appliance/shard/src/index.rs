//! How what names no SA of a device finds it: by its endpoint, or by the SPI of an IKE SA whose keys
//! are still being computed.

use crate::Shard;
use hawser_flight::Path;
use hawser_ike::IkeSa;
use hawser_ike::header::Header;
use hawser_ike::ike_sa::SaState;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Octets of an early message that is held at most: a larger one is sent again by the peer.
const MAX_EARLY: usize = 1500;

/// A request is not sent again to wherever something comes from more often than this.
pub(crate) const ASK_EVERY: Duration = Duration::from_secs(1);

/// The index. It follows the devices: see [`Shard::index_peer`].
#[derive(Default)]
pub(crate) struct Index {
    endpoints: HashMap<SocketAddr, usize>,
    /// IKE SAs and Child SAs being made, by local SPI: their devices, and the first message that came
    /// for an IKE SA. The two kinds of SPI cannot be mixed up: no bucket is 0.
    awaited: HashMap<u64, (usize, Option<Early>)>,
}

/// A message for an IKE SA whose keys are still being computed.
pub(crate) struct Early {
    path: Path,
    message: Vec<u8>,
}

/// What the index has of a device.
#[derive(Default)]
pub(crate) struct Indexed {
    endpoint: Option<SocketAddr>,
    awaited: Vec<u64>,
}

impl Index {
    /// The device with this endpoint; of several the one that came there last.
    pub(crate) fn at_home(&self, endpoint: SocketAddr) -> Option<usize> {
        self.endpoints.get(&endpoint).copied()
    }

    /// Whether an IKE SA with this local SPI is being made by a rekey. The first message for it is
    /// held; with a window of one there is no other but its retransmissions.
    pub(crate) fn hold(&mut self, spi: u64, path: Path, message: &[u8]) -> bool {
        let Some((_, held)) = self.awaited.get_mut(&spi) else {
            return false;
        };
        if held.is_none() && message.len() <= MAX_EARLY {
            let message = message.to_vec();
            *held = Some(Early { path, message });
        }
        true
    }

    /// The device that is making an SA with this local SPI.
    pub(crate) fn maker(&self, spi: u64) -> Option<usize> {
        self.awaited.get(&spi).map(|(key, _)| *key)
    }

    pub(crate) fn forget(&mut self, key: usize, indexed: &mut Indexed) {
        self.set_endpoint(key, indexed, None);
        for spi in indexed.awaited.drain(..) {
            self.awaited.remove(&spi);
        }
    }

    fn set_endpoint(&mut self, key: usize, indexed: &mut Indexed, endpoint: Option<SocketAddr>) {
        if indexed.endpoint == endpoint {
            return;
        }
        if let Some(before) = std::mem::replace(&mut indexed.endpoint, endpoint)
            && self.at_home(before) == Some(key)
        {
            self.endpoints.remove(&before);
        }
        if let Some(endpoint) = endpoint {
            self.endpoints.insert(endpoint, key);
        }
    }
}

/// What the peer may use before its answer is here.
fn awaited_spis(sa: &IkeSa) -> impl Iterator<Item = u64> + use<> {
    let child = sa.awaited_child_spi().map(u64::from);
    let waits = sa.state() != SaState::Closed;
    sa.awaited_spi()
        .into_iter()
        .chain(child)
        .filter(move |_| waits)
}

impl Shard {
    /// The index follows a device: it is at home where it is while it has an IKE SA. What was held
    /// for an IKE SA that is there now comes out.
    pub(crate) fn index_peer(&mut self, key: usize) -> Vec<(u64, Early)> {
        let Some(peer) = self.peers.get_mut(key) else {
            return Vec::new();
        };
        let endpoint = (!peer.ike_sas.is_empty()).then_some(peer.path.remote);
        let Self { index, .. } = self;
        index.set_endpoint(key, &mut peer.indexed, endpoint);
        let kept = || peer.kept.iter().map(|k| &k.sa);
        let awaited = || peer.ike_sas.iter().chain(kept()).flat_map(awaited_spis);
        if awaited().eq(peer.indexed.awaited.iter().copied()) {
            return Vec::new();
        }
        let now: Vec<u64> = awaited().collect();
        let mut early = Vec::new();
        for spi in std::mem::replace(&mut peer.indexed.awaited, now) {
            if let Some((_, Some(held))) = index.awaited.remove(&spi) {
                early.push((spi, held));
            }
        }
        index
            .awaited
            .extend(peer.indexed.awaited.iter().map(|spi| (*spi, (key, None))));
        early
    }

    /// Something came for an SA that is being made: the peer has made it, and its answer was lost. Only
    /// it knows the SPI, so the request is sent again to where that came from, and nothing else changes.
    pub(crate) fn ask_maker(&mut self, now: Instant, spi: u64, path: Path) {
        let Some(key) = self.index.maker(spi) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let makes = |sa: &&mut IkeSa| awaited_spis(sa).any(|s| s == spi);
        let kept = peer.kept.iter_mut().map(|k| &mut k.sa);
        let sa = peer.ike_sas.iter_mut().chain(kept).find(makes);
        if let Some(local) = sa.map(|sa| sa.local_spi()) {
            self.ask_there(now, key, local, path);
        }
    }

    /// A request came again, from another endpoint than we send to: that moves nothing, but the peer may be there.
    pub(crate) fn came_again(&mut self, now: Instant, key: usize, local: u64, path: Path) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let kept = || peer.kept(local).map(|k| &k.sa);
        if let Some(sa) = peer.find_ike_sa(local).or_else(kept)
            && sa.path() != path
        {
            self.ask_there(now, key, local, path);
        }
    }

    /// The request of an IKE SA that is under way is sent again to where something came from. Only the answer proves
    /// anything.
    fn ask_there(&mut self, now: Instant, key: usize, local: u64, path: Path) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let recently = |at: Instant| now.saturating_duration_since(at) < ASK_EVERY;
        if peer.asked_again.is_some_and(recently) {
            return;
        }
        peer.asked_again = Some(now);
        let kept = peer.kept.iter_mut().map(|k| &mut k.sa);
        let mut sas = peer.ike_sas.iter_mut().chain(kept);
        // By what way the request went it goes again: port 4500, if it has come to that.
        if let Some(sa) = sas.find(|sa| sa.local_spi() == local)
            && (path.encapsulated || !sa.path().encapsulated)
        {
            sa.ask_again_at(path);
        }
        self.drain_kept(key, local);
        self.drive(now, key);
    }

    /// A message that came early is read now; if its IKE SA came to nothing it is of no use.
    pub(crate) fn read_early(&mut self, now: Instant, key: usize, spi: u64, early: &Early) {
        if let Ok(header) = Header::parse(&early.message)
            && self.ike_index.get(&spi) == Some(&key)
        {
            self.peer_message(now, key, spi, early.path, &header, &early.message);
        }
    }
}
