//! `hawser plugin dev`.

use super::STANDING;
use super::bench::Bench;
use crate::admin::api::PluginDone;
use crate::cli::client::{Call, ask, print};
use crate::cli::{Health, Remote};
use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(300);
/// What is built, not written.
const BUILT: &[&str] = &["target", "node_modules", "gen", "__pycache__"];

/// Builds and checks the project in this folder whenever one of its files changes.
#[derive(Debug, Args)]
pub(in crate::cli) struct Dev {
    /// The project's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Load what passes into the gateway that runs, for this tenant (`*`: for all).
    #[arg(long, value_name = "TENANT")]
    load: Option<String>,
    /// Settings: a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = super::object)]
    settings: Value,
    /// Build once and end.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Dev {
    pub(in crate::cli) fn perform(self) -> anyhow::Result<Health> {
        let mut seen = BTreeMap::new();
        loop {
            let now = files(&self.folder)?;
            if now != seen {
                let outcome = self.round();
                if self.once {
                    return outcome.map(|()| Health::Healthy);
                }
                match outcome {
                    Ok(()) => print("waiting for changes\n")?,
                    Err(error) => eprintln!("hawser: {error:#}"),
                }
                seen = now;
            }
            sleep(LOOK);
        }
    }

    fn round(&self) -> anyhow::Result<()> {
        let mut build = self.build()?;
        let status = build.current_dir(&self.folder).status();
        let status = status.with_context(|| format!("cannot start {build:?}"))?;
        ensure!(status.success(), "the build failed");
        let file = self.component()?;
        let path = file.to_string_lossy();
        let bench = Bench::load(&path, None, self.settings.clone())?;
        let says = &bench.checked.description;
        print(&format!(
            "{} {} passes its self-test\n",
            says.name, says.version
        ))?;
        let Some(tenant) = &self.load else {
            return Ok(());
        };
        let (hook, settings) = (bench.checked.inspection.hook, self.settings.to_string());
        let mut call = Call::post("/v1/plugins/load")
            .with("hook", hook.as_str())
            .with("plugin", &path)
            .with("settings", &settings);
        if tenant != "*" {
            call = call.with("tenant", tenant);
        }
        let done: PluginDone = ask(&self.remote, &call)?;
        print(&format!(
            "{} is loaded {}; {}\n",
            done.plugin, done.place, STANDING
        ))?;
        Ok(())
    }

    /// How this project is built.
    fn build(&self) -> anyhow::Result<Command> {
        let there = |name: &str| self.folder.join(name).exists();
        let words: &[&str] = if there("build") {
            &["./build"]
        } else if there("Makefile") {
            &["make", "-s"]
        } else {
            ensure!(
                there("package.json"),
                "no build, Makefile or package.json here"
            );
            &["npm", "run", "--silent", "build"]
        };
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        Ok(command)
    }

    /// The newest component of the folder.
    fn component(&self) -> anyhow::Result<PathBuf> {
        let entries = fs::read_dir(&self.folder)?.flatten();
        let components = entries
            .map(|entry| entry.path())
            .filter(|path| is_component(path));
        let newest = components.max_by_key(|path| modified(path));
        let file = newest.context("the build left no component here")?;
        Ok(std::path::absolute(file)?)
    }
}

fn is_component(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "wasm") && !path.ends_with("core.wasm")
}

fn modified(path: &Path) -> SystemTime {
    let time = fs::metadata(path).and_then(|m| m.modified());
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Every file that somebody writes, and when.
fn files(folder: &Path) -> anyhow::Result<BTreeMap<PathBuf, SystemTime>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder)?.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with('.') || BUILT.contains(&&*name) || name == "Cargo.lock" {
            continue;
        }
        if path.is_dir() {
            all.extend(files(&path)?);
        } else if path.extension().is_none_or(|e| e != "wasm") && name != "policy-test" {
            all.insert(path.clone(), modified(&path));
        }
    }
    Ok(all)
}
