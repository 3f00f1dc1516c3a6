//! Repository chores: `cargo xtask test` is the one test command, for people and for CI.

mod chaos;
mod packages;
mod plugins;
mod step;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::step::{cargo, step};

const USAGE: &str = "usage: cargo xtask test [ARGUMENTS OF THE TEST RUNNER]
       cargo xtask packages
       cargo xtask plugins
       cargo xtask templates
       cargo xtask chaos [--seeds N|A-B] [--identity shared|distinct] [--minutes M] [--at-once N]

test      installs what the rig needs (as root, on Debian), then checks the format, runs clippy, rustdoc and every test
packages  only installs what the rig needs
chaos     runs seeds of the chaos scenario (10 by default) and prints a table; RIG_HEADQUARTERS=strongswan for comparison";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((verb, rest)) if verb == "test" => test(rest),
        Some((verb, [])) if verb == "packages" => packages::install(),
        Some((verb, [])) if verb == "plugins" => root().and_then(|root| plugins::check(&root)),
        Some((verb, [])) if verb == "templates" => {
            root().and_then(|root| plugins::templates(&root))
        }
        Some((verb, rest)) if verb == "chaos" => chaos::run(rest),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that CI checks, the quickest first; the house rules are tests of this package.
fn test(arguments: &[String]) -> Result<()> {
    let root = root()?;
    packages::install()?;
    step("format", cargo().args(["fmt", "--all", "--check"]))?;
    step(
        "clippy",
        cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            // What benches alone build.
            "--features",
            "hawser-engine/relay",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    let mut rustdoc = cargo();
    rustdoc
        .env("RUSTDOCFLAGS", "-D warnings")
        .args(["doc", "--workspace", "--no-deps"]);
    step("rustdoc", &mut rustdoc)?;
    step("doc tests", cargo().args(["test", "--workspace", "--doc"]))?;
    step("tests", runner().args(arguments))?;
    plugins::check(&root)?;
    plugins::templates(&root)
}

/// Enters the repository.
fn root() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().context("no repository around xtask")?;
    env::set_current_dir(&root).with_context(|| format!("entering {}", root.display()))?;
    Ok(root)
}

/// cargo-nextest where it is installed, else `cargo test`.
fn runner() -> Command {
    let nextest = cargo()
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    let words: &[&str] = if nextest {
        &["nextest", "run"]
    } else {
        &["test", "--all-targets", "--no-fail-fast"]
    };
    let mut command = cargo();
    command.args(words).arg("--workspace");
    command
}
