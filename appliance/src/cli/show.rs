//! `hawser show PEER`.

use super::Health;
use super::client::{Call, ask};
use super::peer::Target;
use super::table::{Align, Table, ago, bytes};
use crate::admin::api::{ChildSaRow, IkeSaRow, PeerReport};
use clap::Args;

/// Everything about one peer.
#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    target: Target,
}

impl Show {
    pub(super) fn perform(&self) -> anyhow::Result<Health> {
        let call = Call::get("/v1/peer").with("peer", &self.target.peer);
        let report: PeerReport = ask(&self.target.remote, &call)?;
        self.target.say(&text(&report))?;
        Ok(Health::when(report.peer.line.status == "up"))
    }
}

fn text(report: &PeerReport) -> String {
    let peer = &report.peer;
    let mut out = super::status::table(std::slice::from_ref(&peer.line)).to_string();
    for sa in &peer.ike_sas {
        out.push_str(&ike_sa(sa));
        if !sa.children.is_empty() {
            out.push_str(&format!("\n{}", children(&sa.children)));
        }
    }
    if peer.ike_sas.is_empty() {
        out.push_str("\nno IKE SA\n");
    }
    out
}

fn ike_sa(sa: &IkeSaRow) -> String {
    let nat = match (sa.peer_behind_nat, sa.local_behind_nat) {
        (false, false) => "no NAT",
        (true, false) => "the peer is behind a NAT",
        (false, true) => "we are behind a NAT",
        (true, true) => "both ends are behind NATs",
    };
    let path = &sa.path;
    let wire = if path.encapsulated {
        "UDP-encapsulated"
    } else {
        "plain"
    };
    format!(
        "\nIKE SA {}_{}  {}, we are the {}\n  suite  {}\n  path   {} - {}, {wire}, {nat}\n  \
         age    {}, ends in {}, last message {} ago\n  rekey  {}\n",
        sa.spi_i,
        sa.spi_r,
        sa.state,
        sa.role,
        sa.suite,
        path.local,
        path.remote,
        ago(sa.age_s),
        end(sa.expires_in_s),
        ago(sa.idle_in_s),
        renewal(sa),
    )
}

/// Who is going to renew an IKE SA, and when.
fn renewal(sa: &IkeSaRow) -> String {
    let ours = sa.rekeys_in_s.map(|s| format!("by us in {}", ago(s)));
    let theirs = sa.peer_renews_in_s;
    let theirs = theirs.map(|[from, to]| format!("by the peer in {} to {}", ago(from), ago(to)));
    let both: Vec<String> = theirs.into_iter().chain(ours).collect();
    if both.is_empty() {
        "not by us".to_owned()
    } else {
        both.join(", ")
    }
}

fn children(children: &[ChildSaRow]) -> Table {
    let mut table = Table::new(&[
        ("CHILD", Align::Left),
        ("SPI IN/OUT", Align::Left),
        ("SUITE", Align::Left),
        ("AGE", Align::Right),
        ("ENDS IN", Align::Right),
        ("IN", Align::Right),
        ("OUT", Align::Right),
        ("LAST IN", Align::Right),
        ("SELECTORS", Align::Left),
    ]);
    for child in children {
        let standby = if child.outbound_active {
            ""
        } else {
            " (not sending)"
        };
        table.row(vec![
            format!("{}{standby}", child.name),
            format!("{}/{}", child.spi_in, child.spi_out),
            child.suite.clone(),
            ago(child.age_s),
            end(child.expires_in_s),
            format!("{} / {}", child.packets_in, bytes(child.bytes_in)),
            format!("{} / {}", child.packets_out, bytes(child.bytes_out)),
            child.idle_in_s.map_or_else(|| "never".to_owned(), ago),
            format!("{} === {}", child.local.join(" "), child.remote.join(" ")),
        ]);
    }
    table
}

fn end(seconds: Option<u64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), ago)
}
