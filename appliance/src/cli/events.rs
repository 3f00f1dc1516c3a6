//! `hawser events [-f]`.

use super::client::{Call, follow, print};
use super::{Health, Remote};
use crate::admin::api::{EventRow, VERSION};
use clap::Args;
use serde_json::{Value, json};

/// What happened lately, or what happens.
#[derive(Debug, Args)]
pub(super) struct Events {
    /// Go on with what happens, until interrupted.
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Events {
    pub(super) fn perform(&self) -> anyhow::Result<Health> {
        let call =
            Call::get("/v1/events").with("follow", if self.follow { "true" } else { "false" });
        match (self.remote.json, self.follow) {
            (true, true) => follow(&self.remote, &call, |line| Ok(print(&format!("{line}\n"))?))?,
            (true, false) => self.print_document(&call)?,
            (false, _) => follow(&self.remote, &call, |line| {
                let row: EventRow = serde_json::from_str(line)?;
                Ok(print(&format!("{}  {}\n", row.time, row.text))?)
            })?,
        }
        Ok(Health::Healthy)
    }

    /// What was is one document; what happens is a line each.
    fn print_document(&self, call: &Call<'_>) -> anyhow::Result<()> {
        let mut events: Vec<Value> = Vec::new();
        follow(&self.remote, call, |line| {
            events.push(serde_json::from_str(line)?);
            Ok(())
        })?;
        let document = json!({ "version": VERSION, "events": events });
        Ok(print(&format!("{document:#}\n"))?)
    }
}
