//! What the branches and the gateway have counted, and what should be.

use super::Options;
use super::board::{Board, Branch, State};
use super::figures::{Figures, listed};
use super::headquarters::Totals;
use super::summary::{Check, Summary};
use hawser_flight::{CloseCause, DropReason};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// A rebind is followed within this time of the branch's next packet.
const FOLLOW_WITHIN: Duration = Duration::from_secs(1);
/// A branch that is dead this long is noticed by DPD, as the demo's gateway has it set.
const DPD_WITHIN: Duration = Duration::from_secs(8);

/// What the branches have seen.
#[derive(Default)]
struct Total {
    figures: Figures,
    deaths: u32,
    drops: BTreeMap<&'static str, u64>,
}

/// Takes everything down and judges it.
pub(super) fn of(board: &Board, gateway: &Totals, options: &Options, length: Duration) -> Summary {
    let branches = board.snapshot();
    let whole = !options.keep && length >= options.length;
    let dead_for = options.length.mul_f64(0.45);
    let total = Total::of(&branches);
    let checks = checks(&total, &branches, gateway, whole, dead_for);
    let owned = |counts: &BTreeMap<&'static str, u64>| {
        let owned = counts.iter().map(|(name, n)| ((*name).to_owned(), *n));
        owned.collect()
    };
    Summary {
        lines: lines(&total, gateway),
        details: json!({
            "deaths": total.deaths,
            "drops": gateway.drops,
            "drops_by_branches": total.drops,
        }),
        figures: Figures {
            length,
            failures: owned(&gateway.failures),
            downs: owned(&gateway.downs),
            ..total.figures
        },
        checks,
    }
}

fn lines(total: &Total, gateway: &Totals) -> Vec<(&'static str, String)> {
    let esp = format!(
        "{} packets in, {} out, {} NAT keepalives",
        gateway.esp_in, gateway.esp_out, gateway.keepalives,
    );
    let drops = format!(
        "{}; by branches: {}",
        listed(&gateway.drops),
        listed(&total.drops)
    );
    vec![("ESP", esp), ("drops", drops)]
}

impl Total {
    fn of(branches: &[(u8, Branch)]) -> Self {
        let mut total = Self::default();
        for (_, branch) in branches {
            total.add(branch);
        }
        total
    }

    fn add(&mut self, branch: &Branch) {
        let figures = &mut self.figures;
        figures.branches += 1;
        figures.up += usize::from(branch.state == State::Up);
        figures.handshakes += branch.handshakes;
        figures.sent += branch.pings.sent;
        figures.answered += branch.pings.answered;
        figures.excused += branch.pings.excused;
        figures.lost += branch.pings.lost;
        figures.ike_rekeys += branch.ike_rekeys;
        figures.child_rekeys += branch.child_rekeys;
        figures.unfollowed += branch.unfollowed;
        figures.followed.extend(&branch.followed);
        self.deaths += branch.deaths;
        for (reason, count) in &branch.drops {
            *self.drops.entry(reason).or_default() += count;
        }
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
    let figures = &total.figures;
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
        figures.lost == 0,
        "no ping was lost that could have been answered",
    );
    let answered = figures.sent == figures.answered + figures.excused + figures.lost;
    check(
        figures.answered > 0 && answered,
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
    check(
        figures.up == branches.len(),
        "every branch is up at the end",
    );
    let quick = figures.unfollowed == 0 && figures.slowest() <= FOLLOW_WITHIN;
    check(
        quick && !figures.followed.is_empty(),
        "every rebind was followed within a second",
    );
    check(
        figures.ike_rekeys > 0 && figures.child_rekeys > 0,
        "IKE SAs and Child SAs were rekeyed",
    );
    if branches.len() > 2 {
        let again = branches.len() as u32 + total.deaths;
        check(
            total.deaths > 0 && figures.handshakes >= again,
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
