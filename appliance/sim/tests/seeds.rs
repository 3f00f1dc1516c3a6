//! Whole runs: the same seed the same bytes, and clean seeds.

use hawser_sim::plan::Plan;
use hawser_sim::run::run;

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for seed in 0..3 {
        let plan = Plan::new(seed, 12, 0.5);
        let (first, second) = (run(&plan, true), run(&plan, true));
        for (a, b) in first.lines.iter().zip(&second.lines) {
            assert_eq!(a, b, "seed {seed}");
        }
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert!(first.datagrams > 1000, "a run that does something");
        let other = run(&Plan::new(seed + 100, 12, 0.5), false);
        assert_ne!(first.hash, other.hash);
    }
}

/// Without faults nothing is ever in disorder: rekeys and reauthentications of two hours.
#[test]
fn calm_seeds_are_clean() {
    for seed in 0..20 {
        let mut plan = Plan::new(seed, 20, 2.0);
        plan.faults.clear();
        let outcome = run(&plan, false);
        assert_eq!(outcome.failure, None, "seed {seed}");
    }
}

/// 200 seeds with faults: a minute after the heal every branch is usable, without an operator.
#[test]
fn seeds_with_faults_are_clean() {
    let failures: Vec<(u64, String)> = (0..200)
        .filter_map(|seed| Some((seed, run(&Plan::new(seed, 10, 1.0), false).failure?)))
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
}
