//! `hawser events [-f]`.

use super::client::{Call, follow, print};
use super::{Health, Remote};
use crate::admin::api::EventRow;
use clap::Args;

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
        let follow_on = if self.follow { "true" } else { "false" };
        let call = Call::get("/v1/events").with("follow", follow_on);
        follow(&self.remote, &call, |line| {
            if self.remote.json {
                return Ok(print(&format!("{line}\n"))?);
            }
            let row: EventRow = serde_json::from_str(line)?;
            Ok(print(&format!("{}  {}\n", row.time, row.text))?)
        })?;
        Ok(Health::Healthy)
    }
}
