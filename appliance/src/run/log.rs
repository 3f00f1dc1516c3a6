//! The log: one line an event, in words, on the standard error.

use super::sentence;
use hawser_engine::{EventStream, Feed};
use hawser_flight::{Event, Record};
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};
use tracing::Level;
use tracing_subscriber::EnvFilter;

/// Lines in a second, and in a burst, about peers.
const PEERS_RATE: u32 = 100;
/// The same about who is not authenticated: a stranger must not drown what peers do.
const STRANGERS_RATE: u32 = 10;

/// Begins to log. `RUST_LOG` chooses what; without it everything from `info` on.
pub(super) fn to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // Another one is there already only in tests.
    let _ = log.try_init();
}

/// Writes every event once, at a bounded rate, until the engine ends.
pub(super) async fn follow(mut events: EventStream) {
    let mut bounds = Bounds::new(Instant::now());
    let mut left_out = 0;
    while let Some(feed) = events.next().await {
        match feed {
            Feed::Lost(lost) => left_out += lost,
            Feed::Event(record) if bounds.allow(&record.event, Instant::now()) => {
                tell_left_out(&mut left_out);
                write(&record);
            }
            Feed::Event(_) => left_out += 1,
        }
    }
    tell_left_out(&mut left_out);
}

fn write(record: &Record) {
    let sentence = sentence::of(record);
    match level(&record.event) {
        Level::WARN => tracing::warn!("{sentence}"),
        Level::INFO => tracing::info!("{sentence}"),
        _ => tracing::debug!("{sentence}"),
    }
}

fn tell_left_out(count: &mut u64) {
    if *count > 0 {
        tracing::warn!("{count} events are not in the log: too many at once");
        *count = 0;
    }
}

/// How grave an event is.
pub(crate) fn level(event: &Event) -> Level {
    match event {
        Event::PeerDown { .. }
        | Event::CaptureBegun { keys: true, .. }
        | Event::HandshakeFailed { .. }
        | Event::ChildSaRefused { .. }
        | Event::SelectorConflict { .. }
        | Event::RouteRefused { .. }
        | Event::ProbeFailed { .. }
        | Event::PluginUndecided { .. }
        | Event::AuditFailed
        | Event::Repaired { .. }
        | Event::InnerDevice { present: false, .. }
        | Event::Trains { taken: false, .. }
        | Event::WeakAlgorithm { .. } => Level::WARN,
        Event::PluginChanged { change, .. } if is_trouble(change) => Level::WARN,
        Event::PeerUp
        | Event::IkeSaEstablished { .. }
        | Event::IkeSaClosed { .. }
        | Event::EndpointMoved { .. }
        | Event::Parked { .. }
        | Event::Resurrected { .. }
        | Event::TombstoneHit { .. }
        | Event::RevivalBegun { .. }
        | Event::RevivalAttempt { .. }
        | Event::RevivalEnded { .. }
        | Event::MessageRefused { .. }
        | Event::OperatorAction { .. }
        | Event::CaptureBegun { .. }
        | Event::PluginDecided { .. }
        | Event::PluginChanged { .. }
        | Event::InnerDevice { .. }
        | Event::Trains { .. }
        | Event::ConfigAffects { .. }
        | Event::ConfigApplied { .. } => Level::INFO,
        _ => Level::DEBUG,
    }
}

/// Whether what happened to a plugin leaves its fallback to decide.
fn is_trouble(change: &str) -> bool {
    matches!(change, "load_failed" | "fault" | "disabled")
}

/// The rates of both kinds of events.
struct Bounds {
    peers: Bucket,
    strangers: Bucket,
}

impl Bounds {
    fn new(now: Instant) -> Self {
        let bucket = |rate: u32| Bucket {
            rate: rate.into(),
            tokens: rate.into(),
            at: now,
        };
        Self {
            peers: bucket(PEERS_RATE),
            strangers: bucket(STRANGERS_RATE),
        }
    }

    fn allow(&mut self, event: &Event, now: Instant) -> bool {
        match event {
            // Whoever asks for these wants all of them.
            _ if level(event) == Level::DEBUG => true,
            Event::MessageRefused { .. } | Event::HandshakeFailed { .. } => {
                self.strangers.take(now)
            }
            _ => self.peers.take(now),
        }
    }
}

/// A bucket of `rate` lines that refills in a second.
struct Bucket {
    rate: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        let refill = now
            .saturating_duration_since(self.at)
            .min(Duration::from_secs(1));
        self.at = now;
        self.tokens = (self.tokens + refill.as_secs_f64() * self.rate).min(self.rate);
        let allowed = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(allowed));
        allowed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use hawser_flight::MessageError;

    #[test]
    fn the_log_is_bounded_and_strangers_do_not_drown_peers() {
        let begin = Instant::now();
        let mut bounds = Bounds::new(begin);
        let refused = Event::MessageRefused {
            source: "192.0.2.9:500".parse().unwrap(),
            reason: MessageError::BadLength,
        };
        let mut allowed = |event: &Event, ms| {
            let now = begin + Duration::from_millis(ms);
            (0..1000).filter(|_| bounds.allow(event, now)).count()
        };
        assert_eq!(allowed(&refused, 0), 10);
        assert_eq!(allowed(&Event::PeerUp, 0), 100);
        assert_eq!(allowed(&Event::PeerUp, 500), 50);
        assert_eq!(allowed(&refused, 10_000), 10);
    }
}
