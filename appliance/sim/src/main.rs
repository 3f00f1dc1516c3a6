//! The simulator's command line.

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use hawser_sim::plan::Plan;
use hawser_sim::run::{Outcome, run_and_keep, run_watching};
use hawser_sim::shrink::shrink;
use rustix::time::{ClockId, clock_gettime};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs headquarters and its branches through faults on virtual time.
#[derive(Parser)]
struct Arguments {
    /// One seed.
    #[arg(long, default_value_t = 0, conflicts_with = "seeds")]
    seed: u64,
    /// Many seeds: `FROM..TO`, the last one not included.
    #[arg(long)]
    seeds: Option<String>,
    /// Branches.
    #[arg(long, default_value_t = 50)]
    peers: u16,
    /// Simulated hours.
    #[arg(long, default_value_t = 2.0)]
    hours: f64,
    /// Reduce a failing seed to the smallest schedule that fails.
    #[arg(long)]
    shrink: bool,
    /// Without faults.
    #[arg(long)]
    calm: bool,
    /// Print what happens.
    #[arg(long)]
    trace: bool,
    /// Write what a DPD policy was asked and what happened into this folder, for
    /// `hawser plugin test PLUGIN --scenario DIR`.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["seeds", "shrink"])]
    scenario: Option<PathBuf>,
    /// Print the IKE messages of this branch too.
    #[arg(long)]
    watch: Vec<usize>,
    /// Leave out what came to plans later: seeds of regressions are found so.
    #[arg(long)]
    first: bool,
    /// Go on after a seed that fails.
    #[arg(long)]
    keep_going: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let seeds = match &arguments.seeds {
        Some(text) => range(text)?,
        None => arguments.seed..arguments.seed + 1,
    };
    ensure!(arguments.peers > 0, "--peers: at least one");
    let (mut clean, mut failed, mut calm) = (0_u64, Vec::new(), (0, 0));
    let many = seeds.end - seeds.start > 1;
    for seed in seeds {
        let make = if arguments.first {
            Plan::first
        } else {
            Plan::new
        };
        let mut plan = make(seed, arguments.peers, arguments.hours);
        if arguments.calm {
            plan.faults.clear();
        }
        let outcome = one(&plan, &arguments)?;
        calm = (calm.0 + outcome.calm.0, calm.1 + outcome.calm.1);
        match &outcome.failure {
            None => clean += 1,
            Some(failure) => {
                println!("seed {seed} FAILED at {failure}");
                failed.push(seed);
                if !arguments.keep_going {
                    break;
                }
            }
        }
        if !many && outcome.failure.is_none() {
            let (hash, datagrams) = (outcome.hash, outcome.datagrams);
            println!("seed {seed} is clean: {datagrams} datagrams, trace {hash:016x}");
        }
    }
    summary(clean, &failed, calm);
    Ok(if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn one(plan: &Plan, arguments: &Arguments) -> Result<Outcome> {
    if arguments.shrink
        && let Some((plan, _)) = shrink(plan.clone())
    {
        let outcome = run_watching(&plan, true, &arguments.watch);
        println!("{plan}");
        outcome.lines.iter().for_each(|line| println!("{line}"));
        return Ok(outcome);
    }
    let verbose = arguments.trace || !arguments.watch.is_empty();
    let outcome = match &arguments.scenario {
        None => run_watching(plan, verbose, &arguments.watch),
        Some(folder) => {
            let (outcome, scenario) = run_and_keep(plan, verbose, &arguments.watch);
            if let Some(scenario) = scenario {
                let failed = || format!("writing into {}", folder.display());
                scenario.write(folder).with_context(failed)?;
            }
            outcome
        }
    };
    outcome.lines.iter().for_each(|line| println!("{line}"));
    Ok(outcome)
}

fn summary(clean: u64, failed: &[u64], (asked, answered): (u64, u64)) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let minutes = (cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9) / 60.0;
    let runs = clean + failed.len() as u64;
    println!(
        "{clean} of {runs} seeds clean; {:.1} seeds a CPU-minute; in calm {answered} of {asked} questions answered ({:.2} %)",
        runs as f64 / minutes,
        100.0 * answered as f64 / (asked.max(1)) as f64
    );
    if !failed.is_empty() {
        println!("failed: {failed:?}");
    }
}

fn range(text: &str) -> Result<Range<u64>> {
    let (from, to) = text.split_once("..").context("--seeds FROM..TO")?;
    Ok(from.parse()?..to.parse()?)
}
