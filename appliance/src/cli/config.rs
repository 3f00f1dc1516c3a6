//! `hawser config check | import comware | schema | diff | apply`.

use super::client::{Call, ask, print};
use super::{Health, Remote};
use crate::admin::api::{Applied, Differences, VERSION};
use crate::plugins;
use crate::run::{Configuration, Foreseen};
use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use hawser_flight::Consequence;
use hawser_plugin::Plugins;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Checks, converts and applies configurations.
#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Say whether a configuration is in order, and what there is to know about it.
    Check(Check),
    /// Print another device's configuration as native TOML.
    Import(Import),
    /// Print the JSON Schema of the native TOML.
    Schema,
    /// Say what applying a configuration would change, key by key, and change nothing.
    Diff(Apply),
    /// Have the running gateway read its configuration again; one that is not in order changes nothing.
    Apply(Apply),
}

/// `hawser config check FILE`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// TOML, or Comware text.
    file: PathBuf,
    /// Print JSON ("version": 1) in place of text.
    #[arg(long)]
    json: bool,
}

/// Whose text is converted.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Dialect {
    /// Comware, as a device shows it or as it is typed.
    Comware,
}

/// `hawser config import comware FILE`.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// Whose text it is.
    dialect: Dialect,
    /// The text.
    file: PathBuf,
}

/// `hawser config apply [FILE]`, `hawser config diff [FILE]`.
#[derive(Debug, Args)]
pub(super) struct Apply {
    /// Another file than the one that runs; once applied it replaces it.
    file: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

impl Config {
    pub(super) fn perform(self) -> anyhow::Result<Health> {
        match self {
            Self::Check(verb) => check(&verb.file, verb.json),
            Self::Import(verb) => import(&verb),
            Self::Schema => {
                print(&format!("{}\n", hawser_config::schema().trim_end()))?;
                Ok(Health::Healthy)
            }
            Self::Diff(verb) => diff(&verb),
            Self::Apply(verb) => apply(&verb),
        }
    }
}

/// Says whether a configuration is in order.
pub(super) fn check(file: &Path, json: bool) -> anyhow::Result<Health> {
    let loaded = crate::run::load_file(file).and_then(|loaded| {
        try_plugins(&loaded)?;
        Ok((loaded.policy, loaded.notes.lines()))
    });
    if json {
        let (notes, error) = match &loaded {
            Ok((_, notes)) => (notes.as_slice(), None),
            Err(error) => (&[][..], Some(format!("{error:#}"))),
        };
        let report =
            json!({ "version": VERSION, "valid": error.is_none(), "notes": notes, "error": error });
        print(&format!("{report:#}\n"))?;
    }
    let (policy, notes) = loaded?;
    if !json {
        let lines: String = notes.iter().map(|n| format!("{n}\n")).collect();
        let (templates, tenants) = (policy.templates.len(), policy.tenants.len());
        let name = file.display();
        print(&format!(
            "{lines}{name}: in order; {templates} template(s), {tenants} tenant(s)\n"
        ))?;
    }
    Ok(Health::Healthy)
}

/// Tries the plugins under the limits that they would have.
fn try_plugins(configuration: &Configuration) -> anyhow::Result<()> {
    if configuration.plugins.is_empty() {
        return Ok(());
    }
    let plugins = Plugins::new(plugins::options(&configuration.policy.plugins.host))?;
    plugins::check(&plugins, &configuration.plugins, &configuration.name)
}

fn import(verb: &Import) -> anyhow::Result<Health> {
    let name = verb.file.display().to_string();
    let text = fs::read_to_string(&verb.file).with_context(|| format!("cannot read {name}"))?;
    let toml = match verb.dialect {
        Dialect::Comware => hawser_config::import_comware(&text),
    };
    let toml = toml.map_err(|problems| {
        let lines: String = problems
            .iter()
            .map(|p| format!("\n  {}", p.in_file(&name)))
            .collect();
        anyhow!("{name} is not in order:{lines}")
    })?;
    print(&toml)?;
    Ok(Health::Healthy)
}

impl Apply {
    /// The call with the file, where one is named. The gateway has a working directory of its own.
    fn ask<T: DeserializeOwned>(&self, call: Call<'_>) -> anyhow::Result<T> {
        let file = self.file.as_ref().map(std::path::absolute).transpose()?;
        let file = file.map(|f| f.to_string_lossy().into_owned());
        let mut call = call;
        if let Some(file) = &file {
            call = call.with("file", file);
        }
        ask(&self.remote, &call)
    }
}

fn diff(verb: &Apply) -> anyhow::Result<Health> {
    let found: Differences = verb.ask(Call::get("/v1/config/diff"))?;
    if !verb.remote.json {
        let mut lines: String = found.differences.iter().map(|d| format!("{d}\n")).collect();
        lines.extend(found.peers.iter().map(|of| format!("{}\n", happens(of))));
        print(if lines.is_empty() {
            "nothing would change\n"
        } else {
            &lines
        })?;
    }
    Ok(Health::Healthy)
}

/// What happens to the peers of a template, in words.
fn happens(of: &Foreseen) -> String {
    let what = match of.consequence {
        Consequence::Rekey => "will be rekeyed",
        Consequence::Reauthenticate => "will get a new IKE SA beside the old one",
        Consequence::StayUntilEnd => {
            "will keep what they have until it ends: we may not begin, or the branch must"
        }
        Consequence::Close => "will not be allowed any more, and deleted",
    };
    let Foreseen {
        tenant,
        template,
        peers,
        ..
    } = of;
    let peers = match peers {
        1 => "1 peer".to_owned(),
        peers => format!("{peers} peers"),
    };
    format!("{peers} of {template} ({tenant}) {what}")
}

fn apply(verb: &Apply) -> anyhow::Result<Health> {
    let applied: Applied = verb.ask(Call::post("/v1/config/apply"))?;
    if !verb.remote.json {
        let lines: String = applied.notes.iter().map(|n| format!("{n}\n")).collect();
        print(&format!(
            "{lines}configuration {} applied\n",
            applied.revision
        ))?;
    }
    Ok(Health::Healthy)
}
