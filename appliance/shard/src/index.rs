//! How what names no SA of a device finds it: by its endpoint, or by the SPI of an IKE SA whose keys
//! are still being computed.

use crate::Shard;
use hawser_flight::Path;
use hawser_ike::IkeSa;
use hawser_ike::header::Header;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

/// Octets of an early message that is held at most: a larger one is sent again by the peer.
const MAX_EARLY: usize = 1500;

/// The index. It follows the devices: see [`Shard::index_peer`].
#[derive(Default)]
pub(crate) struct Index {
    endpoints: HashMap<SocketAddr, usize>,
    /// IKE SAs being made, by local SPI, each with the first message that came for it.
    awaited: HashMap<u64, Option<Early>>,
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
        let Some(held) = self.awaited.get_mut(&spi) else {
            return false;
        };
        if held.is_none() && message.len() <= MAX_EARLY {
            let message = message.to_vec();
            *held = Some(Early { path, message });
        }
        true
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
        let awaited = || peer.ike_sas.iter().filter_map(IkeSa::awaited_spi);
        if awaited().eq(peer.indexed.awaited.iter().copied()) {
            return Vec::new();
        }
        let now: Vec<u64> = awaited().collect();
        let mut early = Vec::new();
        for spi in std::mem::replace(&mut peer.indexed.awaited, now) {
            if let Some(Some(held)) = index.awaited.remove(&spi) {
                early.push((spi, held));
            }
        }
        index
            .awaited
            .extend(peer.indexed.awaited.iter().map(|spi| (*spi, None)));
        early
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
