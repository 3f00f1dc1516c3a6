//! What is known of a branch from outside: the only evidence that counts.

use std::time::{Duration, Instant};

/// Of one branch.
#[derive(Clone, Copy, Debug)]
pub struct Ledger {
    /// When headquarters' host was last answered.
    pub answered: Instant,
    /// When the branch was last answered.
    pub heard: Instant,
    /// When something of the branch first reached headquarters since everything healed.
    pub reached: Option<Instant>,
    /// When the branch last sent anything.
    pub sent: Instant,
    /// Questions of headquarters' host in calm, and those answered.
    pub calm: (u32, u32),
    healed: Instant,
    asked: Option<Instant>,
}

/// How long after the end of faults seconds are calm.
const CALM_FROM: Duration = Duration::from_secs(60);
/// And until when: the next faults are to come.
const CALM_TO: Duration = Duration::from_secs(420);

impl Ledger {
    /// Nothing yet.
    pub fn new(now: Instant) -> Self {
        Self {
            answered: now,
            heard: now,
            reached: None,
            sent: now,
            calm: (0, 0),
            healed: now,
            asked: None,
        }
    }

    fn is_calm(&self, at: Instant) -> bool {
        let since = at.saturating_duration_since(self.healed);
        since >= CALM_FROM && since < CALM_TO
    }

    /// Headquarters' host has asked.
    pub fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
        self.calm.0 += u32::from(self.is_calm(now));
    }

    /// It was answered.
    pub fn answered(&mut self, now: Instant) {
        self.answered = now;
        let asked = self.asked.take();
        self.calm.1 += u32::from(asked.is_some_and(|at| self.is_calm(at)));
    }

    /// Everything heals.
    pub fn healed(&mut self, now: Instant) {
        self.healed = now;
        self.reached = None;
    }
}
