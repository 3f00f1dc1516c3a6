//! Each verdict provoked twenty times, with the timing of a seed: at least nineteen are right, and none is
//! wrong and sure of itself.

use hawser_flight::verdict::{Confidence, Finding, Verdict};
use hawser_policy::Uniqueness;
use hawser_shard::io::{Command, RekeyWhat, Reply};
use hawser_sim::branch::Act;
use hawser_sim::drops;
use hawser_sim::fault::{Fault, What, Whom};
use hawser_sim::habits::{Habits, Reauthentication, Return};
use hawser_sim::plan::Plan;
use hawser_sim::world::{Side, Tamper, World};
use libtest_mimic::{Arguments, Failed, Trial};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// Runs of each.
const RUNS: u64 = 20;
/// Runs of each that may be judged otherwise.
const OTHERWISE: usize = 1;

const SECOND: Duration = Duration::from_secs(1);

/// A verdict, and what leads to it.
type Provocation = (Verdict, fn(&mut Story));

const PROVOCATIONS: &[Provocation] = &[
    (Verdict::LocalOverload, stalled),
    (Verdict::MassEvent, cut_off_together),
    (Verdict::StaleSaAfterReauth, left_behind),
    (Verdict::ReauthRekeyCollision, the_case),
    (Verdict::SharedIdentity, twins),
    (Verdict::PeerDeleted, says_goodbye),
    (Verdict::Replaced, replaced),
    (Verdict::Admin, reset),
    (Verdict::ExpiredNoRekey, never_rekeyed),
    (Verdict::NatRebind, rebound),
    (Verdict::NatTimeout, forgotten_by_its_nat),
    (Verdict::EspOneWay, esp_blocked),
    (Verdict::DpdSilent, without_power),
    (Verdict::Unknown, forgetful),
];

fn main() {
    let trials = PROVOCATIONS.iter().map(|(verdict, provoke)| {
        Trial::test(verdict.label(), move || twenty_times(*verdict, *provoke))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn twenty_times(verdict: Verdict, provoke: fn(&mut Story)) -> Result<(), Failed> {
    let mut wrong = Vec::new();
    for seed in 0..RUNS {
        let mut story = Story::new(seed);
        provoke(&mut story);
        let Some(found) = story.findings().into_iter().next() else {
            return Err(format!("seed {seed}: nothing dropped\n{}", story.told()).into());
        };
        if found.verdict == verdict {
            continue;
        }
        let told = format!("seed {seed}: {found:#?}\n{}", story.told());
        if found.confidence == Confidence::High {
            return Err(told.into());
        }
        wrong.push(told);
    }
    println!(
        "{:<24} {} of {RUNS}",
        verdict.label(),
        RUNS as usize - wrong.len()
    );
    match wrong.len() {
        0..=OTHERWISE => Ok(()),
        _ => Err(wrong.join("\n").into()),
    }
}

/// A run with a timing of its own.
struct Story {
    seed: u64,
    rng: ChaCha8Rng,
    world: Option<World>,
}

impl Story {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            rng: ChaCha8Rng::seed_from_u64(seed),
            world: None,
        }
    }

    /// Branches of these habits have come up, and a while has passed.
    fn with(&mut self, habits: &[Habits]) -> &mut World {
        self.of(Plan::quiet(self.seed, habits))
    }

    fn of(&mut self, plan: Plan) -> &mut World {
        let while_up = self.between(30, 300);
        let world = self.world.insert(World::new(plan, true));
        world.drops.keep();
        world.run(while_up);
        world
    }

    /// A time in seconds, by the millisecond.
    fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(least * 1000..most * 1000))
    }

    /// The verdicts on what dropped; where nothing did, on what does not work.
    fn findings(&mut self) -> Vec<Finding> {
        let Some(world) = &mut self.world else {
            return Vec::new();
        };
        let dropped: Vec<Finding> = world
            .drops
            .judged()
            .into_iter()
            .map(|d| d.finding)
            .collect();
        if !dropped.is_empty() {
            return dropped;
        }
        let views = world.gateway.show(world.now);
        let replies = views
            .iter()
            .flat_map(|v| world.command(&Command::Recall(v.line.device)));
        let living = replies.filter_map(|reply| match reply {
            Reply::Recall(recall) => drops::living(&recall),
            _ => None,
        });
        living.collect()
    }

    fn told(&self) -> String {
        let lines = self
            .world
            .as_ref()
            .map(|w| w.trace.lines())
            .unwrap_or_default();
        let last = lines.len().saturating_sub(60);
        format!("  {}", lines[last..].join("\n  "))
    }
}

fn passive() -> Habits {
    Habits {
        returns: Return::Passive,
        ..Habits::strongswan()
    }
}

/// Headquarters' processor is away for seconds, again and again, and nothing fits into the socket
/// meanwhile.
fn stalled(story: &mut Story) {
    let lasts = story.between(5, 9);
    let world = story.with(&[passive()]);
    world.strike(What::Mute(Whom::All), 120 * SECOND);
    let end = world.now + 120 * SECOND;
    while world.now < end {
        world.ask(0, false);
        world.strike(What::Stall, lasts);
        world.run(lasts + SECOND);
    }
}

/// The uplink goes, and a dozen branches with it.
fn cut_off_together(story: &mut Story) {
    let habits = Habits {
        talks_every: Some(5 * SECOND),
        ..Habits::strongswan()
    };
    let world = story.with(&[habits; 12]);
    let asked: Vec<u64> = world
        .gateway
        .show(world.now)
        .iter()
        .map(|v| v.line.device.0)
        .collect();
    assert_eq!(asked.len(), 12);
    world.strike(What::Partition(Whom::All), 90 * SECOND);
    for _ in 0..60 {
        for at in 0..12 {
            world.ask(at, false);
        }
        world.run(SECOND);
    }
}

/// The case: headquarters rekeys in the second in which the reauthentication is due.
fn the_case(story: &mut Story) {
    let (age, early) = (story.between(900, 3600), story.between(1, 10) / 11);
    let world = story.with(&[Habits::of_the_case(age)]);
    // It has reauthenticated before, so its cycle is known.
    world.with_branch(0, |branch, now| branch.act(now, Act::ReauthenticateIn(age)));
    world.run(age + 20 * SECOND);
    world.with_branch(0, |branch, now| {
        branch.act(now, Act::ReauthenticateIn(age - 20 * SECOND));
    });
    world.run(age - 20 * SECOND - early);
    world.drops.keep();
    rekey(world, RekeyWhat::Ike);
    world.run(200 * SECOND);
}

fn rekey(world: &mut World, what: RekeyWhat) {
    let device = world.gateway.show(world.now)[0].line.device;
    world.command(&Command::Rekey(device, what));
}

/// Two branches of one name, and an identity may be one device only, or both have one network.
fn twins(story: &mut Story) {
    // Who is refused comes again at once; who was replaced notices it by his own DPD.
    let (uniqueness, one_network, lasts) = match story.seed % 2 {
        0 => (Uniqueness::Device, true, 60),
        _ => (Uniqueness::Replace, false, 1200),
    };
    let plan = two_of_one_name(story, uniqueness, one_network);
    story.of(plan).run(lasts * SECOND);
}

/// Headquarters calls it back over a slow line, and meanwhile another identity takes its network: it has
/// to yield.
fn replaced(story: &mut Story) {
    let mut plan = Plan::quiet(story.seed, &[passive(); 2]);
    plan.seats[0].latency = SECOND;
    plan.seats[1].plan.identity = "other".to_owned();
    plan.seats[1].plan.lan = plan.seats[0].plan.lan;
    let (leaves, later) = (story.between(30, 90), story.between(20, 50) / 10);
    plan.faults.push(Fault {
        at: Duration::ZERO,
        lasts: leaves + later,
        what: What::Crash(1),
    });
    let world = story.world.insert(World::new(plan, true));
    world.run(leaves);
    world.with_branch(0, |branch, now| branch.act(now, Act::DeleteIke));
    world.run(2 * SECOND);
    world.drops.keep();
    world.run(20 * SECOND);
}

fn two_of_one_name(story: &Story, uniqueness: Uniqueness, one_network: bool) -> Plan {
    let mut plan = Plan::quiet(story.seed, &[Habits::strongswan(), Habits::strongswan()]);
    plan.headquarters.uniqueness = uniqueness;
    if one_network {
        plan.seats[1].plan.lan = plan.seats[0].plan.lan;
    }
    plan
}

fn says_goodbye(story: &mut Story) {
    let world = story.with(&[passive()]);
    world.with_branch(0, |branch, now| branch.act(now, Act::DeleteIke));
    world.run(5 * SECOND);
}

fn reset(story: &mut Story) {
    let world = story.with(&[passive()]);
    let device = world.gateway.show(world.now)[0].line.device;
    world.command(&Command::Reset(device));
    world.run(5 * SECOND);
}

/// Neither side's rekey succeeds: key exchanges are never done.
fn never_rekeyed(story: &mut Story) {
    let mut plan = Plan::quiet(
        story.seed,
        &[Habits {
            ike_life: None,
            ..passive()
        }],
    );
    plan.headquarters.ike_life = story.between(900, 2000);
    let life = plan.headquarters.ike_life;
    let world = story.of(plan);
    world.strike(What::LostWork(1.0), life);
    world.run(life + 60 * SECOND);
}

/// The NAT gives it another port in the middle of a talk that headquarters leads: it hears nothing
/// any more, and says nothing until it has something to say.
fn rebound(story: &mut Story) {
    let quiet = Habits {
        talks_every: None,
        dpd: Some(60 * SECOND),
        ..Habits::strongswan()
    };
    let talk = story.between(1, 20);
    let world = story.with(&[quiet]);
    let end = world.now + talk;
    while world.now < end {
        world.ask(0, false);
        world.run(SECOND);
    }
    world.strike(What::Rebind(0), SECOND);
    for _ in 0..120 {
        world.ask(0, false);
        world.run(SECOND);
    }
}

/// Nobody says anything for so long that the NAT forgets it, and then headquarters does.
fn forgotten_by_its_nat(story: &mut Story) {
    let quiet = Habits {
        talks_every: None,
        dpd: None,
        ..Habits::strongswan()
    };
    let pause = story.between(200, 500);
    let mut plan = Plan::quiet(story.seed, &[quiet]);
    plan.nats[0].kind.lifetime = 100 * SECOND;
    let world = story.of(plan);
    world.strike(What::ShortMappings(0, 15 * SECOND), 2000 * SECOND);
    world.run(pause);
    for _ in 0..60 {
        world.ask(0, false);
        world.run(SECOND);
    }
    // Somebody there sends again.
    world.talk(0);
    world.run(20 * SECOND);
}

/// A firewall lets IKE pass and no ESP.
fn esp_blocked(story: &mut Story) {
    let mut plan = Plan::quiet(story.seed, &[passive()]);
    plan.faults.push(Fault {
        at: Duration::ZERO,
        lasts: 3600 * SECOND,
        what: What::EspLost(Whom::All),
    });
    let asked = story.between(30, 90);
    let world = story.of(plan);
    let end = world.now + asked;
    while world.now < end {
        world.ask(0, false);
        world.run(SECOND);
    }
}

/// Its own fault: it rekeys the IKE SA, and forgets the Child SAs at that.
fn forgetful(story: &mut Story) {
    let habits = Habits {
        forgets_children: true,
        ..passive()
    };
    let wait = story.between(1, 100);
    let world = story.with(&[habits]);
    world.with_branch(0, |branch, now| branch.act(now, Act::RekeyIke));
    world.run(wait);
    rekey(world, RekeyWhat::Children);
    world.run(SECOND);
}

/// It authenticates anew and gives up the new Child SA, while its DELETE of the old IKE SA is lost and
/// has to be sent again.
fn left_behind(story: &mut Story) {
    let habits = Habits {
        reauthentication: Some((Reauthentication::MakeBeforeBreak, 86_400 * SECOND)),
        ..passive()
    };
    let wait = story.between(1, 30) / 10;
    let world = story.with(&[habits]);
    world.tampers.push(Tamper {
        from: Side::Branch,
        skip: 2,
        delay: None,
    });
    world.with_branch(0, |branch, now| branch.act(now, Act::Reauthenticate));
    world.run(wait);
    world.with_branch(0, |branch, now| branch.act(now, Act::DeleteChild));
    world.run(60 * SECOND);
}

fn without_power(story: &mut Story) {
    let world = story.with(&[Habits::strongswan()]);
    world.strike(What::Crash(0), 300 * SECOND);
    for _ in 0..100 {
        world.ask(0, false);
        world.run(SECOND);
    }
}
