//! `hawser top`.

use super::client::{Call, ask, print};
use super::table::{Align, Table, ago, rate};
use super::{Health, Remote};
use crate::admin::api::{PeerRow, StatusReport, VERSION};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::thread;
use std::time::{Duration, Instant};

/// Lines of a terminal that does not say how high it is.
const HEIGHT: u16 = 24;
/// Lines of the picture that are not peers: title, space and heading.
const FRAME: usize = 4;

/// The busiest peers, again and again.
#[derive(Debug, Args)]
pub(super) struct Top {
    /// Peers of this tenant only.
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
    /// What comes first.
    #[arg(long, value_enum, default_value_t = Order::Traffic)]
    by: Order,
    /// Seconds between two pictures.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Pictures until it ends; without it, until interrupted.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    /// The most octets a second, both ways.
    Traffic,
    /// What is wrong: degraded, connecting, down, then up.
    Status,
    /// What changed last.
    Change,
}

/// A peer with what it carries.
struct Row {
    peer: PeerRow,
    /// Octets a second of ESP, from the peer and to it.
    rates: [f64; 2],
}

/// The counters of the picture before, by device, and when it was taken.
struct Before {
    at: Instant,
    octets: HashMap<u64, [u64; 2]>,
}

impl Top {
    pub(super) fn perform(&self) -> anyhow::Result<Health> {
        let quiet = Remote {
            json: false,
            ..self.remote.clone()
        };
        let mut before = None;
        let mut pictures = 0;
        loop {
            let report = self.report(&quiet)?;
            let healthy = report.healthy;
            // The first answer has no rates yet: it is what the second is compared with.
            if let Some(before) = &before {
                self.show(&report, before)?;
                pictures += 1;
            }
            if self.count.is_some_and(|count| pictures >= count) {
                return Ok(Health::when(healthy));
            }
            before = Some(Before::of(&report));
            thread::sleep(Duration::from_secs(self.every));
        }
    }

    fn report(&self, remote: &Remote) -> anyhow::Result<StatusReport> {
        let mut call = Call::get("/v1/status");
        if let Some(tenant) = &self.tenant {
            call = call.with("tenant", tenant);
        }
        ask(remote, &call)
    }

    fn show(&self, report: &StatusReport, before: &Before) -> io::Result<()> {
        let rows = rows(report, before, self.by);
        if self.remote.json {
            return print(&format!("{}\n", document(report, &rows)));
        }
        if !io::stdout().is_terminal() {
            return print(&format!("{}\n", text(report, &rows, usize::MAX)));
        }
        let height = rustix::termios::tcgetwinsize(io::stdout()).map_or(HEIGHT, |size| size.ws_row);
        let picture = text(
            report,
            &rows,
            usize::from(height).saturating_sub(FRAME).max(1),
        );
        // Home, each line erased to its end, then everything below.
        print(&format!(
            "\x1b[H{}\x1b[J",
            picture.replace('\n', "\x1b[K\n")
        ))
    }
}

impl Before {
    fn of(report: &StatusReport) -> Self {
        let octets = report
            .peers
            .iter()
            .filter_map(|peer| Some((peer.device?, [peer.bytes_in, peer.bytes_out])));
        Self {
            at: Instant::now(),
            octets: octets.collect(),
        }
    }

    /// Octets a second since then. A device that is new, or whose counters began anew, has none yet.
    fn rates(&self, peer: &PeerRow) -> [f64; 2] {
        let seconds = self.at.elapsed().as_secs_f64().max(0.001);
        let was = peer.device.and_then(|device| self.octets.get(&device));
        was.map_or([0.0; 2], |was| {
            let per_second = |now: u64, was: u64| now.saturating_sub(was) as f64 / seconds;
            [
                per_second(peer.bytes_in, was[0]),
                per_second(peer.bytes_out, was[1]),
            ]
        })
    }
}

fn rows(report: &StatusReport, before: &Before, by: Order) -> Vec<Row> {
    let row = |peer: &PeerRow| Row {
        rates: before.rates(peer),
        peer: peer.clone(),
    };
    let mut rows: Vec<Row> = report.peers.iter().map(row).collect();
    let traffic = |row: &Row| -(row.rates[0] + row.rates[1]);
    rows.sort_by(|a, b| match by {
        Order::Traffic => traffic(a).total_cmp(&traffic(b)),
        Order::Status => urgency(&a.peer).cmp(&urgency(&b.peer)),
        Order::Change => since(&a.peer).cmp(&since(&b.peer)),
    });
    rows
}

fn urgency(peer: &PeerRow) -> usize {
    let order = ["degraded", "connecting", "down", "up"];
    order
        .iter()
        .position(|status| *status == peer.status)
        .unwrap_or(order.len())
}

/// Seconds in its status; a peer that was never seen comes last.
fn since(peer: &PeerRow) -> u64 {
    peer.since_s.unwrap_or(u64::MAX)
}

fn text(report: &StatusReport, rows: &[Row], lines: usize) -> String {
    let count = &report.counts;
    let sum = |way: usize| rows.iter().map(|row| row.rates[way]).sum();
    let mut table = Table::new(&[
        ("STATUS", Align::Left),
        ("PEER", Align::Left),
        ("ENDPOINT", Align::Left),
        ("SINCE", Align::Right),
        ("IN", Align::Right),
        ("OUT", Align::Right),
        ("NETWORKS", Align::Left),
    ]);
    for Row { peer, rates } in rows.iter().take(lines) {
        table.row(vec![
            peer.status.clone(),
            peer.identity.clone(),
            peer.endpoint.clone(),
            peer.since_s.map_or_else(|| "never".to_owned(), ago),
            rate(rates[0]),
            rate(rates[1]),
            peer.networks.first().cloned().unwrap_or_default(),
        ]);
    }
    format!(
        "{} up, {} degraded, {} connecting, {} down · in {}, out {} · {} IKE SAs, {} Child SAs, {} half-open\n\n{table}",
        count.up,
        count.degraded,
        count.connecting,
        count.down,
        rate(sum(0)),
        rate(sum(1)),
        report.ike_sas,
        report.child_sas,
        report.half_open,
    )
}

/// A picture as one line of JSON.
fn document(report: &StatusReport, rows: &[Row]) -> serde_json::Value {
    let peers: Vec<_> = rows
        .iter()
        .map(|row| {
            let [inbound, outbound] = row.rates;
            json!({ "peer": row.peer, "bytes_in_per_s": inbound, "bytes_out_per_s": outbound })
        })
        .collect();
    json!({ "version": VERSION, "healthy": report.healthy, "counts": report.counts, "peers": peers })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(device: u64, status: &str, octets: [u64; 2]) -> PeerRow {
        PeerRow {
            device: Some(device),
            identity: format!("peer-{device}"),
            status: status.into(),
            bytes_in: octets[0],
            bytes_out: octets[1],
            ..PeerRow::default()
        }
    }

    fn report(peers: Vec<PeerRow>) -> StatusReport {
        StatusReport {
            peers,
            ..StatusReport::default()
        }
    }

    fn names(rows: &[Row]) -> Vec<&str> {
        rows.iter().map(|row| row.peer.identity.as_str()).collect()
    }

    #[test]
    fn the_busiest_come_first_and_a_counter_that_began_anew_is_no_traffic() {
        let mut before = Before::of(&report(vec![
            peer(1, "up", [1_000, 0]),
            peer(2, "up", [50, 50]),
            peer(3, "up", [9_000, 9_000]),
        ]));
        before.at -= Duration::from_secs(10);
        let now = report(vec![
            peer(1, "up", [1_100, 0]),
            peer(2, "down", [10_050, 50]),
            peer(3, "up", [5, 5]),
            peer(4, "up", [70_000, 0]),
        ]);
        let rows = rows(&now, &before, Order::Traffic);
        assert_eq!(names(&rows)[..2], ["peer-2", "peer-1"]);
        assert!(
            (rows[0].rates[0] - 1_000.0).abs() < 1.0,
            "{:?}",
            rows[0].rates
        );
        assert!(rows[2..].iter().all(|row| row.rates == [0.0; 2]));
    }

    #[test]
    fn what_is_wrong_comes_first_where_that_is_asked() {
        let now = report(vec![
            peer(1, "up", [0; 2]),
            peer(2, "down", [0; 2]),
            peer(3, "degraded", [0; 2]),
        ]);
        let before = Before::of(&now);
        assert_eq!(
            names(&rows(&now, &before, Order::Status)),
            ["peer-3", "peer-2", "peer-1"]
        );
    }
}
