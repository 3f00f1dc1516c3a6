//! Stamps events and hands them to whoever listens, without ever making a shard wait.

use hawser_flight::{Event, PeerLabel, Record};
use hawser_shard::io::ShardId;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast::{self, error::RecvError};

/// Events that a slow subscriber may be behind before it loses the oldest.
const BEHIND: usize = 8192;

/// Where the shards' events come together; `None` is the last word.
#[derive(Clone)]
pub(crate) struct EventBus(broadcast::Sender<Option<Arc<Record>>>);

impl EventBus {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }

    pub(crate) fn publish(&self, shard: ShardId, peer: Option<Arc<PeerLabel>>, event: Event) {
        // Every shard applies a configuration; one of them says so.
        if matches!(event, Event::ConfigApplied { .. }) && shard != ShardId(0) {
            return;
        }
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
        let _ = self.0.send(Some(Arc::new(record)));
    }

    /// Nothing happens any more: the streams end behind the last event.
    pub(crate) fn close(&self) {
        let _ = self.0.send(None);
    }

    pub(crate) fn subscribe(&self) -> EventStream {
        EventStream {
            from: self.0.subscribe(),
            ended: false,
        }
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
pub struct EventStream {
    from: broadcast::Receiver<Option<Arc<Record>>>,
    ended: bool,
}

impl EventStream {
    /// The next event, or how many were lost before it; `None` when the engine has shut down, or
    /// its last handle is gone.
    pub async fn next(&mut self) -> Option<Feed> {
        let received = self.from.recv().await;
        self.feed(received)
    }

    /// The same for a thread, which waits.
    pub(crate) fn wait(&mut self) -> Option<Feed> {
        if self.ended {
            return None;
        }
        let received = self.from.blocking_recv();
        self.feed(received)
    }

    /// What is there already.
    pub(crate) fn take(&mut self) -> Option<Feed> {
        use broadcast::error::TryRecvError;
        let received = match self.from.try_recv() {
            Ok(record) => Ok(record),
            Err(TryRecvError::Lagged(lost)) => Err(RecvError::Lagged(lost)),
            Err(TryRecvError::Closed) => Err(RecvError::Closed),
            Err(TryRecvError::Empty) => return None,
        };
        self.feed(received)
    }

    fn feed(&mut self, received: Result<Option<Arc<Record>>, RecvError>) -> Option<Feed> {
        match received {
            Ok(Some(record)) => Some(Feed::Event(record)),
            Err(RecvError::Lagged(lost)) => Some(Feed::Lost(lost)),
            Ok(None) | Err(RecvError::Closed) => {
                self.ended = true;
                None
            }
        }
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

    #[tokio::test]
    async fn a_configuration_is_told_once_and_the_stream_ends_behind_the_last_event() {
        let bus = EventBus::new();
        let mut events = bus.subscribe();
        for shard in 0..4 {
            bus.publish(ShardId(shard), None, Event::ConfigApplied { revision: 2 });
        }
        bus.publish(ShardId(3), None, Event::PeerUp);
        bus.close();
        let mut told = Vec::new();
        while let Some(Feed::Event(record)) = events.next().await {
            told.push((record.shard, record.event.clone()));
        }
        let applied = Event::ConfigApplied { revision: 2 };
        assert_eq!(told, [(0, applied), (3, Event::PeerUp)]);
    }
}
