//! What it costs to find whose a packet is, and to record an event.
#![allow(missing_docs, clippy::unwrap_used)]

mod net;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use hawser_esp::Spd;
use hawser_esp::packet::{Ecn, PacketInfo};
use hawser_flight::{Event, Path, Ring};
use hawser_policy::TrafficSelector;
use ipnet::{IpNet, Ipv4Net};
use net::{Collect, Datagram, Node, Suites, sealed, talk, to_gateway, up};
use rand::RngExt;
use rand::seq::SliceRandom;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Packets that are looked up in turn, so that not one of them is always in the cache.
const PACKETS: usize = 4096;

/// The policy of a packet from the inside, among as many policies with a network each.
fn spd(c: &mut Criterion) {
    let mut rng = net::repeatable();
    let local = [TrafficSelector::parse("192.168.100.0/24").unwrap()];
    let mut group = c.benchmark_group("spd");
    for count in [10_u32, 1_000, 100_000] {
        let mut spd = Spd::new();
        let network = |n: u32| Ipv4Addr::from(0x0a00_0000 + (n << 7));
        for n in 0..count {
            let net = IpNet::V4(Ipv4Net::new_assert(network(n), 25));
            spd.insert(n, &local, &[TrafficSelector::from_net(net)]);
        }
        let packets: Vec<(u32, PacketInfo)> = (0..PACKETS)
            .map(|_| {
                let n = rng.random_range(0..count);
                let mut packet = up(0, 64);
                packet[12..16].copy_from_slice(&[192, 168, 100, 1]);
                packet[16..20].copy_from_slice(&(u32::from(network(n)) + 5).to_be_bytes());
                (n, PacketInfo::parse(&packet).unwrap())
            })
            .collect();
        let mut next = packets.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                let (n, packet) = next.next().unwrap();
                assert_eq!(spd.lookup(black_box(packet)), Some(*n));
            });
        });
    }
}

/// From a datagram to its SA and its replay window: packets that have come already, one of each branch, in a gateway of as many.
fn demux(c: &mut Criterion) {
    let mut group = c.benchmark_group("demux");
    for count in [10, 1_000, 20_000] {
        let (mut gateway, mut replayed) = replayed(count);
        let now = Instant::now();
        let mut at = 0;
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                let mut made = Collect::default();
                let (path, payload) = &mut replayed[at];
                at = (at + 1) % count as usize;
                gateway
                    .shard
                    .datagram(now, *path, Ecn::NotEct, payload, &mut made);
                assert!(made.inner.is_empty());
            });
        });
    }
}

fn replayed(count: u32) -> (Node, Vec<Datagram>) {
    let (now, suites) = (Instant::now(), Suites::default());
    let mut gateway = Node::gateway(suites, 0, 1, now);
    let mut packets = Vec::new();
    for number in 0..count {
        let mut branch = Node::branch(suites, number, now);
        talk(now, &mut gateway, &mut branch, number);
        let esp = sealed(now, &mut branch, &mut up(number, 64));
        packets.extend(to_gateway(number, esp));
    }
    for (path, payload) in &packets {
        let mut made = Collect::default();
        let (path, mut payload): (Path, _) = (*path, payload.clone());
        gateway
            .shard
            .datagram(now, path, Ecn::NotEct, &mut payload, &mut made);
        assert_eq!(made.inner.len(), 1);
    }
    packets.shuffle(&mut net::repeatable());
    (gateway, packets)
}

/// An event into the ring of a device, which is full.
fn event(c: &mut Criterion) {
    let mut ring = Ring::new(4096);
    let events = [
        Event::ProbeAnswered {
            message_id: 7,
            rtt_us: 800,
        },
        Event::PeerUp,
        Event::InvalidSpiHint { spi: 7 },
    ];
    let mut next = events.iter().cycle();
    let mut at = 0;
    c.bench_function("event", |b| {
        b.iter(|| {
            at += 1;
            ring.record(at, black_box(next.next().unwrap()));
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = spd, demux, event
}
criterion_main!(benches);
