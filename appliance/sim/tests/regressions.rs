//! Seeds that failed once, each with its cause.

use hawser_sim::plan::Plan;
use hawser_sim::run::run;

/// The seed does not fail in this way any more.
fn never(seed: u64, way: &str) {
    let failure = run(&Plan::new(seed, 10, 1.0), false).failure;
    let same = failure.as_ref().is_some_and(|f| f.contains(way));
    assert!(!same, "seed {seed}: {failure:?}");
}

/// Given up in the middle of a child rekey, a device was revived with two equal Child SAs: one for
/// the old pair, one for the new.
#[test]
fn a_pair_that_was_being_rekeyed_is_revived_once() {
    never(4, "Child SAs");
    never(15, "Child SAs");
}

/// While a device was being revived another identity came for its network and got it; then the
/// revival succeeded, and both had it.
#[test]
fn a_revived_device_yields_to_who_came_meanwhile() {
    never(81, "at once");
    never(187, "at once");
}
