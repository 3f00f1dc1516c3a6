#![allow(clippy::unwrap_used)]
use super::*;
use crate::counters::EngineCounters;
use crate::testing;
use hawser_shard::counters::PeerCount;
use hawser_shard::io::ShardId;
use std::io::Write;
use std::process::{Command, Stdio};

fn published() -> (Metrics, String) {
    let policy = testing::policy(2);
    let mut snapshots: Vec<ShardSnapshot> = (0..2u8)
        .map(|shard| ShardSnapshot {
            shard: ShardId(shard),
            counters: Counters {
                handshakes: 20,
                ..Counters::default()
            },
            engine: EngineCounters::default(),
        })
        .collect();
    snapshots[0]
        .counters
        .tunnels_down
        .count(CloseCause::DpdTimeout);
    snapshots[1].counters.drops.count(DropReason::Replayed);
    snapshots[1].engine.drops.count(DropReason::RingFull);
    for snapshot in &mut snapshots {
        snapshot.counters.peers.push(PeerCount {
            tenant: "default".into(),
            template: "branches".into(),
            status: PeerStatus::Up,
            count: 25_000,
        });
    }
    let metrics = Metrics::start(None).unwrap();
    let incidents = Incidents::start(None, &mut Vec::new()).unwrap();
    metrics.publish(
        &snapshots,
        &policy,
        &RouteStatus::default(),
        &incidents,
        None,
        None,
    );
    let text = metrics.render();
    (metrics, text)
}

#[test]
fn sums_reasons_and_zeros_are_exported() {
    let (_, text) = published();
    for line in [
        "hawser_handshakes_total 40",
        "hawser_tunnel_down_total{reason=\"dpd_timeout\"} 1",
        "hawser_tunnel_down_total{reason=\"expired\"} 0",
        "hawser_esp_drops_total{reason=\"replayed\"} 1",
        "hawser_esp_drops_total{reason=\"ring_full\"} 1",
        "hawser_esp_drops_total{reason=\"unknown_spi\"} 0",
        "hawser_peers{tenant=\"default\",template=\"branches\",status=\"up\"} 50000",
        "hawser_peers{tenant=\"default\",template=\"branches\",status=\"down\"} 0",
        "hawser_shard_loop_lag_seconds{shard=\"1\"} 0",
    ] {
        assert!(
            text.lines().any(|l| l == line),
            "{line} is missing in\n{text}"
        );
    }
}

#[test]
fn every_metric_has_help_and_every_help_a_metric() {
    let (_, text) = published();
    let names = |prefix: &str| -> std::collections::BTreeSet<String> {
        let word = |l: &str| {
            l.strip_prefix(prefix)?
                .split([' ', '{'])
                .next()
                .map(str::to_owned)
        };
        text.lines()
            .filter(|l| prefix != "h" || l.starts_with("hawser_"))
            .filter_map(word)
            .collect()
    };
    let help = names("# HELP ");
    let used = names("h").into_iter().map(|n| format!("h{n}")).collect();
    assert_eq!(help, used);
    assert_eq!(
        help.len(),
        text.lines().filter(|l| l.starts_with("# TYPE ")).count()
    );
}

/// Prometheus' own linter, where it is installed (CI has it).
#[test]
fn promtool_accepts_them() {
    let (_, text) = published();
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let Ok(mut child) = promtool
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        eprintln!("skipped: no promtool");
        return;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
}
