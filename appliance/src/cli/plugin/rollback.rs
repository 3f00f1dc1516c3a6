//! `hawser plugin rollback --for HOOK`.

use super::STANDING;
use super::scope::Place;
use crate::admin::api::PluginDone;
use crate::cli::client::{Call, ask, print};
use crate::cli::{Health, Remote};
use clap::Args;

/// Lets the generation before decide again.
#[derive(Debug, Args)]
pub(in crate::cli) struct Rollback {
    /// Which plugin, where several decide in a chain.
    name: Option<String>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    remote: Remote,
}

impl Rollback {
    pub(in crate::cli) fn perform(self) -> anyhow::Result<Health> {
        let mut call = self.place.on(Call::post("/v1/plugins/rollback"));
        if let Some(name) = &self.name {
            call = call.with("name", name);
        }
        let done: PluginDone = ask(&self.remote, &call)?;
        if !self.remote.json {
            print(&format!(
                "{} is loaded {} again; {}\n",
                done.plugin, done.place, STANDING
            ))?;
        }
        Ok(Health::Healthy)
    }
}
