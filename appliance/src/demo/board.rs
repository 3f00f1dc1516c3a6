//! What the branches have seen: written by them, read by the screen and the summary.

use super::policy;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a branch is, as itself sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum State {
    /// It has no Child SA yet.
    #[default]
    Connecting,
    /// It has one.
    Up,
    /// Its NAT lets nothing through.
    Dark,
    /// It was switched off.
    Dead,
}

/// What one branch has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Branch {
    pub(super) state: State,
    /// Port of its NAT's mapping.
    pub(super) port: Option<u16>,
    /// IKE SAs established by a handshake.
    pub(super) handshakes: u32,
    pub(super) handshake_failures: Vec<String>,
    pub(super) ike_rekeys: u32,
    pub(super) child_rekeys: u32,
    pub(super) pings: Pings,
    /// How long the gateway took to follow, rebind by rebind: from the first packet out to the
    /// first ESP packet back.
    pub(super) followed: Vec<Duration>,
    /// Rebinds that the gateway has not followed yet.
    pub(super) unfollowed: u32,
    /// Packets that this life of it dropped, by reason.
    pub(super) drops: BTreeMap<&'static str, u64>,
    /// Times it was switched off.
    pub(super) deaths: u32,
}

impl Branch {
    /// It was switched off.
    pub(super) fn die(&mut self) {
        (self.state, self.port) = (State::Dead, None);
        self.deaths += 1;
    }
}

/// What became of the pings of one branch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pings {
    pub(super) sent: u64,
    pub(super) answered: u64,
    /// Sent into a NAT that had gone dark, or on its way when the mapping or the branch went.
    pub(super) excused: u64,
    /// Lost without an excuse.
    pub(super) lost: u64,
    /// The last round trip.
    pub(super) rtt: Duration,
}

/// All branches.
#[derive(Debug)]
pub(super) struct Board {
    branches: Vec<Mutex<Branch>>,
    pinging: AtomicBool,
}

impl Board {
    /// A board for branches 1 to `count`.
    pub(super) fn new(count: u8) -> Self {
        let branches = (0..count).map(|_| Mutex::default()).collect();
        Self {
            branches,
            pinging: AtomicBool::new(true),
        }
    }

    /// The place of a branch.
    pub(super) fn branch(&self, number: u8) -> MutexGuard<'_, Branch> {
        let place = &self.branches[usize::from(number) - 1];
        place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything as it is now, with the branches' numbers.
    pub(super) fn snapshot(&self) -> Vec<(u8, Branch)> {
        (1..=self.branches.len() as u8)
            .map(|n| (n, self.branch(n).clone()))
            .collect()
    }

    /// No more pings: those on their way may still be answered.
    pub(super) fn stop_pings(&self) {
        self.pinging.store(false, Ordering::Relaxed);
    }

    /// Whether to ping.
    pub(super) fn is_pinging(&self) -> bool {
        self.pinging.load(Ordering::Relaxed)
    }
}

/// How a branch is called on the screen.
pub(super) fn name(number: u8) -> String {
    format!(
        "b{number:02}{}",
        if policy::is_of_the_case(number) {
            '*'
        } else {
            ' '
        }
    )
}
