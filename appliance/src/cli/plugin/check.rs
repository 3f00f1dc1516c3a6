//! `hawser plugin check FILE`.

use super::bench::{Bench, Strain};
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
                "hook": file.hook.as_str(), "package_version": file.package_version,
                "octets": bench.octets, "sha256": file.sha256,
                "imports": file.imports, "stubs": file.stubs, "named": file.named,
                "memory": bench.memory(),
                "calls": strain.calls, "median_ns": strain.median.as_nanos() as u64,
                "longest_ns": strain.longest.as_nanos() as u64,
                "faults": strain.faults,
            });
            print(&format!("{value:#}\n"))?;
            return Ok(Health::when(strain.faults.is_empty()));
        }
        print(&report(&bench, &strain)?)?;
        Ok(Health::when(strain.faults.is_empty()))
    }
}

/// The answer for people.
fn report(bench: &Bench, strain: &Strain) -> Result<String, std::fmt::Error> {
    let (file, says) = (&bench.checked.inspection, &bench.checked.description);
    let mut text = format!("{} {}: {}\n", says.name, says.version, says.summary);
    let mut line = |name: &str, value: String| writeln!(text, "  {name:<12}{value}");
    line(
        "world",
        format!(
            "{} of hawser:plugin {} (this gateway speaks {FITTING})",
            file.hook, file.package_version
        ),
    )?;
    line(
        "size",
        format!("{} octets, sha256 {}", bench.octets, file.sha256),
    )?;
    line("imports", names(&file.imports))?;
    if !file.stubs.is_empty() {
        line(
            "stubs",
            format!("{}: they trap when called", names(&file.stubs)),
        )?;
    }
    line("load", format!("{:.0?}, compiled here", bench.loading))?;
    line("self-test", "passed".into())?;
    line(
        "memory",
        format!("{} KiB an instance", bench.memory() >> 10),
    )?;
    line(
        "calls",
        format!(
            "{}: median {:.1?}, longest {:.1?} (limit {:.0?})",
            strain.calls,
            strain.median,
            strain.longest,
            bench.deadline()
        ),
    )?;
    let faults = match strain.faults.first() {
        None => "none, also where questions are at the edges of what is possible".into(),
        Some(first) => format!("{}; the first: {first}", strain.faults.len()),
    };
    line("faults", faults)?;
    line(
        "on a trap",
        format!(
            "its instance is thrown away, and {}; three within a minute disable it",
            fallback(file.hook)
        ),
    )?;
    let backtrace = match file.named {
        true => "with the names of its functions",
        false => "without names: it was built without a name section",
    };
    line("backtrace", backtrace.into())?;
    Ok(text)
}

fn names(of: &[String]) -> String {
    match of {
        [] => "nothing".into(),
        some => some.join(" "),
    }
}

fn fallback(hook: Hook) -> &'static str {
    match hook {
        Hook::DpdPolicy => "the template's settings decide",
        Hook::PeerAuthorization => "new peers stay out, unless the template says otherwise",
        Hook::LogFormat => "the built-in format takes the batch",
    }
}
