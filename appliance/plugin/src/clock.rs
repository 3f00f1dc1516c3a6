//! Ends calls that take too long, without a system call for those that do not.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::UpdateDeadline;

use crate::engine::TICK;

/// A call that waits for a core longer than this many times its deadline ends too.
pub(crate) const WALL: u32 = 10;

/// The deadline of one call, in processor time of the thread.
///
/// The first half is measured in epochs, which costs nothing. A call still running then is
/// measured by its thread's processor time, so that a plugin does not pay for a machine
/// that is busy elsewhere: only what it used itself counts.
#[derive(Debug)]
pub(crate) struct CallClock {
    budget: Duration,
    half_time: Option<Duration>,
    ticks: u64,
}

impl CallClock {
    pub(crate) fn new() -> Self {
        Self {
            budget: Duration::ZERO,
            half_time: None,
            ticks: 0,
        }
    }

    /// Arms it for an entry; the result is the epoch deadline to set.
    pub(crate) fn arm(&mut self, budget: Duration) -> u64 {
        self.budget = budget;
        self.half_time = None;
        self.ticks = ticks(budget / 2) + 1;
        self.ticks
    }

    /// What it is armed with.
    pub(crate) fn budget(&self) -> Duration {
        self.budget
    }

    /// The epoch deadline has passed.
    pub(crate) fn expired(&mut self) -> UpdateDeadline {
        let now = thread_time();
        let half = self.budget / 2;
        let begun = *self.half_time.get_or_insert(now);
        let left = half.saturating_sub(now.saturating_sub(begun));
        if left < TICK / 4 || self.ticks > ticks(self.budget * WALL) {
            return UpdateDeadline::Interrupt;
        }
        let more = ticks(left);
        self.ticks += more;
        UpdateDeadline::Continue(more)
    }
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(TICK.as_nanos()))
        .unwrap_or(u64::MAX)
        .max(1)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_by_ticks_and_half_by_processor_time() {
        let mut clock = CallClock::new();
        assert_eq!(clock.arm(Duration::from_millis(5)), 4);
        assert!(matches!(clock.expired(), UpdateDeadline::Continue(3)));
        // Nothing was used meanwhile, as if the thread had waited for a core.
        assert!(matches!(clock.expired(), UpdateDeadline::Continue(_)));
        let start = thread_time();
        while thread_time() - start < Duration::from_millis(3) {}
        assert!(matches!(clock.expired(), UpdateDeadline::Interrupt));
    }

    #[test]
    fn wall_time_is_bounded_too() {
        let mut clock = CallClock::new();
        clock.arm(Duration::from_millis(5));
        let rounds = (0..100)
            .take_while(|_| matches!(clock.expired(), UpdateDeadline::Continue(_)))
            .count();
        assert!((10..=50).contains(&rounds), "{rounds}");
    }
}
