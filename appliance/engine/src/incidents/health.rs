//! How the node did in the last minute: for verdicts that blame it.

use crate::counters::ShardSnapshot;
use hawser_flight::DropReason;
use hawser_flight::verdict::NodeHealth;
use hawser_shard::view::PeerStatus;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back a drop may have its reason.
const WINDOW: Duration = Duration::from_secs(60);
/// Samples kept: metrics may be asked for more often than once a second.
const SAMPLES: usize = 256;

#[derive(Default)]
pub(super) struct HealthBook {
    samples: VecDeque<Sample>,
}

struct Sample {
    at: Instant,
    lag: Duration,
    /// All packets that the node itself lost so far.
    lost: u64,
    up: u64,
}

impl HealthBook {
    pub(super) fn observe(&mut self, now: Instant, snapshots: &[ShardSnapshot]) {
        let own = |reason| {
            use DropReason::{RingFull, SocketFull, TunFull};
            matches!(reason, SocketFull | TunFull | RingFull)
        };
        let lag = snapshots.iter().map(|s| s.engine.loop_lag).max();
        let drops = snapshots.iter().flat_map(ShardSnapshot::drops);
        let peers = snapshots.iter().flat_map(|s| &s.counters.peers);
        self.samples.push_back(Sample {
            at: now,
            lag: lag.unwrap_or_default(),
            lost: drops.filter(|(r, _)| own(*r)).map(|(_, n)| n).sum(),
            up: peers
                .filter(|p| p.status == PeerStatus::Up)
                .map(|p| p.count)
                .sum(),
        });
        while self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
    }

    pub(super) fn lately(&self, now: Instant) -> NodeHealth {
        let recent = || {
            let fresh = move |s: &&Sample| now.saturating_duration_since(s.at) <= WINDOW;
            self.samples.iter().filter(fresh)
        };
        let lag = recent().map(|s| s.lag).max().unwrap_or_default();
        let lost = recent().map(|s| s.lost);
        let (first, last) = (lost.clone().min(), lost.max());
        NodeHealth {
            loop_lag_ms: u32::try_from(lag.as_millis()).unwrap_or(u32::MAX),
            socket_drops: last.unwrap_or(0) - first.unwrap_or(0),
        }
    }

    /// The most devices that were up in the last minute.
    pub(super) fn were_up(&self) -> u64 {
        self.samples.iter().map(|s| s.up).max().unwrap_or(0)
    }
}
