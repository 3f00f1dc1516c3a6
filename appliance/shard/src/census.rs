//! How many devices of each template have which status, kept up to date: nothing walks over all
//! devices to know it.

use crate::Shard;
use crate::counters::PeerCount;
use crate::peer::Peer;
use crate::view::PeerStatus;
use hawser_flight::PeerLabel;
use hawser_policy::PeerTemplate;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tenant and template.
type Names = (Arc<str>, Arc<str>);

/// The counts.
#[derive(Default)]
pub(crate) struct Census {
    rows: BTreeMap<Names, Row>,
    /// Pairs of all devices.
    pairs: usize,
}

#[derive(Default, PartialEq, Eq, Debug)]
struct Row {
    /// By evidence ([`Peer::status`]); connecting ones are among those that are down.
    up: u64,
    degraded: u64,
    down: u64,
    /// Devices of these are brought up by us.
    initiates: bool,
}

/// What the census has of a device.
pub(crate) struct Counted {
    /// That it is counted under.
    names: Names,
    status: PeerStatus,
    pairs: usize,
}

impl Row {
    fn of(&mut self, status: PeerStatus) -> &mut u64 {
        match status {
            PeerStatus::Up => &mut self.up,
            PeerStatus::Degraded => &mut self.degraded,
            PeerStatus::Connecting | PeerStatus::Down => &mut self.down,
        }
    }

    fn is_empty(&self) -> bool {
        self.up + self.degraded + self.down == 0
    }
}

impl Census {
    fn add(&mut self, counted: Counted, template: &PeerTemplate) -> Counted {
        let row = self.rows.entry(counted.names.clone()).or_default();
        *row.of(counted.status) += 1;
        row.initiates = template.initiate.is_some();
        self.pairs += counted.pairs;
        counted
    }

    /// A device is no more, or is to be counted anew.
    pub(crate) fn forget(&mut self, counted: Option<Counted>) {
        let Some(counted) = counted else { return };
        self.pairs -= counted.pairs;
        if let Some(row) = self.rows.get_mut(&counted.names) {
            *row.of(counted.status) -= 1;
            if row.is_empty() {
                self.rows.remove(&counted.names);
            }
        }
    }

    /// Follows a device.
    fn follow(&mut self, peer: &mut Peer) {
        let (status, pairs) = (peer.status(), peer.pairs.len());
        let same = |c: &Counted| {
            (c.status, c.pairs) == (status, pairs) && Arc::ptr_eq(&c.names.1, &peer.label.template)
        };
        if peer.counted.as_ref().is_some_and(same) {
            return;
        }
        self.forget(peer.counted.take());
        let counted = Counted {
            names: names(&peer.label),
            status,
            pairs,
        };
        peer.counted = Some(self.add(counted, &peer.template));
    }
}

fn names(label: &PeerLabel) -> Names {
    (Arc::clone(&label.tenant), Arc::clone(&label.template))
}

impl Shard {
    /// The counts follow a device, of which anything may have changed.
    pub(crate) fn count(&mut self, key: usize) {
        if let Some(peer) = self.peers.get_mut(key) {
            self.census.follow(peer);
        }
    }

    /// Brings the gauges up to date.
    pub(crate) fn update_gauges(&mut self) {
        debug_assert!(self.census_is_true());
        let mut peers = Vec::new();
        for ((tenant, template), row) in &self.census.rows {
            let connecting = row.initiates && self.initiators.is_initiating(template);
            let down = match connecting {
                true => PeerStatus::Connecting,
                false => PeerStatus::Down,
            };
            let counts = [
                (PeerStatus::Up, row.up),
                (PeerStatus::Degraded, row.degraded),
                (down, row.down),
            ];
            let count = |(status, count)| PeerCount {
                tenant: Arc::clone(tenant),
                template: Arc::clone(template),
                status,
                count,
            };
            peers.extend(counts.into_iter().filter(|(_, n)| *n > 0).map(count));
        }
        self.counters.peers = peers;
        self.counters.half_open = self.responders.half_open() as u64;
        self.counters.ike_sas = self.ike_index.len() as u64;
        self.counters.child_sas = self.census.pairs as u64;
    }

    /// Whether a walk over all devices counts the same.
    fn census_is_true(&self) -> bool {
        let mut walked: BTreeMap<Names, [u64; 3]> = BTreeMap::new();
        for (_, peer) in &self.peers {
            let counts = walked.entry(names(&peer.label)).or_default();
            match peer.status() {
                PeerStatus::Up => counts[0] += 1,
                PeerStatus::Degraded => counts[1] += 1,
                PeerStatus::Connecting | PeerStatus::Down => counts[2] += 1,
            }
        }
        let kept = self.census.rows.iter();
        let kept = kept.map(|(names, row)| (names.clone(), [row.up, row.degraded, row.down]));
        let pairs: usize = self.peers.iter().map(|(_, p)| p.pairs.len()).sum();
        kept.collect::<BTreeMap<_, _>>() == walked && pairs == self.census.pairs
    }
}
