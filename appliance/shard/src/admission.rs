//! Who may begin a handshake: rates per source, before anything is kept for it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

/// Sources remembered at most. When it is reached, those at rest are forgotten; if none is, new
/// ones share one bucket.
const MAX_SOURCES: usize = 16_384;

/// Unprotected error messages (INVALID_IKE_SPI, INVALID_SPI) a second.
const ERRORS_PER_SECOND: u32 = 20;

/// Unprotected hints a second that are looked into.
const HINTS_PER_SECOND: u32 = 2;

/// ICMP errors towards the inside a second.
const REPORTS_PER_SECOND: u32 = 100;

/// Events a second about datagrams that were refused.
const RECORDS_PER_SECOND: u32 = 5;

/// Events a second about handshakes that failed.
const FAILURES_PER_SECOND: u32 = 50;

/// A token bucket that refills to `rate` in a second.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    since: Instant,
}

impl Bucket {
    fn take(&mut self, now: Instant, rate: u32) -> bool {
        let rate = f64::from(rate);
        let refill = now.saturating_duration_since(self.since).as_secs_f64() * rate;
        self.tokens = (self.tokens + refill).min(rate);
        self.since = now;
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }

    fn is_full(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since).as_secs() >= 1
    }
}

/// A rate for all sources together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    rate: u32,
    bucket: Option<Bucket>,
}

impl Rate {
    pub(crate) const fn new(rate: u32) -> Self {
        Self { rate, bucket: None }
    }

    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let full = Bucket {
            tokens: f64::from(self.rate),
            since: now,
        };
        self.bucket.get_or_insert(full).take(now, self.rate)
    }
}

/// Rates of sources that have not shown who they are.
#[derive(Debug)]
pub struct Gate {
    sources: HashMap<IpAddr, Bucket>,
    overflow: Option<Bucket>,
    swept: Option<Instant>,
    errors: Rate,
    esp_errors: Rate,
    hints: Rate,
    records: Rate,
    failures: Rate,
    reports: Rate,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            sources: HashMap::new(),
            overflow: None,
            swept: None,
            errors: Rate::new(ERRORS_PER_SECOND),
            esp_errors: Rate::new(ERRORS_PER_SECOND),
            hints: Rate::new(HINTS_PER_SECOND),
            records: Rate::new(RECORDS_PER_SECOND),
            failures: Rate::new(FAILURES_PER_SECOND),
            reports: Rate::new(REPORTS_PER_SECOND),
        }
    }
}

impl Gate {
    /// Whether `source` may begin another handshake: `rate` a second for an IPv4 address or an
    /// IPv6 /64.
    pub fn admit(&mut self, now: Instant, source: IpAddr, rate: u32) -> bool {
        let full = Bucket {
            tokens: f64::from(rate),
            since: now,
        };
        let key = block(source);
        if !self.sources.contains_key(&key) && self.sources.len() >= MAX_SOURCES {
            self.sweep(now);
            if self.sources.len() >= MAX_SOURCES {
                return self.overflow.get_or_insert(full).take(now, rate);
            }
        }
        self.sources.entry(key).or_insert(full).take(now, rate)
    }

    /// Forgets the sources at rest. It looks at all, so not more often than they come to rest.
    fn sweep(&mut self, now: Instant) {
        let recently = |at: Instant| now.saturating_duration_since(at).as_secs() < 1;
        if !self.swept.is_some_and(recently) {
            self.swept = Some(now);
            self.sources.retain(|_, bucket| !bucket.is_full(now));
        }
    }

    /// Whether another unprotected error message about IKE may be sent.
    pub fn may_complain(&mut self, now: Instant) -> bool {
        self.errors.take(now)
    }

    /// Whether another unprotected error message about ESP may be sent.
    pub fn may_complain_of_esp(&mut self, now: Instant) -> bool {
        self.esp_errors.take(now)
    }

    /// Whether another unprotected hint may be looked into.
    pub fn may_heed(&mut self, now: Instant) -> bool {
        self.hints.take(now)
    }

    /// Whether another ICMP error may be sent towards the inside.
    pub fn may_report(&mut self, now: Instant) -> bool {
        self.reports.take(now)
    }

    /// Whether another refused datagram may be recorded.
    pub fn may_record(&mut self, now: Instant) -> bool {
        self.records.take(now)
    }

    /// Whether another failed handshake may be recorded.
    pub fn may_record_failure(&mut self, now: Instant) -> bool {
        self.failures.take(now)
    }
}

fn block(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(a) => {
            let [s0, s1, s2, s3, ..] = a.segments();
            IpAddr::V6(Ipv6Addr::new(s0, s1, s2, s3, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_source_is_limited_and_others_are_not() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        let (a, b) = (
            "2001:db8::1".parse().unwrap(),
            "2001:db8:0:0:9::1".parse().unwrap(),
        );
        let other = "2001:db8:0:1::1".parse().unwrap();
        assert!((0..5).all(|_| gate.admit(now, a, 5)));
        assert!(!gate.admit(now, b, 5), "the same /64");
        assert!(gate.admit(now, other, 5));
        assert!(gate.admit(now + Duration::from_secs(1), b, 5));
    }

    #[test]
    fn memory_is_bounded() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        for i in 0..(2 * MAX_SOURCES as u32) {
            gate.admit(now, IpAddr::V4(i.into()), 5);
        }
        assert_eq!(gate.sources.len(), MAX_SOURCES);
        assert!(
            !gate.admit(now, "10.0.0.1".parse().unwrap(), 5),
            "the shared bucket is empty"
        );
        assert!(gate.admit(now + Duration::from_secs(2), "10.0.0.1".parse().unwrap(), 5));
    }
}
