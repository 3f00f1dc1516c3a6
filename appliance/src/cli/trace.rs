//! `hawser trace PEER`.

use super::Health;
use super::capture::{create, remove_empty};
use super::client::{Call, follow, print};
use super::peer::Target;
use crate::admin::traced::TraceRow;
use clap::Args;
use jiff::SignedDuration;
use std::io::Write as _;
use std::path::PathBuf;

/// Every IKE message of one peer, its events, and its ESP counters, while it runs.
#[derive(Debug, Args)]
pub(super) struct Trace {
    #[command(flatten)]
    target: Target,
    /// For how long: 30s, 10m, 2h.
    #[arg(long = "for", value_name = "TIME", default_value = "10m")]
    period: SignedDuration,
    /// Write here, in place of the standard output; the file must not be there yet.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Trace {
    pub(super) fn perform(&self) -> anyhow::Result<Health> {
        let seconds = self.period.as_secs().max(1).to_string();
        let call = Call::get("/v1/peer/trace")
            .with("peer", &self.target.peer)
            .with("seconds", &seconds);
        let mut file = match &self.output {
            Some(path) => Some(create(path)?),
            None => None,
        };
        let json = self.target.remote.json;
        let done = follow(&self.target.remote, &call, |line| {
            let text = if json {
                format!("{line}\n")
            } else {
                serde_json::from_str::<TraceRow>(line)?.to_string()
            };
            match &mut file {
                Some(file) => Ok(file.write_all(text.as_bytes())?),
                None => Ok(print(&text)?),
            }
        });
        if let (Err(_), Some(path)) = (&done, &self.output) {
            remove_empty(path);
        }
        done.map(|()| Health::Healthy)
    }
}
