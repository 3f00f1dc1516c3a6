//! One program of a longer run, announced, timed and checked.

use std::env;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs `command` to its end; what it prints goes where ours goes.
pub(crate) fn step(name: &str, command: &mut Command) -> Result<()> {
    println!("xtask: {name}");
    let start = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{name}: {command:?} ended with {status}");
    eprintln!("xtask: {name} took {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}
