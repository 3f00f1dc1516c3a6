//! One run from its plan to its verdict.

use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::world::World;

/// How a run went.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// What went wrong, with the second of the run.
    pub failure: Option<String>,
    /// Hash of everything that happened.
    pub hash: u64,
    /// Datagrams sent.
    pub datagrams: u64,
    /// Questions of headquarters' host in calm, and answers.
    pub calm: (u64, u64),
    /// The lines of the trace, where they were wanted.
    pub lines: Vec<String>,
}

/// Runs a plan to its end or to the first failure.
pub fn run(plan: &Plan, verbose: bool) -> Outcome {
    run_watching(plan, verbose, &[])
}

/// The same, with the IKE messages of some branches among the lines.
pub fn run_watching(plan: &Plan, verbose: bool, watched: &[usize]) -> Outcome {
    finish(begin(plan, verbose, watched)).0
}

/// The same, with everything kept that `hawser plugin test` plays; to be asked, a DPD policy has to
/// be there, so the run is another one than [`run_watching`]'s.
pub fn run_and_keep(plan: &Plan, verbose: bool, watched: &[usize]) -> (Outcome, Option<Scenario>) {
    let mut world = begin(plan, verbose, watched);
    world.gateway.keep_scenario(world.now);
    finish(world)
}

fn begin(plan: &Plan, verbose: bool, watched: &[usize]) -> World {
    let mut world = World::new(plan.clone(), verbose);
    watched.iter().for_each(|at| world.watch(*at));
    world
}

fn finish(mut world: World) -> (Outcome, Option<Scenario>) {
    let end = world.start + world.plan.length();
    world.run_until(end);
    if world.failure.is_none() {
        world.shut_down();
    }
    world.tell_calm();
    let calm = world.ledger.iter().fold((0, 0), |(asked, answered), l| {
        (asked + u64::from(l.calm.0), answered + u64::from(l.calm.1))
    });
    let outcome = Outcome {
        failure: world.failure.take(),
        hash: world.trace.hash(),
        datagrams: world.trace.datagrams(),
        calm,
        lines: world.trace.lines().to_vec(),
    };
    (outcome, world.gateway.scenario.take())
}
