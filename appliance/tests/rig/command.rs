//! Running a program to its end, with an error that says which one, where, and what it printed.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Runs `command` to its end and returns its standard output; a failure names the command and carries what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    run_to(command, &[0])
}

/// Like [`run`] for a program that tells more with its exit code: each of `codes` is a success.
pub fn run_to(command: &mut Command, codes: &[i32]) -> Result<String> {
    let line = line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting `{line}`"))?;
    checked(&line, &output, codes)
}

/// Like [`run`], with `input` on the standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    let line = line(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{line}`"))?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.as_bytes())
            .with_context(|| format!("writing to `{line}`"))?;
    }
    let output = child
        .wait_with_output()
        .with_context(|| format!("waiting for `{line}`"))?;
    checked(&line, &output, &[0])
}

/// Asks `probe` every 50 ms until it says true; after `within` the error says what was waited for. Returns the time it took.
pub fn eventually(
    what: &str,
    within: Duration,
    mut probe: impl FnMut() -> Result<bool>,
) -> Result<Duration> {
    let start = Instant::now();
    loop {
        let last = probe();
        if matches!(last, Ok(true)) {
            return Ok(start.elapsed());
        }
        if start.elapsed() >= within {
            let error = last
                .err()
                .map(|error| format!(" (last error: {error:#})"))
                .unwrap_or_default();
            bail!("not within {within:?}: {what}{error}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn checked(line: &str, output: &Output, codes: &[i32]) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output
        .status
        .code()
        .is_some_and(|code| codes.contains(&code))
    {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    bail!("`{line}` ended with {}\n{stdout}{stderr}", output.status)
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
