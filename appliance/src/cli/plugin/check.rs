//! `hawser plugin check FILE`.

use super::bench::Bench;
use crate::cli::Health;
use crate::cli::client::print;
use clap::Args;
use hawser_plugin::{FITTING, Hook};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Says of a component what a gateway would say, without one: contract, imports, size, self-test,
/// and how it does under questions at the edges of what is possible.
#[derive(Debug, Args)]
pub(in crate::cli) struct Check {
    /// A component's file, or the name of a plugin that ships.
    plugin: String,
    /// What it must be for.
    #[arg(long = "for", value_name = "HOOK")]
    hook: Option<Hook>,
    /// Its settings: a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = super::object)]
    settings: Value,
    /// Print JSON (\"version\": 1) in place of text.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(in crate::cli) fn perform(self) -> anyhow::Result<Health> {
        let bench = Bench::load(&self.plugin, self.hook, self.settings)?;
        let strain = bench.strain();
        let (file, says) = (&bench.checked.inspection, &bench.checked.description);
        if self.json {
            let value = json!({
                "version": 1,
                "name": says.name, "plugin_version": says.version, "summary": says.summary,
                "hook": file.hook.as_str(), "octets": bench.octets, "sha256": file.sha256,
                "stubs": file.stubs, "memory": bench.memory(),
                "calls": strain.calls, "median_ns": strain.median.as_nanos() as u64,
                "longest_ns": strain.longest.as_nanos() as u64,
                "faults": strain.faults,
            });
            print(&format!("{value:#}\n"))?;
            return Ok(Health::when(strain.faults.is_empty()));
        }
        let mut text = String::new();
        writeln!(text, "{} {}: {}", says.name, says.version, says.summary)?;
        writeln!(
            text,
            "  world       {} of hawser:plugin (this gateway speaks {FITTING})",
            file.hook
        )?;
        writeln!(
            text,
            "  size        {} octets, sha256 {}",
            bench.octets, file.sha256
        )?;
        let stubs = if file.stubs.is_empty() {
            "hawser:plugin alone".to_owned()
        } else {
            format!("stubs that trap when called: {}", file.stubs.join(" "))
        };
        writeln!(text, "  imports     {stubs}")?;
        writeln!(text, "  load        {:.0?}, compiled here", bench.loading)?;
        writeln!(text, "  self-test   passed")?;
        writeln!(
            text,
            "  memory      {} KiB an instance",
            bench.memory() >> 10
        )?;
        writeln!(
            text,
            "  calls       {}: median {:.1?}, longest {:.1?} (limit {:.0?})",
            strain.calls,
            strain.median,
            strain.longest,
            bench.deadline()
        )?;
        match strain.faults.first() {
            None => writeln!(
                text,
                "  faults      none, also where questions are at the edges of what is possible"
            )?,
            Some(first) => writeln!(
                text,
                "  faults      {}; the first: {first}\n  on a fault  {}",
                strain.faults.len(),
                fallback(file.hook)
            )?,
        }
        print(&text)?;
        Ok(Health::when(strain.faults.is_empty()))
    }
}

fn fallback(hook: Hook) -> &'static str {
    match hook {
        Hook::DpdPolicy => "the template's settings decide",
        Hook::PeerAuthorization => "new peers stay out, unless the template says otherwise",
        Hook::LogFormat => "the built-in format takes the batch",
    }
}
