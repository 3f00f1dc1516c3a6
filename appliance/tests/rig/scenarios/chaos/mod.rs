//! Six branches behind NAT and their headquarters go through a seeded schedule of faults while every branch rekeys or
//! reauthenticates within the minute; then everything heals. No direction may be dead at the end, and calm seconds must be answered.
//!
//! `CHAOS_SEEDS=1-10`, `CHAOS_IDENTITY=shared|distinct`, `CHAOS_MINUTES=4` and `CHAOS_GOAL=99.5` choose; `cargo xtask chaos` sets them and
//! prints a table.

mod branch;
mod centre;
mod diary;
mod plan;
mod score;

use std::time::{Duration, Instant, SystemTime};
use std::{fs, thread};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use self::branch::Sufferer;
use self::centre::Centre;
use self::diary::Disturbance;
use self::plan::{BRANCHES, Plan};
use self::score::{Direction, Score};
use super::{Scenario, scenario};
use crate::ping::{self, Ping};
use crate::rig::{Branch, HQ_LAN, Rig};
use crate::site::{BRANCH_ID, Site};

/// The seed that runs where none is chosen, and for how many minutes.
const SEEDS: &str = "1";
const MINUTES: &str = "2.5";
/// After the last fault a branch has this long to come back.
const HEAL: Duration = Duration::from_secs(75);
/// Calm seconds that must be answered, per cent, unless `CHAOS_GOAL` says otherwise: a guard for a machine on which other
/// scenarios run beside it. The goal itself is what `cargo xtask chaos` demands.
const GUARD: &str = "98";

/// What the branches call themselves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Identity {
    /// Each has its own name.
    Distinct,
    /// All are `test`, as in the case.
    Shared,
}

pub fn scenarios() -> Vec<Scenario> {
    let chosen = std::env::var("CHAOS_IDENTITY").unwrap_or_default();
    let seeds = seeds(&std::env::var("CHAOS_SEEDS").unwrap_or_else(|_| SEEDS.to_owned()));
    let mut all = Vec::new();
    for (name, identity) in [
        ("distinct", Identity::Distinct),
        ("shared", Identity::Shared),
    ] {
        for seed in seeds
            .clone()
            .filter(|_| chosen.is_empty() || chosen == name)
        {
            all.push(scenario(format!("chaos::{name}-{seed}"), move |rig| {
                chaos(rig, seed, identity)
            }));
        }
    }
    all
}

/// `7` or `1-10`.
fn seeds(text: &str) -> std::ops::RangeInclusive<u64> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    first.parse().unwrap_or(1)..=last.parse().unwrap_or(1)
}

fn chaos(rig: &Rig, seed: u64, identity: Identity) -> Result<()> {
    let minutes = std::env::var("CHAOS_MINUTES").unwrap_or_else(|_| MINUTES.to_owned());
    let length = Duration::from_secs_f64(60.0 * minutes.parse::<f64>().context("CHAOS_MINUTES")?);
    let plan = Plan::new(seed, length);
    let branches = branches(rig, &plan)?;
    let mut centre = Centre::start(rig, at_headquarters(&plan, identity))?;
    let [.., next_to_last, last] = &branches[..] else {
        bail!("too few branches");
    };
    let neighbour = |number: u8| (plan.neighbours && number == last.number).then_some(next_to_last);
    let mut sufferers = branches
        .iter()
        .zip(&plan.branches)
        .map(|(branch, plan)| {
            let site = site(identity, branch.number);
            Sufferer::start(rig, &site, branch, neighbour(branch.number), plan)
        })
        .collect::<Result<Vec<_>>>()?;
    for branch in &branches {
        ping::both_ways(
            (&branch.ns, &branch.lan),
            (&rig.hq, HQ_LAN),
            super::HANDSHAKE,
        )?;
    }
    let pings = branches
        .iter()
        .map(|branch| ping_both_ways(rig, branch))
        .collect::<Result<Vec<_>>>()?;
    let up = SystemTime::now();
    let disturbances = suffer(&mut centre, &plan, &mut sufferers)?;
    thread::sleep(HEAL);
    let end = SystemTime::now();
    let snapshot: Vec<String> = sufferers.iter().map(Sufferer::sas).collect();
    fs::write(rig.path().join("end.txt"), snapshot.join("\n"))
        .context("writing what there is at the end")?;
    centre.write_status()?;
    let mut directions = Vec::new();
    for ((pings, disturbances), branch) in pings.into_iter().zip(&disturbances).zip(&branches) {
        let silent = !branch.nat.has_mapping()?;
        for ping in pings {
            let route = ping.route().to_owned();
            let echoes = ping.stop_and_list()?;
            let heard = Direction::last_heard(&echoes, silent, end);
            if heard < end {
                println!(
                    "chaos: {route} is silent behind a NAT without a mapping, and judged to its last word"
                );
            }
            directions.push(Direction::judge(&route, &echoes, disturbances, up, heard));
        }
    }
    report(rig, seed, identity, &Score(directions))
}

/// Prints the line that `cargo xtask chaos` reads, and judges.
fn report(rig: &Rig, seed: u64, identity: Identity, score: &Score) -> Result<()> {
    let (stuck, answered) = (score.stuck(), score.answered());
    let line = format!(
        "chaos: {identity:?} seed {seed:2}: {stuck} of {} stuck, {answered:.2} % answered",
        score.0.len()
    );
    println!("{line}\n{score}");
    fs::write(rig.path().join("score.txt"), format!("{line}\n{score}"))
        .context("writing the score")?;
    let goal = std::env::var("CHAOS_GOAL").unwrap_or_else(|_| GUARD.to_owned());
    let goal: f64 = goal.parse().context("CHAOS_GOAL")?;
    ensure!(stuck == 0 && answered >= goal, "{line}");
    Ok(())
}

/// All behind NATs of their own, or the last two behind one.
fn branches(rig: &Rig, plan: &Plan) -> Result<Vec<Branch>> {
    let mut branches: Vec<Branch> = Vec::new();
    for number in 1..=BRANCHES {
        let branch = match branches.last() {
            Some(before) if plan.neighbours && number == BRANCHES => {
                rig.neighbour(before, number)?
            }
            _ => rig.branch(number)?,
        };
        branches.push(branch);
    }
    Ok(branches)
}

/// What the headquarters is set up for; `None`: the case's configuration.
fn at_headquarters(plan: &Plan, identity: Identity) -> Option<Site> {
    if identity == Identity::Shared && !plan.hq_rekeys {
        return None;
    }
    let mut site = Site {
        template: "dpd = { mode = \"on-demand\", interval = \"20s\" }\nrevive_weak_secret = true",
        branch_id: match identity {
            Identity::Distinct => "*.example".to_owned(),
            Identity::Shared => BRANCH_ID.to_owned(),
        },
        ..Site::default()
    };
    if plan.hq_rekeys {
        site.template = "dpd = { mode = \"on-demand\", interval = \"20s\" }\nrevive_weak_secret = true\n\
                         ike_lifetime = \"120s\"\nike_rekey_margin = \"80s\"";
        site.child = "lifetime = \"120s\"\nrekey_margin = \"80s\"";
    }
    Some(site)
}

fn site(identity: Identity, number: u8) -> Site {
    Site {
        branch_id: match identity {
            Identity::Distinct => format!("branch{number}.example"),
            Identity::Shared => BRANCH_ID.to_owned(),
        },
        ..Site::default()
    }
}

fn ping_both_ways(rig: &Rig, branch: &Branch) -> Result<[Ping; 2]> {
    let second = Duration::from_secs(1);
    Ok([
        Ping::start(&branch.ns, &branch.lan, HQ_LAN, second, rig.path())?,
        Ping::start(&rig.hq, HQ_LAN, &branch.lan, second, rig.path())?,
    ])
}

/// Everybody goes through the plan, all at the same time; what is returned is who was disturbed when, by branch.
fn suffer(
    centre: &mut Centre<'_>,
    plan: &Plan,
    sufferers: &mut [Sufferer<'_>],
) -> Result<Vec<Vec<Disturbance>>> {
    let start = Instant::now();
    let panicked = |_| anyhow!("a thread of the plan panicked");
    thread::scope(|scope| {
        let common = scope.spawn(|| centre.suffer(plan, start));
        let running: Vec<_> = sufferers
            .iter_mut()
            .map(|sufferer| scope.spawn(move || sufferer.suffer(start)))
            .collect();
        let branches = running.into_iter().map(|one| one.join().map_err(panicked)?);
        let mut branches = branches.collect::<Result<Vec<_>>>()?;
        let common = common.join().map_err(panicked)??;
        branches.iter_mut().for_each(|own| own.extend(&common));
        Ok(branches)
    })
}
