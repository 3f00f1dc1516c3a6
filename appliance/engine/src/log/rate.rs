//! How many events a second become lines.

use hawser_flight::Event;
use std::time::{Duration, Instant};

/// Events a second, and in a burst, about who is not authenticated: a stranger must not drown what
/// peers do.
const STRANGERS: u32 = 10;

/// The rates of both kinds of events.
pub(super) struct Bounds {
    peers: Bucket,
    strangers: Bucket,
}

impl Bounds {
    /// `rate` events a second about devices.
    pub(super) fn new(rate: u32, now: Instant) -> Self {
        let bucket = |rate: u32| Bucket {
            rate: rate.into(),
            tokens: rate.into(),
            at: now,
        };
        Self {
            peers: bucket(rate),
            strangers: bucket(rate.min(STRANGERS)),
        }
    }

    pub(super) fn allow(&mut self, event: &Event, now: Instant) -> bool {
        match event {
            Event::MessageRefused { .. } | Event::HandshakeFailed { .. } => {
                self.strangers.take(now)
            }
            _ => self.peers.take(now),
        }
    }
}

/// A bucket of `rate` events that refills in a second.
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
        let mut bounds = Bounds::new(100, begin);
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
