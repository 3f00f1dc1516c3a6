//! Stamps events and hands them to whoever listens, without ever making a shard wait.

use hawser_flight::{Event, PeerLabel, Record};
use hawser_shard::io::ShardId;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast;

/// Events that a slow subscriber may be behind before it loses the oldest.
const BEHIND: usize = 8192;
/// Lines of the log in a second, and in a burst.
const LOG_RATE: u32 = 100;

/// Where the shards' events come together.
#[derive(Clone)]
pub(crate) struct EventBus(broadcast::Sender<Arc<Record>>);

impl EventBus {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }

    pub(crate) fn publish(&self, shard: ShardId, peer: Option<Arc<PeerLabel>>, event: Event) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let unix_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let record = Record {
            unix_ms,
            shard: shard.0.into(),
            peer,
            event,
        };
        // An error says that nobody listens.
        let _ = self.0.send(Arc::new(record));
    }

    pub(crate) fn subscribe(&self) -> EventStream {
        EventStream(self.0.subscribe())
    }
}

/// What a subscriber gets.
#[derive(Clone, Debug)]
pub enum Feed {
    /// An event, in the order they happened on its shard.
    Event(Arc<Record>),
    /// The subscriber was too slow and has lost this many events.
    Lost(u64),
}

/// The events from the moment of subscription on.
pub struct EventStream(broadcast::Receiver<Arc<Record>>);

impl EventStream {
    /// The next event, or how many were lost before it; `None` when the
    /// last handle of the engine is gone.
    pub async fn next(&mut self) -> Option<Feed> {
        match self.0.recv().await {
            Ok(record) => Some(Feed::Event(record)),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Feed::Lost(lost)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Writes events to the log at a bounded rate until the engine ends.
pub(crate) async fn log(mut events: EventStream) {
    let mut rate = Rate::new(Instant::now());
    let mut left_out = 0u64;
    while let Some(feed) = events.next().await {
        match feed {
            Feed::Lost(lost) => left_out += lost,
            Feed::Event(record) if rate.allows(Instant::now()) => {
                if left_out > 0 {
                    tracing::warn!(left_out, "events not logged: too many at once");
                    left_out = 0;
                }
                write(&record);
            }
            Feed::Event(_) => left_out += 1,
        }
    }
}

fn write(record: &Record) {
    let shard = record.shard;
    let peer = record.peer.as_deref();
    let who = peer.map_or_else(String::new, |p| {
        format!("{} {} ({})", p.tenant, p.identity, p.path.remote_label())
    });
    let event = &record.event;
    match event {
        Event::PeerDown { .. }
        | Event::HandshakeFailed { .. }
        | Event::SelectorConflict { .. }
        | Event::RouteRefused { .. }
        | Event::ProbeFailed { .. }
        | Event::WeakAlgorithm { .. } => tracing::warn!(shard, peer = who, ?event),
        Event::PeerUp
        | Event::IkeSaEstablished { .. }
        | Event::IkeSaClosed { .. }
        | Event::ChildSaRefused { .. }
        | Event::EndpointMoved { .. }
        | Event::OperatorAction { .. }
        | Event::ConfigApplied { .. } => tracing::info!(shard, peer = who, ?event),
        _ => tracing::debug!(shard, peer = who, ?event),
    }
}

/// A bucket of `LOG_RATE` lines that refills in a second.
struct Rate {
    tokens: f64,
    at: Instant,
}

impl Rate {
    fn new(now: Instant) -> Self {
        Self {
            tokens: LOG_RATE.into(),
            at: now,
        }
    }

    fn allows(&mut self, now: Instant) -> bool {
        let refill = now
            .saturating_duration_since(self.at)
            .min(Duration::from_secs(1));
        self.at = now;
        let full = f64::from(LOG_RATE);
        self.tokens = (self.tokens + refill.as_secs_f64() * full).min(full);
        let allowed = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(allowed));
        allowed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_slow_subscriber_is_told_what_it_lost() {
        let bus = EventBus::new();
        let mut events = bus.subscribe();
        for _ in 0..BEHIND + 100 {
            bus.publish(ShardId(3), None, Event::PeerUp);
        }
        let Some(Feed::Lost(lost)) = events.next().await else {
            panic!()
        };
        let Some(Feed::Event(record)) = events.next().await else {
            panic!()
        };
        assert_eq!((lost, record.shard), (100, 3));
        assert!(record.unix_ms > 1_700_000_000_000);
        drop(bus);
        while let Some(feed) = events.next().await {
            assert!(matches!(feed, Feed::Event(_)));
        }
    }

    #[test]
    fn the_log_is_bounded() {
        let begin = Instant::now();
        let mut rate = Rate::new(begin);
        let allowed = |rate: &mut Rate, ms: u64| {
            (0..1000)
                .filter(|_| rate.allows(begin + Duration::from_millis(ms)))
                .count()
        };
        assert_eq!(allowed(&mut rate, 0), 100);
        assert_eq!(allowed(&mut rate, 500), 50);
        assert_eq!(allowed(&mut rate, 10_000), 100);
    }
}
