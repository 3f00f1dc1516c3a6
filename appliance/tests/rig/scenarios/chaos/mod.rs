//! Six branches behind NAT go through a seeded schedule of faults while every one of them rekeys or reauthenticates within
//! the minute; then everything heals. No direction may be dead at the end, and calm seconds must be answered.
//!
//! `CHAOS_SEEDS=1-10`, `CHAOS_IDENTITY=shared|distinct`, `CHAOS_MINUTES=4` and `CHAOS_GOAL=99.5` choose; `cargo xtask chaos` sets them and
//! prints a table.

mod branch;
mod plan;
mod score;

use std::time::{Duration, Instant, SystemTime};
use std::{fs, thread};

use anyhow::{Context as _, Result, bail, ensure};

use self::branch::{Disturbance, Sufferer};
use self::plan::{BRANCHES, Plan};
use self::score::{Direction, Score};
use super::{Scenario, scenario};
use crate::headquarters::Headquarters;
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
    let branches = (1..=BRANCHES)
        .map(|number| rig.branch(number))
        .collect::<Result<Vec<_>>>()?;
    let headquarters = start_headquarters(rig, &plan, identity)?;
    if let Headquarters::Hawser(hawser) = &headquarters {
        hawser.follow_events(&rig.path().join("events.json"))?;
    }
    let mut sufferers = branches
        .iter()
        .zip(&plan.branches)
        .map(|(branch, plan)| Sufferer::start(rig, &site(identity, branch.number), branch, plan))
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
    let disturbances = suffer(&mut sufferers)?;
    thread::sleep(HEAL);
    let end = SystemTime::now();
    let snapshot: Vec<String> = sufferers.iter().map(Sufferer::sas).collect();
    fs::write(rig.path().join("end.txt"), snapshot.join("\n"))
        .context("writing what there is at the end")?;
    let _ = headquarters.hawser().and_then(|hawser| {
        let status = hawser.json(&["status"])?;
        Ok(fs::write(
            rig.path().join("status.json"),
            format!("{status:#}"),
        )?)
    });
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

fn start_headquarters(rig: &Rig, plan: &Plan, identity: Identity) -> Result<Headquarters> {
    if identity == Identity::Shared && !plan.hq_rekeys {
        return Headquarters::start_case(rig);
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
    Headquarters::start(rig, &site)
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

/// Every branch goes through its plan, all at the same time.
fn suffer(sufferers: &mut [Sufferer<'_>]) -> Result<Vec<Vec<Disturbance>>> {
    let start = Instant::now();
    thread::scope(|scope| {
        let running: Vec<_> = sufferers
            .iter_mut()
            .map(|sufferer| scope.spawn(move || sufferer.suffer(start)))
            .collect();
        running
            .into_iter()
            .map(|one| {
                one.join()
                    .unwrap_or_else(|_| bail!("a branch's thread panicked"))
            })
            .collect()
    })
}
