//! Whether a peer costs the same among 100 and among 50,000: set up, and kept with DPD for ten minutes of its life.
//!
//! Prints a table. Time is the gateway's shard's alone, key exchanges included; no socket and no kernel has a part in it.
#![allow(missing_docs, clippy::unwrap_used)]

mod net;

use net::{Node, Suites, answered, number_of, talk, to_gateway};
use std::time::{Duration, Instant};

const PEERS: [u32; 4] = [100, 1_000, 10_000, 50_000];
const KEPT: Duration = Duration::from_secs(600);
/// Over how long the branches come up.
const ARRIVAL: Duration = Duration::from_secs(60);
/// As many set-ups of the least are taken together, so that their time can be measured.
const LEAST: u32 = 2_000;

fn main() {
    println!(
        "| peers | set-up, us a peer | kept ten minutes, us a peer | probes a peer |\n|---|---|---|---|"
    );
    for peers in PEERS {
        let runs = (LEAST / peers).max(1);
        let costs: Vec<Cost> = (0..runs).map(|_| keep(peers)).collect();
        let each = |of: fn(&Cost) -> f64| {
            costs.iter().map(of).sum::<f64>() / f64::from(runs) / f64::from(peers)
        };
        println!(
            "| {peers} | {:.1} | {:.1} | {:.1} |",
            each(|c| c.set_up.as_secs_f64() * 1e6),
            each(|c| c.kept.as_secs_f64() * 1e6),
            each(|c| c.probes as f64),
        );
    }
}

struct Cost {
    set_up: Duration,
    kept: Duration,
    probes: u64,
}

fn keep(peers: u32) -> Cost {
    let (begin, suites) = (Instant::now(), Suites::default());
    let mut gateway = Node::gateway(suites, 0, 1, begin);
    let mut branches = Vec::new();
    for number in 0..peers {
        let now = begin + ARRIVAL * number / peers;
        let mut branch = Node::branch(suites, number, now);
        talk(now, &mut gateway, &mut branch, number);
        branches.push(branch);
    }
    assert_eq!(gateway.shard.counters().child_sas, u64::from(peers));
    let set_up = std::mem::take(&mut gateway.spent);
    let end = begin + ARRIVAL + KEPT;
    while let Some(now) = gateway.shard.next_timeout().filter(|at| *at <= end) {
        for (path, payload) in gateway.timeout(now) {
            let number = number_of(&path);
            let branch = &mut branches[number as usize];
            let answers = answered(now, branch, vec![(path, payload)]);
            for answer in to_gateway(number, answers) {
                assert!(gateway.datagram(now, answer).is_empty());
            }
        }
    }
    let counters = gateway.shard.counters();
    assert_eq!(counters.probes_answered, counters.probes_sent);
    assert_eq!(counters.child_sas, u64::from(peers));
    Cost {
        set_up,
        kept: gateway.spent,
        probes: gateway.shard.counters().probes_sent,
    }
}
