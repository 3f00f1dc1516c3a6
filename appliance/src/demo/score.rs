//! The figures of the demo, and what should be.

use super::Options;
use super::board::{Board, Branch, State};
use super::headquarters::Totals;
use super::summary::{Check, Summary};
use hawser_flight::{CloseCause, DropReason};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

/// A rebind is followed within this time of the branch's next packet.
const FOLLOW_WITHIN: Duration = Duration::from_secs(1);
/// A branch that is dead this long is noticed by DPD, as the demo's gateway has it set.
const DPD_WITHIN: Duration = Duration::from_secs(8);

/// What all branches together have seen.
#[derive(Default)]
struct Total {
    up: usize,
    handshakes: u32,
    sent: u64,
    answered: u64,
    excused: u64,
    lost: u64,
    ike_rekeys: u32,
    child_rekeys: u32,
    deaths: u32,
    unfollowed: u32,
    followed: Vec<Duration>,
    drops: BTreeMap<&'static str, u64>,
}

/// Takes everything down and judges it.
pub(super) fn of(board: &Board, gateway: &Totals, options: &Options, length: Duration) -> Summary {
    let branches = board.snapshot();
    let whole = !options.keep && length >= options.length;
    let dead_for = options.length.mul_f64(0.45);
    let total = Total::of(&branches);
    Summary {
        lines: lines(&total, branches.len(), gateway, length),
        figures: figures(&total, branches.len(), gateway, length),
        checks: checks(&total, &branches, gateway, whole, dead_for),
    }
}

fn figures(total: &Total, branches: usize, gateway: &Totals, length: Duration) -> Value {
    json!({
        "seconds": length.as_secs_f64(),
        "branches": branches,
        "up": total.up,
        "handshakes": total.handshakes,
        "pings": {
            "sent": total.sent, "answered": total.answered,
            "excused": total.excused, "lost": total.lost,
        },
        "rebinds": {
            "followed": total.followed.len(), "unfollowed": total.unfollowed,
            "slowest_ms": ms(total.slowest()), "median_ms": ms(total.median()),
        },
        "rekeys": { "ike": total.ike_rekeys, "child": total.child_rekeys },
        "deaths": total.deaths,
        "tunnels_down": gateway.downs,
        "failures": gateway.failures,
        "drops": gateway.drops,
        "drops_by_branches": total.drops,
    })
}

fn lines(
    total: &Total,
    branches: usize,
    gateway: &Totals,
    length: Duration,
) -> Vec<(&'static str, String)> {
    let branches = format!(
        "{} of {branches} up after {:.1} s",
        total.up,
        length.as_secs_f64()
    );
    let handshakes = format!(
        "{}, failed: {}",
        total.handshakes,
        listed(&gateway.failures)
    );
    let pings = format!(
        "{} sent, {} answered, {} while a NAT or a branch was gone, {} lost",
        total.sent, total.answered, total.excused, total.lost,
    );
    let rebinds = format!(
        "{} followed, {} not; time to follow: median {:.1} ms, slowest {:.1} ms",
        total.followed.len(),
        total.unfollowed,
        ms(total.median()),
        ms(total.slowest()),
    );
    let rekeys = format!(
        "{} IKE SAs, {} Child SAs",
        total.ike_rekeys, total.child_rekeys
    );
    let esp = format!(
        "{} packets in, {} out, {} NAT keepalives",
        gateway.esp_in, gateway.esp_out, gateway.keepalives,
    );
    let drops = format!(
        "{}; by branches: {}",
        listed(&gateway.drops),
        listed(&total.drops)
    );
    vec![
        ("branches", branches),
        ("handshakes", handshakes),
        ("pings", pings),
        ("rebinds", rebinds),
        ("rekeys", rekeys),
        ("ESP", esp),
        ("tunnels down", listed(&gateway.downs)),
        ("drops", drops),
    ]
}

impl Total {
    fn of(branches: &[(u8, Branch)]) -> Self {
        let mut total = Self::default();
        for (_, branch) in branches {
            total.up += usize::from(branch.state == State::Up);
            total.handshakes += branch.handshakes;
            total.sent += branch.pings.sent;
            total.answered += branch.pings.answered;
            total.excused += branch.pings.excused;
            total.lost += branch.pings.lost;
            total.ike_rekeys += branch.ike_rekeys;
            total.child_rekeys += branch.child_rekeys;
            total.deaths += branch.deaths;
            total.unfollowed += branch.unfollowed;
            total.followed.extend(&branch.followed);
            for (reason, count) in &branch.drops {
                *total.drops.entry(reason).or_default() += count;
            }
        }
        total.followed.sort_unstable();
        total
    }

    fn slowest(&self) -> Duration {
        self.followed.last().copied().unwrap_or_default()
    }

    fn median(&self) -> Duration {
        self.followed
            .get(self.followed.len() / 2)
            .copied()
            .unwrap_or_default()
    }
}

/// What should be. Of a demo that was interrupted less can be asked.
fn checks(
    total: &Total,
    branches: &[(u8, Branch)],
    gateway: &Totals,
    whole: bool,
    dead_for: Duration,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut check = |fine, what: &str| {
        checks.push(Check {
            what: what.to_owned(),
            fine,
        });
    };
    let failed = branches
        .iter()
        .any(|(_, b)| !b.handshake_failures.is_empty());
    check(
        gateway.failures.is_empty() && !failed,
        "no handshake failed",
    );
    check(
        total.lost == 0,
        "no ping was lost that could have been answered",
    );
    let answered = total.sent == total.answered + total.excused + total.lost;
    check(
        total.answered > 0 && answered,
        "every ping is accounted for",
    );
    let suspicious = SUSPICIOUS
        .iter()
        .any(|r| gateway.drops.contains_key(r.label()));
    check(
        !suspicious,
        "no packet was forged, replayed or out of its selectors",
    );
    if !whole {
        return checks;
    }
    check(total.up == branches.len(), "every branch is up at the end");
    let quick = total.unfollowed == 0 && total.slowest() <= FOLLOW_WITHIN;
    check(
        quick && !total.followed.is_empty(),
        "every rebind was followed within a second",
    );
    check(
        total.ike_rekeys > 0 && total.child_rekeys > 0,
        "IKE SAs and Child SAs were rekeyed",
    );
    if branches.len() > 2 {
        let again = branches.len() as u32 + total.deaths;
        check(
            total.deaths > 0 && total.handshakes >= again,
            "a branch that died came back",
        );
    }
    if branches.len() > 2 && dead_for >= DPD_WITHIN {
        let by_dpd = gateway.downs.contains_key(CloseCause::DpdTimeout.label());
        check(by_dpd, "its death was noticed by DPD");
    }
    checks
}

/// Drops that no honest network causes.
const SUSPICIOUS: [DropReason; 4] = [
    DropReason::IntegrityFailed,
    DropReason::Replayed,
    DropReason::Malformed,
    DropReason::SelectorMismatch,
];

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

    fn fine() -> Vec<(u8, Branch)> {
        let mut branch = Branch {
            state: State::Up,
            handshakes: 2,
            deaths: 1,
            ..Branch::default()
        };
        (branch.ike_rekeys, branch.child_rekeys) = (1, 1);
        (branch.pings.sent, branch.pings.answered) = (9, 9);
        branch.followed.push(Duration::from_millis(3));
        (1..=3).map(|n| (n, branch.clone())).collect()
    }

    fn is_fine(branches: &[(u8, Branch)], gateway: &Totals) -> bool {
        let total = Total::of(branches);
        checks(&total, branches, gateway, true, Duration::from_secs(9))
            .iter()
            .all(|c| c.fine)
    }

    #[test]
    fn a_lost_ping_a_slow_rebind_or_a_forged_packet_is_not_fine() {
        let mut gateway = Totals::default();
        assert!(!is_fine(&fine(), &gateway), "nobody noticed the death");
        gateway.downs.insert(CloseCause::DpdTimeout.label(), 1);
        assert!(is_fine(&fine(), &gateway));
        let mut lost = fine();
        lost[0].1.pings.lost = 1;
        assert!(!is_fine(&lost, &gateway));
        let mut slow = fine();
        slow[0].1.followed.push(Duration::from_secs(2));
        assert!(!is_fine(&slow, &gateway));
        gateway
            .drops
            .insert(DropReason::SelectorMismatch.label(), 1);
        assert!(!is_fine(&fine(), &gateway));
    }
}
