//! The clock of plugins: milliseconds since shortly before the engine started.

use std::time::{Duration, Instant};

/// Where it starts.
#[derive(Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn at(start: Instant) -> Self {
        Self(start)
    }

    /// At least 1: 0 would say never.
    pub(super) fn ms(self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.0).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// A time that a plugin names; one beyond all measure is a year away.
    pub(super) fn instant(self, ms: u64) -> Instant {
        let most = Duration::from_secs(366 * 86_400);
        let since = Duration::from_millis(ms.saturating_sub(1));
        self.0
            .checked_add(since)
            .unwrap_or_else(|| Instant::now() + most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_and_never_are_0() {
        let clock = Clock::at(Instant::now());
        let before = clock.0.checked_sub(Duration::from_secs(9));
        assert_eq!(before.map(|at| clock.ms(at)), Some(1));
        let later = clock.0 + Duration::from_millis(12_345);
        assert_eq!(clock.instant(clock.ms(later)), later);
        assert!(clock.instant(u64::MAX) > later);
    }
}
