//! Seeds that failed once, each with its cause.

use hawser_sim::plan::Plan;
use hawser_sim::run::run;

fn is_clean(seed: u64, peers: u16, hours: f64) {
    let outcome = run(&Plan::new(seed, peers, hours), false);
    assert_eq!(outcome.failure, None, "seed {seed}");
}

/// Given up in the middle of a child rekey, a device was revived with two equal Child SAs: one for
/// the old pair, one for the new.
#[test]
fn a_pair_that_was_being_rekeyed_is_revived_once() {
    is_clean(4, 10, 1.0);
    is_clean(15, 10, 1.0);
}

/// While a device was being revived another identity came for its network and got it; then the
/// revival succeeded, and both had it.
#[test]
fn a_revived_device_yields_to_who_came_meanwhile() {
    is_clean(81, 10, 1.0);
    is_clean(187, 10, 1.0);
}
