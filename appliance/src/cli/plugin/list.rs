//! `hawser plugin list`.

use crate::admin::api::{PluginReport, PluginRow};
use crate::cli::client::{Call, ask, print};
use crate::cli::table::{Align, Table};
use crate::cli::{Health, Remote};
use clap::Args;

/// Shows the plugins that decide.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    remote: Remote,
}

impl List {
    pub(in crate::cli) fn perform(&self) -> anyhow::Result<Health> {
        let report: PluginReport = ask(&self.remote, &Call::get("/v1/plugins"))?;
        if !self.remote.json {
            print(&text(&report.plugins))?;
        }
        let disabled = report.plugins.iter().any(|p| p.disabled.is_some());
        Ok(if disabled {
            Health::Degraded
        } else {
            Health::Healthy
        })
    }
}

fn text(plugins: &[PluginRow]) -> String {
    if plugins.is_empty() {
        return "no plugin is loaded: the built-in rules decide\n".to_owned();
    }
    let mut table = Table::new(&[
        ("HOOK", Align::Left),
        ("WHERE", Align::Left),
        ("PLUGIN", Align::Left),
        ("VERSION", Align::Left),
        ("GEN", Align::Right),
        ("CALLS", Align::Right),
        ("ANSWERS", Align::Right),
        ("FAULTS", Align::Right),
        ("MEAN us", Align::Right),
        ("LONGEST us", Align::Right),
        ("MEMORY KiB", Align::Right),
    ]);
    let mut notes = String::new();
    for plugin in plugins {
        let mean = plugin.busy_us.checked_div(plugin.calls).unwrap_or(0);
        table.row(vec![
            plugin.hook.clone(),
            plugin.place.clone(),
            plugin.name.clone(),
            plugin.version.clone(),
            plugin.generation.to_string(),
            plugin.calls.to_string(),
            plugin.answers.to_string(),
            plugin.faults.values().sum::<u64>().to_string(),
            mean.to_string(),
            plugin.longest_us.to_string(),
            (plugin.memory / 1024).to_string(),
        ]);
        if let Some(why) = &plugin.disabled {
            notes.push_str(&format!("{} is disabled: {why}\n", plugin.name));
        }
    }
    format!("{table}{notes}")
}
