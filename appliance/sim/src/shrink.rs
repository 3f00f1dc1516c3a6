//! The smallest part of a plan that still fails.

use crate::plan::Plan;
use crate::run::{Outcome, run};

/// Leaves out branches, faults and rounds as long as it still fails in the same way. `None`: it
/// does not fail.
pub fn shrink(plan: Plan) -> Option<(Plan, Outcome)> {
    let outcome = run(&plan, false);
    outcome.failure.as_ref()?;
    let mut smallest = Smallest { plan, outcome };
    loop {
        let before = smallest.size();
        smallest.end_early();
        smallest.drop_faults();
        smallest.drop_branches();
        if smallest.size() == before {
            return Some((smallest.plan, smallest.outcome));
        }
    }
}

struct Smallest {
    plan: Plan,
    outcome: Outcome,
}

impl Smallest {
    fn size(&self) -> (u32, usize, usize) {
        let present = self.plan.seats.iter().filter(|s| s.present).count();
        (self.plan.rounds, self.plan.faults.len(), present)
    }

    fn try_plan(&mut self, plan: Plan) -> bool {
        let outcome = run(&plan, false);
        let fails = way(&outcome) == way(&self.outcome);
        if fails {
            (self.plan, self.outcome) = (plan, outcome);
        }
        fails
    }

    fn end_early(&mut self) {
        while self.plan.rounds > 1 {
            let mut plan = self.plan.clone();
            plan.rounds -= 1;
            let length = plan.length();
            plan.faults.retain(|f| f.at < length);
            if !self.try_plan(plan) {
                return;
            }
        }
    }

    /// Halves first, then quarters, and so on to single ones.
    fn drop_faults(&mut self) {
        let mut chunk = self.plan.faults.len().div_ceil(2);
        while chunk > 0 {
            let mut from = 0;
            while from < self.plan.faults.len() {
                let mut plan = self.plan.clone();
                let to = (from + chunk).min(plan.faults.len());
                plan.faults.drain(from..to);
                if !self.try_plan(plan) {
                    from += chunk;
                }
            }
            chunk /= 2;
        }
    }

    fn drop_branches(&mut self) {
        let mut chunk = self.plan.seats.len().div_ceil(2);
        while chunk > 0 {
            let seats = self.plan.seats.len();
            for from in (0..seats).step_by(chunk) {
                let mut plan = self.plan.clone();
                let some = &mut plan.seats[from..(from + chunk).min(seats)];
                if some.iter().any(|s| s.present) {
                    some.iter_mut().for_each(|s| s.present = false);
                    self.try_plan(plan);
                }
            }
            chunk /= 2;
        }
    }
}

/// In which way it fails: what is said of it, without who and when.
fn way(outcome: &Outcome) -> Option<String> {
    let failure = outcome.failure.as_ref()?;
    Some(failure.chars().filter(|c| !c.is_ascii_digit()).collect())
}
