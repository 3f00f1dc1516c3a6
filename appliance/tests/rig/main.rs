//! Hawser against real peers: strongSwan and OpenIKED in network namespaces, behind real NAT, each scenario one trial.
//!
//! Needs root, a TUN device and the programs of [`requirements`]; where one is missing every trial is ignored and says why,
//! except with `CI=true`, where it fails.

#![expect(
    unreachable_pub,
    reason = "`pub` says what a file offers to the scenarios; nothing leaves this binary"
)]

mod capture;
mod command;
mod forge;
mod hawser;
mod headquarters;
mod http;
mod keylog;
mod nat;
mod netns;
mod openiked;
mod ping;
mod relay;
mod requirements;
mod rig;
mod scenarios;
mod site;
mod strongswan;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, anyhow};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::rig::Rig;
use crate::scenarios::Scenario;

/// Scenarios mostly wait, so more of them than there are cores may run at once.
const AT_ONCE: usize = 4;
/// How much of each log a failure prints.
const LOG_LINES: usize = 120;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let missing = requirements::missing();
    if !missing.is_empty() {
        eprintln!(
            "rig: THE SCENARIOS AGAINST REAL PEERS CANNOT RUN HERE: {}",
            missing.join("; ")
        );
    } else if !arguments.list {
        netns::sweep();
    }
    let trials = scenarios::all()
        .into_iter()
        .map(|scenario| trial(scenario, &missing))
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(scenario: Scenario, missing: &[String]) -> Trial {
    let name = scenario.name.clone();
    if scenario.hawser_only && headquarters::is_stand_in() {
        return Trial::test(name, || Err(Failed::from("about Hawser alone")))
            .with_ignored_flag(true);
    }
    if missing.is_empty() {
        return Trial::test(name, move || {
            perform(&scenario).map_err(|error| Failed::from(format!("{error:#}")))
        });
    }
    let reason = format!("missing: {}", missing.join("; "));
    Trial::test(name, move || Err(Failed::from(reason))).with_ignored_flag(!requirements::in_ci())
}

/// Runs one scenario on a rig of its own and on failure prints the end of every log.
fn perform(scenario: &Scenario) -> Result<()> {
    let start = Instant::now();
    let rig = Rig::new()?;
    let outcome = catch_unwind(AssertUnwindSafe(|| (scenario.run)(&rig)))
        .unwrap_or_else(|panic| Err(anyhow!("panicked: {}", panic_text(panic.as_ref()))));
    if outcome.is_err() {
        print_logs(rig.path());
    }
    println!(
        "rig: {} took {:.1} s",
        scenario.name,
        start.elapsed().as_secs_f64()
    );
    if std::env::var_os("RIG_KEEP").is_some() {
        println!("rig: logs of {} in {}", scenario.name, rig.keep().display());
    }
    outcome
}

fn print_logs(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            print_logs(&path);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            println!("---- {}", path.display());
            println!(
                "{}",
                lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
            );
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "no message".to_owned())
}
