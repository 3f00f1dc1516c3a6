//! `hawser status`.

use super::client::{Call, ask, print};
use super::table::{Align, Table, ago, bytes};
use super::{Health, Remote};
use crate::admin::api::{PeerRow, StatusReport};
use clap::Args;

/// One line for every peer.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Peers of this tenant only.
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
    /// Only those that are not up.
    #[arg(long)]
    down: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Status {
    pub(super) fn perform(&self) -> anyhow::Result<Health> {
        let mut call = Call::get("/v1/status");
        if let Some(tenant) = &self.tenant {
            call = call.with("tenant", tenant);
        }
        if self.down {
            call = call.with("down", "true");
        }
        let report: StatusReport = ask(&self.remote, &call)?;
        if !self.remote.json {
            print(&text(&report))?;
        }
        Ok(Health::when(report.healthy))
    }
}

fn text(report: &StatusReport) -> String {
    let mut out = String::new();
    if !report.peers.is_empty() {
        out = format!("{}\n", table(&report.peers));
    }
    let count = &report.counts;
    out.push_str(&format!(
        "{} up, {} degraded, {} connecting, {} down · {} IKE SAs, {} Child SAs, {} half-open · configuration {}\n",
        count.up, count.degraded, count.connecting, count.down, report.ike_sas, report.child_sas,
        report.half_open, report.revision,
    ));
    out
}

/// The table of `status`, also the head of `show`.
pub(super) fn table(peers: &[PeerRow]) -> Table {
    let many_tenants = peers.iter().any(|p| p.tenant != peers[0].tenant);
    let mut columns = vec![("STATUS", Align::Left), ("PEER", Align::Left)];
    if many_tenants {
        columns.push(("TENANT", Align::Left));
    }
    columns.extend([
        ("TEMPLATE", Align::Left),
        ("ENDPOINT", Align::Left),
        ("SINCE", Align::Right),
    ]);
    columns.extend([
        ("IN", Align::Right),
        ("OUT", Align::Right),
        ("NETWORKS", Align::Left),
    ]);
    let mut table = Table::new(&columns);
    for peer in peers {
        let mut cells = vec![peer.status.clone(), peer.identity.clone()];
        if many_tenants {
            cells.push(peer.tenant.clone());
        }
        cells.extend([peer.template.clone(), peer.endpoint.clone()]);
        cells.push(peer.since_s.map_or_else(|| "never".to_owned(), ago));
        cells.extend([bytes(peer.bytes_in), bytes(peer.bytes_out), networks(peer)]);
        table.row(cells);
    }
    table
}

/// The networks in one cell, or why there are none.
fn networks(peer: &PeerRow) -> String {
    const SHOWN: usize = 3;
    match (&peer.down_cause, peer.networks.as_slice()) {
        (Some(cause), _) if peer.status == "down" => format!("({cause})"),
        (_, nets) if nets.len() > SHOWN => {
            format!(
                "{} and {} more",
                nets[..SHOWN].join(" "),
                nets.len() - SHOWN
            )
        }
        (_, nets) => nets.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::api::Counts;

    fn row(status: &str, identity: &str) -> PeerRow {
        PeerRow {
            tenant: "default".into(),
            template: "1".into(),
            identity: identity.into(),
            endpoint: "120.208.142.17/8192".into(),
            status: status.into(),
            since_s: Some(3),
            networks: vec!["172.16.19.0/24".into()],
            ..PeerRow::default()
        }
    }

    #[test]
    fn a_peer_that_is_down_says_why_and_one_never_seen_says_so() {
        let mut down = row("down", "a");
        down.down_cause = Some("dpd_timeout".into());
        let mut never = row("down", "b");
        (never.since_s, never.networks) = (None, Vec::new());
        let counts = Counts {
            up: 1,
            down: 2,
            ..Counts::default()
        };
        let peers = vec![row("up", "test"), down, never];
        let text = text(&StatusReport {
            peers,
            counts,
            ..StatusReport::default()
        });
        assert!(
            text.contains("(dpd_timeout)") && text.contains("never"),
            "{text}"
        );
        assert!(
            text.contains("1 up, 0 degraded, 0 connecting, 2 down"),
            "{text}"
        );
        assert!(!text.contains("TENANT"));
    }
}
