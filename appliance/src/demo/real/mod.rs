//! `hawser demo --real`: the case, with strongSwan and the kernel's NAT in network namespaces.
//!
//! The gateway is this very program as `hawser run` starts it, with `configs/hq.cfg` unchanged;
//! each branch is a `charon` of its own behind a NAT of its own, and all of them call themselves
//! `test`. Nothing outside of the namespaces is touched, and nothing is left behind: every guard
//! cleans up when it is dropped, at the end, on an error and on Ctrl-C alike.

mod branch;
mod command;
mod gateway;
mod needs;
mod netns;
mod ping;
mod site;
mod story;

use super::summary::Summary;
use crate::cli::Health;
use anyhow::{Context as _, bail};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(55);
/// How much of each log is shown when something fails.
const LOG_LINES: usize = 12;

/// Runs the demo and says whether everything was as it should be.
pub(crate) fn run(json: bool) -> anyhow::Result<Health> {
    needs::check()?;
    netns::sweep();
    let dir = tempfile::Builder::new().prefix("hawser-demo-").tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let told = runtime.block_on(unless_interrupted(dir.path(), json));
    // What was killed is gone before its directory is.
    drop(runtime);
    Ok(told?.print(json)?)
}

/// The story; dropped half-way, it cleans up.
async fn unless_interrupted(dir: &Path, json: bool) -> anyhow::Result<Summary> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let told = tokio::select! {
        told = timeout(LIMIT, story::tell(dir, json)) => told,
        _ = interrupt.recv() => bail!("interrupted; everything is cleaned up"),
        _ = terminate.recv() => bail!("terminated; everything is cleaned up"),
        _ = hangup.recv() => bail!("the terminal is gone; everything is cleaned up"),
    };
    let told = told.with_context(|| format!("not told within {LIMIT:?}"));
    told.flatten().inspect_err(|_| show_logs(dir))
}

fn show_logs(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
            eprintln!("--- {}\n{}", entry.file_name().display(), last.join("\n"));
        }
    }
}
