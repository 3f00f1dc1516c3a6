//! A tunnel between two of our own: up, both ways, rekeyed, moved, down.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_flight::Event;
use hawser_shard::io::{Command, RekeyWhat};
use net::*;
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const MS: Duration = Duration::from_millis(20);

fn pair(spec: &Spec<'_>, seed: u64, shards: u8) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let hq = world.add(hq(spec), shards, None);
    let branch = world.add(branch(spec), 1, Some(nat(1)));
    (world, hq, branch)
}

#[test]
fn comes_up_and_carries_both_ways() {
    for shards in [1, 2, 3] {
        for seed in 0..8 {
            let (mut world, hq, branch) = pair(&Spec::default(), seed, shards);
            world.run(Duration::from_secs(1));
            assert_eq!(world.ping(branch, hq, BRANCH, LAN, 10, MS), (10, 10));
            let peers = world.show(hq);
            assert_eq!(peers.len(), 1);
            assert_eq!(&*peers[0].line.identity, "test");
            assert!(peers[0].ike_sas[0].peer_behind_nat);
        }
    }
}

#[test]
fn every_suite() {
    let ike = [
        "aes128-sha1-modp1024",
        "aes192-sha256-modp1536",
        "aes256-sha384-modp2048",
        "aes256-sha512-ecp256",
        "aes128gcm16-prfsha256-ecp384",
        "aes256gcm16-prfsha384-x25519",
        "chacha20poly1305-prfsha256-x25519",
    ];
    let esp = [
        "aes128-sha1",
        "aes192-sha256-x25519",
        "aes256-sha384-esn",
        "aes256-sha512-ecp256",
        "aes128gcm16-ecp384",
        "aes256gcm16-x25519-esn",
        "chacha20poly1305",
    ];
    for (ike, esp) in ike.into_iter().zip(esp) {
        let spec = Spec {
            ike,
            esp,
            child_life: 60,
            ..Spec::default()
        };
        let (mut world, hq, branch) = pair(&spec, 1, 2);
        world.run(Duration::from_secs(1));
        assert_eq!(
            world.ping(branch, hq, BRANCH, LAN, 3, MS),
            (3, 3),
            "{ike} {esp}"
        );
        // A rekey, with PFS where the suite has it.
        world.run(Duration::from_secs(70));
        assert_eq!(
            world.ping(branch, hq, BRANCH, LAN, 3, MS),
            (3, 3),
            "{ike} {esp} rekeyed"
        );
    }
}

#[test]
fn rekeys_lose_nothing_and_leak_nothing() {
    let spec = Spec {
        ike_life: 100,
        child_life: 40,
        ..Spec::default()
    };
    let (mut world, hq, branch) = pair(&spec, 7, 2);
    world.run(Duration::from_secs(1));
    let count = 30_000;
    assert_eq!(
        world.ping(branch, hq, BRANCH, LAN, count, MS),
        (count, count)
    );
    for node in [hq, branch] {
        let peers = world.show(node);
        assert_eq!(peers.len(), 1);
        assert_eq!(peers[0].ike_sas.len(), 1, "{:#?}", peers[0]);
        assert_eq!(peers[0].ike_sas[0].children.len(), 1, "{:#?}", peers[0]);
    }
    let rekeys = world.nodes[hq]
        .shards
        .iter_mut()
        .map(|s| s.counters().ike_rekeys)
        .sum::<u64>();
    assert!(rekeys >= 4, "{rekeys}");
}

#[test]
fn simultaneous_rekeys_leak_nothing() {
    let mut met = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let (mut world, hq, branch) = pair(&Spec::default(), seed, 1 + (seed % 2) as u8);
        world.run(Duration::from_secs(1));
        for round in 0..4 {
            for node in [hq, branch] {
                let devices: Vec<_> = world.show(node).iter().map(|p| p.line.device).collect();
                devices
                    .into_iter()
                    .for_each(|d| world.command(node, Command::Rekey(d, RekeyWhat::All)));
                if (seed + round) % 3 == 0 {
                    world.run(Duration::from_millis(5 * ((seed + round) % 7)));
                }
            }
            let count = 200;
            let got = world.ping(branch, hq, BRANCH, LAN, count, MS);
            assert_eq!(got, (count, count), "seed {seed} round {round}");
        }
        world.run(Duration::from_secs(60));
        for node in [hq, branch] {
            let peers = world.show(node);
            assert_eq!(peers[0].ike_sas.len(), 1, "seed {seed} {:#?}", peers[0]);
            assert_eq!(
                peers[0].ike_sas[0].children.len(),
                1,
                "seed {seed} {:#?}",
                peers[0]
            );
        }
        for routes in world.nodes[hq].routes.values() {
            assert_eq!(routes.len(), 1);
        }
        met.extend(
            world
                .nodes
                .iter()
                .flat_map(|n| &n.events)
                .filter_map(|e| match e {
                    Event::Collision { case } => Some(*case),
                    _ => None,
                }),
        );
    }
    let wanted = ["rekey IKE SA, both", "rekey child, both"];
    assert!(
        wanted.iter().all(|w| met.contains(w)),
        "not every collision was met: {met:?}"
    );
}

#[test]
fn survives_loss() {
    for seed in 0..40 {
        let spec = Spec {
            ike_life: 200,
            child_life: 60,
            ..Spec::default()
        };
        let (mut world, hq, branch) = pair(&spec, seed, 2);
        world.loss = if seed % 2 == 0 { 0.2 } else { 0.3 };
        world.run(Duration::from_secs(600));
        world.loss = 0.0;
        world.run(Duration::from_secs(40));
        let got = world.ping(branch, hq, BRANCH, LAN, 10, MS);
        assert_eq!(
            got,
            (10, 10),
            "seed {seed}\n{:#?}\n{:#?}",
            world.show(hq),
            world.show(branch)
        );
        world.run(Duration::from_secs(30));
        for node in [hq, branch] {
            let children: usize = world
                .show(node)
                .iter()
                .flat_map(|p| &p.ike_sas)
                .map(|s| s.children.len())
                .sum();
            assert!(children <= 2, "seed {seed}: {:#?}", world.show(node));
        }
    }
}

#[test]
fn follows_a_nat_rebind() {
    let (mut world, hq, branch) = pair(&Spec::default(), 3, 2);
    world.run(Duration::from_secs(1));
    for port in [11_000, 12_000, 13_000] {
        world.nodes[branch].nat.as_mut().unwrap().port = port;
        world.inner(branch, 0, udp(BRANCH, LAN));
        world.run(Duration::from_secs(3));
        assert_eq!(world.ping(branch, hq, BRANCH, LAN, 5, MS), (5, 5));
        let moved =
            |e: &Event| matches!(e, Event::EndpointMoved { to, .. } if to.port() == port + 500);
        assert!(world.nodes[hq].events.iter().any(moved));
    }
}

#[test]
fn replayed_and_forged_packets_move_nothing() {
    let (mut world, hq, branch) = pair(&Spec::default(), 4, 1);
    world.run(Duration::from_secs(1));
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 5, MS), (5, 5));
    let captured = world.nodes[branch].overheard.clone();
    let thief = "203.0.113.9:4500".parse().unwrap();
    for (path, bytes) in captured {
        let to = std::net::SocketAddr::new(HQ.parse().unwrap(), path.remote.port());
        world.inject(thief, hq, to, bytes.clone());
        let mut forged = bytes;
        let last = forged.len() - 1;
        forged[last] ^= 1;
        world.inject(thief, hq, to, forged);
    }
    world.run(Duration::from_secs(40));
    assert!(
        !world.nodes[hq]
            .events
            .iter()
            .any(|e| matches!(e, Event::EndpointMoved { .. }))
    );
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 5, MS), (5, 5));
    assert_eq!(world.show(hq).len(), 1);
}

#[test]
fn shutting_down_tells_the_peer_and_leaves_nothing() {
    let (mut world, hq, branch) = pair(&Spec::default(), 5, 2);
    world.run(Duration::from_secs(1));
    world.command(hq, Command::Shutdown);
    world.run(Duration::from_millis(500));
    assert_eq!(world.nodes[hq].finished, 2);
    assert!(world.nodes[hq].routes.values().all(Vec::is_empty));
    assert!(
        world.nodes[branch]
            .events
            .iter()
            .any(|e| matches!(e, Event::DeleteReceived { .. }))
    );
    assert!(world.show(branch).iter().all(|p| p.ike_sas.is_empty()));
}
