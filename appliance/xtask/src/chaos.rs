//! `cargo xtask chaos`: many seeds of the rig's chaos run, and a table of them.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};

use crate::step::cargo;

/// How a line about one finished run begins.
const MARK: &str = "chaos: ";
/// Calm seconds that must be answered, per cent.
const GOAL: &str = "99.5";

/// Runs what the arguments ask for; fails when a seed misses the goal.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut command = cargo();
    command.args([
        "test",
        "--quiet",
        // As the tests are built: the features of one package alone would compile everything again.
        "--workspace",
        "--test",
        "rig",
        "--",
    ]);
    let (mut at_once, mut last_seed) = ("4", "10");
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let value = words
            .next()
            .with_context(|| format!("{word} needs a value"))?;
        match word {
            "--seeds" => last_seed = value,
            "--identity" => drop(command.env("CHAOS_IDENTITY", value)),
            "--minutes" => drop(command.env("CHAOS_MINUTES", value)),
            "--at-once" => at_once = value,
            _ => bail!("{word}: chaos takes --seeds, --identity, --minutes and --at-once"),
        }
    }
    let seeds = match last_seed.contains('-') {
        true => last_seed.to_owned(),
        false => format!("1-{last_seed}"),
    };
    command.env("CHAOS_SEEDS", seeds).env("CHAOS_GOAL", GOAL);
    command.args(["chaos::", "--test-threads", at_once]);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the rig")?;
    let output = BufReader::new(child.stdout.take().context("the rig's output")?);
    let mut table = Vec::new();
    for line in output.lines() {
        let line = line.context("reading what the rig prints")?;
        println!("{line}");
        table.extend(line.strip_prefix(MARK).map(str::to_owned));
    }
    let status = child.wait().context("waiting for the rig")?;
    table.sort();
    println!("\n{}", table.join("\n"));
    ensure!(status.success(), "a seed missed the goal");
    Ok(())
}
