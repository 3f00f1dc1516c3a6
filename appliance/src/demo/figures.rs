//! What the demos count.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

/// What all branches together have seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// How long it took.
    pub(super) length: Duration,
    pub(super) branches: usize,
    /// Those that are up at the end.
    pub(super) up: usize,
    pub(super) handshakes: u32,
    /// Pings.
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) excused: u64,
    pub(super) lost: u64,
    pub(super) ike_rekeys: u32,
    pub(super) child_rekeys: u32,
    /// Rebinds: the times from the branch's packet to its answer, and those that had none.
    pub(super) followed: Vec<Duration>,
    pub(super) unfollowed: u32,
    /// Handshakes that failed, by reason.
    pub(super) failures: BTreeMap<String, u64>,
    /// Tunnels that went down, by cause.
    pub(super) downs: BTreeMap<String, u64>,
}

impl Figures {
    /// For people: a name and what there is to say.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let branches = format!(
            "{} of {} up after {:.1} s",
            self.up,
            self.branches,
            self.length.as_secs_f64()
        );
        let handshakes = format!("{}, failed: {}", self.handshakes, listed(&self.failures));
        let pings = format!(
            "{} sent, {} answered, {} while a NAT or a branch was gone, {} lost",
            self.sent, self.answered, self.excused, self.lost,
        );
        let rebinds = format!(
            "{} followed, {} not; time to follow: median {:.1} ms, slowest {:.1} ms",
            self.followed.len(),
            self.unfollowed,
            ms(self.median()),
            ms(self.slowest()),
        );
        let rekeys = format!(
            "{} IKE SAs, {} Child SAs",
            self.ike_rekeys, self.child_rekeys
        );
        vec![
            ("branches", branches),
            ("handshakes", handshakes),
            ("pings", pings),
            ("rebinds", rebinds),
            ("rekeys", rekeys),
            ("tunnels down", listed(&self.downs)),
        ]
    }

    /// The same for programs.
    pub(super) fn document(&self) -> Value {
        json!({
            "seconds": self.length.as_secs_f64(),
            "branches": self.branches,
            "up": self.up,
            "handshakes": self.handshakes,
            "pings": {
                "sent": self.sent, "answered": self.answered,
                "excused": self.excused, "lost": self.lost,
            },
            "rebinds": {
                "followed": self.followed.len(), "unfollowed": self.unfollowed,
                "slowest_ms": ms(self.slowest()), "median_ms": ms(self.median()),
            },
            "rekeys": { "ike": self.ike_rekeys, "child": self.child_rekeys },
            "tunnels_down": self.downs,
            "failures": self.failures,
        })
    }

    /// The slowest rebind that was followed.
    pub(super) fn slowest(&self) -> Duration {
        self.followed.iter().max().copied().unwrap_or_default()
    }

    fn median(&self) -> Duration {
        let mut sorted = self.followed.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

/// Counts by name, in words.
pub(super) fn listed(counts: &BTreeMap<impl Display, u64>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(reason, n)| format!("{reason} {n}"))
        .collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}

/// Milliseconds.
pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rebinds_are_summed_up_in_any_order() {
        let figures = Figures {
            followed: [5, 1, 3].map(Duration::from_millis).into(),
            ..Figures::default()
        };
        assert_eq!(figures.document()["rebinds"]["median_ms"], 3.0);
        assert_eq!(figures.document()["rebinds"]["slowest_ms"], 5.0);
        let rebinds = "3 followed, 0 not; time to follow: median 3.0 ms, slowest 5.0 ms";
        assert!(figures.lines().iter().any(|(_, text)| text == rebinds));
    }
}
