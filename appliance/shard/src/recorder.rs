//! The flight recorder of each device, and what a drop leaves behind.

use crate::Shard;
use crate::io::{DeviceId, Output, Reply};
use crate::peer::Peer;
use hawser_flight::{Event, PeerLabel, Ring};
use std::sync::Arc;
use std::time::Instant;

/// What was recorded of a device. Times in it are milliseconds since the shard began.
#[derive(Clone, Debug)]
pub struct Recall {
    /// Who, and where it is now.
    pub label: Arc<PeerLabel>,
    /// The branch's selectors, or what they were last.
    pub networks: Vec<String>,
    /// It has Child SAs.
    pub up: bool,
    /// Now.
    pub now_ms: u64,
    /// The events.
    pub ring: Ring,
    /// How it stands now, as [`Event::Clocks`].
    pub clocks: Event,
}

/// A device dropped, or one that had dropped came back.
#[derive(Clone, Debug)]
pub struct Incident {
    /// When it dropped, in milliseconds since the shard began.
    pub dropped_ms: u64,
    /// It is back from that.
    pub back: bool,
    /// What was recorded up to now.
    pub recall: Recall,
}

/// The recorder of one device.
pub(crate) struct Recorder {
    ring: Ring,
    /// When the last new IKE message came.
    pub(crate) ike_in: Option<Instant>,
    /// When the last ESP packet came on pairs that are gone.
    esp_in: Option<Instant>,
    /// When the last ESP packet left.
    pub(crate) esp_out: Option<Instant>,
    /// The drop that it has not come back from.
    dropped_ms: Option<u64>,
}

impl Recorder {
    pub(crate) fn new(octets: usize) -> Self {
        Self {
            ring: Ring::new(octets),
            ike_in: None,
            esp_in: None,
            esp_out: None,
            dropped_ms: None,
        }
    }
}

impl Shard {
    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.born);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Writes an event into the ring of the device that it is about.
    pub(crate) fn record(&mut self, device: DeviceId, event: &Event) {
        let at_ms = self.millis(self.clock);
        let key = self.devices.get(&device).copied();
        if let Some(peer) = key.and_then(|key| self.peers.get_mut(key)) {
            peer.recorder.ring.record(at_ms, event);
        }
    }

    /// A pair of the device is about to go: how the device stands.
    pub(crate) fn clocks(&self, key: usize, spi_in: u32) -> Option<Event> {
        let entry = self.sad.get(spi_in);
        let pair = entry.and_then(|e| self.pairs.get(e.owner));
        let peer = self.peers.get(key)?;
        let recorder = &peer.recorder;
        let ago = |at: Option<Instant>| {
            let since = self.clock.saturating_duration_since(at?);
            Some(u32::try_from(since.as_millis()).unwrap_or(u32::MAX))
        };
        let seen = entry.and_then(|e| e.sa.last_seen());
        Some(Event::Clocks {
            ike_in_ms: ago(recorder.ike_in),
            esp_in_ms: ago(seen.max(recorder.esp_in)),
            esp_out_ms: ago(recorder.esp_out),
            packets_in: entry.map_or(0, |e| e.sa.packets()),
            packets_out: pair.map_or(0, |p| p.outbound.packets()),
        })
    }

    /// How a device stands that is about to be down.
    pub(crate) fn record_clocks(&mut self, key: usize, clocks: Option<Event>) {
        let device = self.peers.get(key).filter(|p| p.up).map(|p| p.device);
        if let (Some(device), Some(clocks)) = (device, clocks) {
            self.record(device, &clocks);
        }
    }

    /// What a pair saw is remembered beyond its end.
    pub(crate) fn remember_clock(&mut self, key: usize, spi_in: u32) {
        let seen = self.sad.get(spi_in).and_then(|e| e.sa.last_seen());
        if let Some(peer) = self.peers.get_mut(key) {
            peer.recorder.esp_in = peer.recorder.esp_in.max(seen);
        }
    }

    /// When ESP last came from the device.
    pub(crate) fn esp_in(&self, peer: &Peer) -> Option<Instant> {
        let pairs = peer.pairs.iter().filter_map(|at| self.pairs.get(*at));
        let seen = pairs.filter_map(|pair| self.sad.get(pair.spi_in)?.sa.last_seen());
        seen.max().max(peer.recorder.esp_in)
    }

    /// The device went down, or came up again after that: an incident is told, once everything
    /// that belongs to it is recorded.
    pub(crate) fn freeze(&mut self, key: usize, up: bool) {
        let now_ms = self.millis(self.clock);
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let dropped_ms = match up {
            true => peer.recorder.dropped_ms.take(),
            false => Some(*peer.recorder.dropped_ms.insert(now_ms)),
        };
        if let Some(dropped_ms) = dropped_ms {
            self.freezing.push((peer.device, dropped_ms, up));
        }
    }

    /// Tells the incidents, behind all other outputs.
    pub(crate) fn tell_incidents(&mut self) {
        for (device, dropped_ms, back) in std::mem::take(&mut self.freezing) {
            let key = self.devices.get(&device).copied();
            let recall = key.and_then(|key| self.recall(key));
            if let Some(recall) = recall {
                let incident = Box::new(Incident {
                    dropped_ms,
                    back,
                    recall,
                });
                self.out.push_back(Output::Incident(incident));
            }
        }
    }

    pub(crate) fn recalled(&self, device: DeviceId) -> Reply {
        let key = self.devices.get(&device).copied();
        match key.and_then(|key| self.recall(key)) {
            Some(recall) => Reply::Recall(Box::new(recall)),
            None => Reply::NotFound,
        }
    }

    fn recall(&self, key: usize) -> Option<Recall> {
        let peer = self.peers.get(key)?;
        let newest = peer.pairs.last().and_then(|at| self.pairs.get(*at));
        let networks = peer.selectors.iter().map(ToString::to_string);
        Some(Recall {
            label: Arc::clone(&peer.label),
            networks: networks.collect(),
            up: peer.up,
            now_ms: self.millis(self.clock),
            ring: peer.recorder.ring.clone(),
            clocks: self.clocks(key, newest.map_or(0, |p| p.spi_in))?,
        })
    }
}

impl Peer {
    /// A packet leaves for it.
    pub(crate) fn sends(&mut self, now: Instant) {
        self.recorder.esp_out = Some(now);
    }
}
