//! How what names no SA of a device finds it: by its endpoint, or by the SPI of an IKE SA whose keys
//! are still being computed.

use crate::Shard;
use hawser_ike::IkeSa;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

/// The index. It follows the devices: see [`Shard::index_peer`].
#[derive(Default)]
pub(crate) struct Index {
    endpoints: HashMap<SocketAddr, usize>,
    awaited: HashSet<u64>,
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

    /// Whether an IKE SA with this local SPI is being made by a rekey.
    pub(crate) fn awaits(&self, spi: u64) -> bool {
        self.awaited.contains(&spi)
    }

    pub(crate) fn forget(&mut self, key: usize, indexed: &mut Indexed) {
        self.set_endpoint(key, indexed, None);
        indexed.awaited.drain(..).for_each(|spi| {
            self.awaited.remove(&spi);
        });
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
    /// The index follows a device: it is at home where it is while it has an IKE SA.
    pub(crate) fn index_peer(&mut self, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let endpoint = (!peer.ike_sas.is_empty()).then_some(peer.path.remote);
        let Self { index, .. } = self;
        index.set_endpoint(key, &mut peer.indexed, endpoint);
        let awaited = || peer.ike_sas.iter().filter_map(IkeSa::awaited_spi);
        if !awaited().eq(peer.indexed.awaited.iter().copied()) {
            let now: Vec<u64> = awaited().collect();
            for spi in std::mem::replace(&mut peer.indexed.awaited, now) {
                index.awaited.remove(&spi);
            }
            index.awaited.extend(&peer.indexed.awaited);
        }
    }
}
