//! `hawser drops`.

use super::client::{Call, ask, print};
use super::table::{Align, Table};
use super::{Health, Remote};
use crate::admin::api;
use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};

/// What dropped.
#[derive(Debug, Args)]
pub(super) struct Drops {
    /// How far back.
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    since: SignedDuration,
    /// What to count by.
    #[arg(long, value_enum, default_value_t = By::Reason)]
    by: By,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    /// Why they dropped.
    Reason,
    /// Who.
    Peer,
    /// Whose.
    Tenant,
}

impl Drops {
    pub(super) fn perform(&self) -> anyhow::Result<Health> {
        let since = Timestamp::now().checked_sub(self.since.abs())?;
        let since = since.as_millisecond().max(0).to_string();
        let by = match self.by {
            By::Reason => "reason",
            By::Peer => "peer",
            By::Tenant => "tenant",
        };
        let call = Call::get("/v1/drops").with("since", &since).with("by", by);
        let drops: api::Drops = ask(&self.remote, &call)?;
        if !self.remote.json {
            print(&text(&drops, by))?;
        }
        Ok(Health::Healthy)
    }
}

fn text(drops: &api::Drops, by: &str) -> String {
    if drops.counts.is_empty() {
        return format!("nothing dropped since {}\n", drops.since);
    }
    let mut table = Table::new(&[
        (
            match by {
                "peer" => "PEER",
                "tenant" => "TENANT",
                _ => "REASON",
            },
            Align::Left,
        ),
        ("DROPS", Align::Right),
        ("PEERS", Align::Right),
        ("LAST", Align::Left),
        ("WHERE", Align::Left),
        ("REASONS", Align::Left),
    ]);
    for count in &drops.counts {
        let verdicts = count.verdicts.iter().map(|(v, n)| format!("{v} {n}"));
        table.row(vec![
            count.name.clone(),
            count.drops.to_string(),
            count.peers.to_string(),
            count.last.clone(),
            count.last_endpoint.clone(),
            verdicts.collect::<Vec<_>>().join(", "),
        ]);
    }
    let mut out = format!("{} drops since {}\n{table}", drops.total, drops.since);
    if drops.lost > 0 {
        out += &format!("{} more came too fast to be kept\n", drops.lost);
    }
    out
}
