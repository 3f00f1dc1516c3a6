//! Child processes: bounded, out of reach of the terminal's Ctrl-C, and killed with their owner.

use anyhow::{Context as _, bail};
use std::env;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a program may run that is waited for.
pub(super) const WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at something that is waited for.
const TICK: Duration = Duration::from_millis(50);

/// Where programs are looked for: also where only root's shell does.
pub(super) fn search_path() -> String {
    let path = env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}

/// A program to be started. Ctrl-C at the terminal does not reach it: we end it.
pub(super) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("PATH", search_path())
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Runs it to its end and gives what it printed; an error says what went wrong, in its own words.
pub(super) async fn run(command: &mut Command) -> anyhow::Result<String> {
    run_to(command, &[0]).await
}

/// Like [`run`] for a program that says more with its exit code: each of `codes` is a success.
pub(super) async fn run_to(command: &mut Command, codes: &[i32]) -> anyhow::Result<String> {
    let line = words(command);
    let output = timeout(WITHIN, command.output()).await;
    let output = output.with_context(|| format!("{line} took too long"))?;
    let output = output.with_context(|| format!("{line} does not start"))?;
    if output.status.code().is_some_and(|c| codes.contains(&c)) {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    bail!("{line} ended with {}: {}", output.status, said.trim())
}

/// Starts it with its outputs in the file `log`.
pub(super) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Child> {
    let file = File::create(log)?;
    let child = command.stdout(file.try_clone()?).stderr(file).spawn();
    child.with_context(|| format!("{} does not start", words(command)))
}

/// Looks until `probe` says true, and how long that took; an error says what did not come.
pub(super) async fn eventually(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    loop {
        let last = probe().await;
        if matches!(last, Ok(true)) {
            return Ok(begin.elapsed());
        }
        if begin.elapsed() >= within {
            let text = format!("not within {within:?}: {what}");
            return Err(match last {
                Err(error) => error.context(text),
                Ok(_) => anyhow::anyhow!(text),
            });
        }
        sleep(TICK).await;
    }
}

/// A command as it would be typed.
fn words(command: &Command) -> String {
    let command = command.as_std();
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    format!("`{}`", words.join(" "))
}
