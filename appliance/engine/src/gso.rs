//! Whether trains of datagrams leave a socket as one (UDP GSO): probed at the start, given up when the way out refuses
//! them, and tried again after a while, for routes and devices change.

use std::time::{Duration, Instant};

/// How long trains are not tried after the first refusal; it doubles with each that follows.
const PAUSE: Duration = Duration::from_secs(30);
/// At most.
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);

/// Of one socket.
#[derive(Debug)]
pub(crate) struct Gso {
    /// Segments of the longest train; 1 where the kernel or the operator wants none.
    longest: usize,
    state: State,
    /// Told, and not yet asked for.
    changed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Taken,
    /// Until then every datagram leaves alone; then one train is tried.
    Refused {
        until: Instant,
        pause: Duration,
    },
}

impl Gso {
    pub(crate) fn new(longest: usize) -> Self {
        Self {
            longest,
            state: State::Taken,
            changed: false,
        }
    }

    /// Segments of the longest train now; the clock is asked only where trains were refused.
    pub(crate) fn segments(&self, now: impl FnOnce() -> Instant) -> usize {
        match self.state {
            State::Taken => self.longest,
            State::Refused { until, .. } if now() >= until => self.longest,
            State::Refused { .. } => 1,
        }
    }

    /// The way out refuses trains.
    pub(crate) fn refused(&mut self, now: Instant) {
        let pause = match self.state {
            State::Taken => PAUSE,
            State::Refused { pause, .. } => (2 * pause).min(LONGEST_PAUSE),
        };
        self.changed |= self.state == State::Taken;
        let until = now + pause;
        self.state = State::Refused { until, pause };
    }

    /// A train was taken.
    pub(crate) fn taken(&mut self) {
        self.changed |= self.state != State::Taken;
        self.state = State::Taken;
    }

    /// Whether trains are taken, if that has changed since this was last asked.
    pub(crate) fn changed(&mut self) -> Option<bool> {
        std::mem::take(&mut self.changed).then(|| !self.is_refused())
    }

    /// Whether the kernel has it, and it is wanted.
    pub(crate) fn is_known(&self) -> bool {
        self.longest > 1
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.state != State::Taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_trains_are_tried_again_and_both_is_told_once() {
        let (mut gso, begin) = (Gso::new(64), Instant::now());
        let segments = |gso: &Gso, s| gso.segments(|| begin + Duration::from_secs(s));
        assert_eq!((segments(&gso, 0), gso.changed()), (64, None));
        gso.refused(begin);
        assert_eq!((gso.changed(), gso.changed()), (Some(false), None));
        assert_eq!((segments(&gso, 29), segments(&gso, 30)), (1, 64));
        // Still refused: later again, and nothing new.
        gso.refused(begin + Duration::from_secs(30));
        assert_eq!(gso.changed(), None);
        assert_eq!((segments(&gso, 89), segments(&gso, 90)), (1, 64));
        gso.taken();
        assert_eq!((gso.changed(), segments(&gso, 0)), (Some(true), 64));
    }
}
