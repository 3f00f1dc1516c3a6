//! What two shards carry against one: each on a core of its own, packets both ways through tunnels of its own, in memory.
//!
//! Prints both and their ratio. Every packet is sealed, opened, looked up in SPD and SAD and counted, as on its way through the gateway; no
//! socket, TUN or kernel has a part in it, so what is left to share is memory, caches and the clock of the cores.
#![allow(missing_docs, clippy::unwrap_used)]

mod net;

use hawser_esp::packet::Ecn;
use hawser_policy::TenantId;
use hawser_shard::io::InnerPacket;
use net::{Collect, Datagram, Node, Suites, down, talk, to_gateway, up};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// Tunnels of a shard.
const TUNNELS: u32 = 100;
/// Packets of a tunnel that go together.
const TRAIN: usize = 32;
const OCTETS: usize = 1400;
const LENGTH: Duration = Duration::from_millis(1500);
const ROUNDS: usize = 5;

const SUITES: [Suites; 2] = [
    Suites {
        ike: "aes128-sha256-x25519",
        esp: "aes128gcm16",
    },
    Suites {
        ike: "aes128-sha256-x25519",
        esp: "aes128-sha1",
    },
];

fn main() {
    println!("| suite | one shard, Gbit/s | two shards, Gbit/s | ratio |\n|---|---|---|---|");
    for suites in SUITES {
        // In turn, so that what else the machine does falls on both.
        let rounds = (0..ROUNDS).map(|_| (carry(suites, 1), carry(suites, 2)));
        let (one, two): (Vec<f64>, Vec<f64>) = rounds.unzip();
        let (one, two) = (median(one), median(two));
        println!(
            "| {} | {one:.2} | {two:.2} | {:.2} |",
            suites.esp,
            two / one
        );
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Gbit/s of inner packets that so many shards carry together, each way counted.
fn carry(suites: Suites, shards: u8) -> f64 {
    let start = Arc::new(Barrier::new(shards.into()));
    let threads: Vec<_> = (0..shards)
        .map(|id| {
            let start = Arc::clone(&start);
            std::thread::spawn(move || {
                pin(id.into());
                let mut lane = Lane::new(suites, id, shards);
                start.wait();
                lane.run()
            })
        })
        .collect();
    threads.into_iter().map(|t| t.join().unwrap()).sum()
}

fn pin(nth: usize) {
    let allowed = sched_getaffinity(None).unwrap();
    let mut cores = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    let mut one = CpuSet::new();
    one.set(cores.nth(nth).expect("as many cores as shards"));
    sched_setaffinity(None, &one).unwrap();
}

/// A shard of the gateway and the branches at the other ends of its tunnels.
struct Lane {
    gateway: Node,
    branches: Vec<(u32, Node)>,
    octets: u64,
}

impl Lane {
    fn new(suites: Suites, id: u8, shards: u8) -> Self {
        let now = Instant::now();
        let mut gateway = Node::gateway(suites, id, shards, now);
        let connect = |n| {
            let number = u32::from(id) * TUNNELS + n;
            let mut branch = Node::branch(suites, number, now);
            talk(now, &mut gateway, &mut branch, number);
            (number, branch)
        };
        let branches = (0..TUNNELS).map(connect).collect();
        Self {
            gateway,
            branches,
            octets: 0,
        }
    }

    fn run(&mut self) -> f64 {
        let begin = Instant::now();
        while begin.elapsed() < LENGTH {
            for (number, branch) in &mut self.branches {
                let now = Instant::now();
                let sealed = seal(now, &mut self.gateway, &down(*number, OCTETS));
                self.octets += open(now, branch, net::to_branch(sealed));
                let sealed = seal(now, branch, &up(*number, OCTETS));
                self.octets += open(now, &mut self.gateway, to_gateway(*number, sealed));
            }
        }
        self.octets as f64 * 8.0 / begin.elapsed().as_secs_f64() / 1e9
    }
}

/// Seals a train.
fn seal(now: Instant, by: &mut Node, packet: &[u8]) -> Vec<Datagram> {
    let mut made = Collect::default();
    let mut octets = packet.repeat(TRAIN);
    let mut train: Vec<_> = octets
        .chunks_mut(packet.len())
        .map(InnerPacket::from)
        .collect();
    by.shard
        .inner_batch(now, TenantId(0), &mut train, &mut made);
    made.outer
}

/// Opens a train; how many octets came out.
fn open(now: Instant, by: &mut Node, mut train: Vec<Datagram>) -> u64 {
    let mut made = Collect::default();
    let path = train[0].0;
    let mut payloads: Vec<_> = train.iter_mut().map(|(_, p)| p.as_mut_slice()).collect();
    by.shard
        .datagrams(now, path, Ecn::NotEct, &mut payloads, &mut made);
    assert_eq!(made.inner.len(), TRAIN);
    made.inner.iter().map(|packet| packet.len() as u64).sum()
}
