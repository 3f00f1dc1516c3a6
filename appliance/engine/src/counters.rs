//! What the engine counts beside the shard's own counters.

use hawser_flight::DropReason;
use hawser_shard::counters::{Counters, Drops};
use hawser_shard::io::ShardId;
use std::time::Duration;

/// What the engine counts around one shard. All but `loop_lag` only grow.
#[derive(Clone, Debug, Default)]
pub struct EngineCounters {
    /// Packets dropped between the shard and the kernel or another shard: full sockets, TUNs, rings.
    pub drops: Drops,
    /// Datagrams that the kernel refused to send for another reason than a full buffer.
    pub send_errors: u64,
    /// Datagrams refused before the shard saw them: without a source port nobody can answer them.
    pub unanswerable: u64,
    /// Gauge: the longest time since the last snapshot that something ready waited for the loop.
    pub loop_lag: Duration,
    /// Gauge: outer sockets on which datagrams can leave in trains (UDP GSO).
    pub trains: u64,
    /// Gauge: those of them whose way out refuses trains at the moment.
    pub trains_refused: u64,
    /// Gauge: inner devices with super-packets of TCP and UDP, of TCP alone, and without.
    pub inner: [u64; 3],
    /// Gauge: inner devices that are gone and not made again yet.
    pub inner_gone: u64,
    /// Rounds of the loop.
    pub rounds: u64,
    /// Gauge: key-exchange questions that wait in the shard's own overflow.
    pub key_exchange_backlog: u64,
    /// Key-exchange questions answered with an error because the overflow was full.
    pub key_exchange_refused: u64,
}

/// The counters of a shard and of the engine around it, at one moment.
#[derive(Clone, Debug)]
pub struct ShardSnapshot {
    /// Which shard.
    pub shard: ShardId,
    /// The shard's own.
    pub counters: Counters,
    /// The engine's.
    pub engine: EngineCounters,
}

impl ShardSnapshot {
    /// Packets dropped by reason, by shard and engine together.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        let mine = self.counters.drops.iter();
        mine.zip(self.engine.drops.iter())
            .map(|((reason, a), (_, b))| (reason, a + b))
    }
}
