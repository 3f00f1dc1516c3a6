//! `hawser plugin load FILE|NAME --for HOOK`.

use super::STANDING;
use super::scope::Place;
use crate::admin::api::PluginDone;
use crate::cli::client::{Call, ask, print};
use crate::cli::{Health, Remote};
use clap::Args;
use std::path::Path;

/// Loads a plugin, or swaps the one that decides there.
#[derive(Debug, Args)]
pub(in crate::cli) struct Load {
    /// A component's file, or the name of a plugin that ships, such as dpd-case.
    plugin: String,
    #[command(flatten)]
    place: Place,
    /// Its settings: a JSON object.
    #[arg(long, value_name = "JSON")]
    settings: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

impl Load {
    pub(in crate::cli) fn perform(self) -> anyhow::Result<Health> {
        // The gateway has a working directory of its own.
        let plugin = if crate::plugins::is_shipped(&self.plugin) {
            self.plugin
        } else {
            let file = std::path::absolute(Path::new(&self.plugin))?;
            file.to_string_lossy().into_owned()
        };
        let mut call = self.place.on(Call::post("/v1/plugins/load"));
        call = call.with("plugin", &plugin);
        if let Some(settings) = &self.settings {
            call = call.with("settings", settings);
        }
        let done: PluginDone = ask(&self.remote, &call)?;
        if !self.remote.json {
            print(&format!(
                "{} is loaded {}; {}\n",
                done.plugin, done.place, STANDING
            ))?;
        }
        Ok(Health::Healthy)
    }
}
