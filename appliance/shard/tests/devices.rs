//! Successor or another device, overlap, and what must never be routed.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_flight::{Event, HandshakeFailure, Role};
use hawser_shard::io::{Command, RekeyWhat};
use net::*;
use std::time::Duration;

const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(20);

fn lan(n: u8) -> String {
    format!("172.16.{n}.0/24")
}

fn happened(world: &World, node: usize, what: impl Fn(&Event) -> bool) -> bool {
    world.nodes[node].events.iter().any(what)
}

#[test]
fn branches_of_one_name_are_devices_of_their_own() {
    for shards in 1..=3 {
        let mut world = World::new(u64::from(shards));
        let hq = world.add(hq(&Spec::default()), shards, None);
        let branches: Vec<usize> = (1..=20)
            .map(|n| {
                let spec = Spec {
                    lan: &lan(n),
                    ..Spec::default()
                };
                world.add(branch(&spec), 1, Some(nat(n)))
            })
            .collect();
        world.run(SECOND);
        assert_eq!(world.show(hq).len(), 20);
        for (n, branch) in (1..=20).zip(branches) {
            let inside = [172, 16, n, 5];
            assert_eq!(
                world.ping(branch, hq, inside, LAN, 3, MS),
                (3, 3),
                "branch {n}"
            );
        }
    }
}

#[test]
fn a_branch_that_forgot_everything_takes_its_place_again() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let hq = world.add(hq(&Spec::default()), 2, None);
        let first = world.add(branch(&Spec::default()), 1, Some(nat(1)));
        world.run(SECOND);
        let device = world.show(hq)[0].line.device;
        // It crashes and comes back on another port; nobody answers on the old one.
        world.nodes[first].frozen = true;
        world.nodes[first].nat.as_mut().unwrap().port = 30_000;
        let again = world.add(branch(&Spec::default()), 1, Some(nat(2)));
        world.run(SECOND);
        let inside = [172, 16, 1, 5];
        assert_eq!(
            world.ping(again, hq, inside, LAN, 3, MS),
            (3, 3),
            "seed {seed}"
        );
        world.run(60 * SECOND);
        let peers = world.show(hq);
        assert_eq!(peers.len(), 1, "seed {seed}: {peers:#?}");
        assert_eq!(peers[0].line.device, device);
        assert_eq!(peers[0].ike_sas.len(), 1, "seed {seed}");
        assert_eq!(
            world.ping(again, hq, inside, LAN, 3, MS),
            (3, 3),
            "seed {seed}"
        );
    }
}

#[test]
fn of_two_living_branches_with_the_same_network_the_older_keeps_it() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let hq = world.add(hq(&Spec::default()), 2, None);
        let older = world.add(branch(&Spec::default()), 1, Some(nat(1)));
        world.run(SECOND);
        let newer = world.add(branch(&Spec::default()), 1, Some(nat(2)));
        world.run(Duration::from_millis(500));
        assert!(happened(&world, hq, |e| matches!(
            e,
            Event::SelectorConflict { .. }
        )));
        let inside = [172, 16, 1, 5];
        let got = world.ping(older, hq, inside, LAN, 5, MS);
        assert_eq!(got, (5, 5), "seed {seed}");
        let _ = newer;
    }
}

#[test]
fn another_identity_is_refused_what_a_living_device_holds() {
    let mut world = World::new(1);
    let hq = world.add(hq(&Spec::default()), 2, None);
    let honest = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    let spec = Spec {
        identity: "thief",
        lan: "172.16.0.0/16",
        ..Spec::default()
    };
    let thief = world.add(branch(&spec), 1, Some(nat(2)));
    world.run(SECOND);
    assert!(happened(&world, hq, |e| matches!(
        e,
        Event::SelectorConflict { .. }
    )));
    // Its IKE SA stands; it was refused a Child SA, and that is all that is said.
    let reason = HandshakeFailure::SelectorConflict;
    let role = Role::Responder;
    let refused = Event::ChildSaRefused { role, reason };
    let times = |wanted: &dyn Fn(&Event) -> bool| {
        world.nodes[hq].events.iter().filter(|e| wanted(e)).count()
    };
    assert_eq!(times(&|e| *e == refused), 1);
    assert_eq!(times(&|e| matches!(e, Event::HandshakeFailed { .. })), 0);
    assert_eq!(times(&|e| matches!(e, Event::IkeSaEstablished { .. })), 2);
    let inside = [172, 16, 1, 5];
    assert_eq!(world.ping(honest, hq, inside, LAN, 5, MS), (5, 5));
    assert!(
        world
            .show(thief)
            .iter()
            .all(|p| p.ike_sas.iter().all(|s| s.children.is_empty()))
    );
    // Once the holder is gone, its network is free.
    let device = world.show(honest)[0].line.device;
    world.command(honest, Command::Reset(device));
    world.nodes[honest].frozen = true;
    world.run(Duration::from_millis(500));
    let device = world.show(thief)[0].line.device;
    world.command(thief, Command::Reset(device));
    world.run(10 * SECOND);
    assert_eq!(world.ping(thief, hq, inside, LAN, 5, MS), (5, 5));
}

#[test]
fn what_would_swallow_the_outside_is_never_routed() {
    for claim in [
        "0.0.0.0/0",
        "192.0.2.0/24",
        "198.51.100.0/24",
        "128.0.0.0/1",
        "0.0.0.0/1",
        "32.0.0.0/3",
    ] {
        let mut world = World::new(1);
        let hq = world.add(hq(&Spec::default()), 1, None);
        let spec = Spec {
            lan: claim,
            ..Spec::default()
        };
        world.add(branch(&spec), 1, Some(nat(1)));
        world.run(SECOND);
        let refused = |e: &Event| matches!(e, Event::RouteRefused { .. });
        assert!(happened(&world, hq, refused), "{claim}");
        assert!(world.nodes[hq].routes.is_empty(), "{claim}");
    }
}

#[test]
fn a_packet_of_another_branchs_network_delivers_nothing() {
    let mut world = World::new(1);
    let hq = world.add(hq(&Spec::default()), 1, None);
    let a = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    // The branch's own policy lets it through; headquarters' does not.
    let spoofed = udp([172, 16, 2, 5], LAN);
    world.nodes[hq].delivered.clear();
    world.inner(a, 0, spoofed);
    world.run(SECOND);
    assert!(world.nodes[hq].delivered.is_empty());
}

#[test]
fn a_successor_that_the_peer_never_got_does_not_end_the_living_sa() {
    let mut world = World::new(5);
    let hq = world.add(hq(&Spec::default()), 2, None);
    let living = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    // From the same endpoint comes a handshake whose last answer arrives nowhere.
    world.nodes[living].nat.as_mut().unwrap().port = 20_000;
    let lost = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(Duration::from_millis(35));
    world.nodes[lost].frozen = true;
    world.nodes[lost].nat.as_mut().unwrap().port = 30_000;
    world.nodes[living].nat.as_mut().unwrap().port = 10_000;
    world.nodes[living].events.clear();
    // What goes to it keeps to the old pair until the new one is confirmed.
    assert_eq!(world.ping(living, hq, [172, 16, 1, 5], LAN, 5, MS), (5, 5));
    world.run(60 * SECOND);
    let deleted = |e: &Event| matches!(e, Event::DeleteReceived { .. });
    assert!(!happened(&world, living, deleted));
    assert_eq!(world.ping(living, hq, [172, 16, 1, 5], LAN, 5, MS), (5, 5));
    assert_eq!(world.show(hq)[0].ike_sas.len(), 1);
}

#[test]
fn a_replaced_tunnel_is_never_down_between() {
    for seed in 0..10 {
        let mut world = World::new(seed);
        let hq = world.add(hq(&Spec::default()), 2, None);
        let first = world.add(branch(&Spec::default()), 1, Some(nat(1)));
        world.run(SECOND);
        world.nodes[hq].events.clear();
        world.nodes[first].frozen = true;
        world.nodes[first].nat.as_mut().unwrap().port = 30_000;
        // Break before make, from the same endpoint.
        let again = world.add(branch(&Spec::default()), 1, Some(nat(1)));
        world.run(150 * SECOND);
        assert!(!happened(&world, hq, |e| matches!(
            e,
            Event::PeerDown { .. }
        )));
        assert_eq!(world.show(hq)[0].ike_sas.len(), 1);
        assert_eq!(world.ping(again, hq, [172, 16, 1, 5], LAN, 5, MS), (5, 5));
    }
}

#[test]
fn a_contest_is_settled_also_when_the_older_rekeys_meanwhile() {
    for seed in 0..10 {
        let mut world = World::new(seed);
        let hq = world.add(hq(&Spec::default()), 2, None);
        let older = world.add(branch(&Spec::default()), 1, Some(nat(1)));
        world.run(SECOND);
        world.nodes[older].frozen = true;
        let newer = world.add(branch(&Spec::default()), 1, Some(nat(2)));
        world.run(Duration::from_millis(45));
        world.nodes[older].frozen = false;
        let device = world.show(older)[0].line.device;
        world.command(older, Command::Rekey(device, RekeyWhat::All));
        world.run(20 * SECOND);
        world.nodes[newer].frozen = true;
        world.run(120 * SECOND);
        let inside = [172, 16, 1, 5];
        assert_eq!(
            world.ping(older, hq, inside, LAN, 5, MS),
            (5, 5),
            "seed {seed}"
        );
        assert_eq!(world.show(hq).len(), 1);
        assert_eq!(world.show(hq)[0].ike_sas.len(), 1);
    }
}

#[test]
fn what_one_identity_holds_at_two_places_is_nobody_elses() {
    let mut world = World::new(6);
    let hq = world.add(hq(&Spec::default()), 2, None);
    let nodes: Vec<usize> = [1, 2]
        .map(|n| {
            let spec = Spec {
                lan: &lan(n),
                ..Spec::default()
            };
            world.add(branch(&spec), 1, Some(nat(n)))
        })
        .into();
    world.run(SECOND);
    // A third of the same name claims both networks at once.
    let spec = Spec {
        lan: "172.16.0.0/16",
        ..Spec::default()
    };
    world.add(branch(&spec), 1, Some(nat(3)));
    world.run(SECOND);
    let conflict = |e: &Event| matches!(e, Event::SelectorConflict { .. });
    assert!(happened(&world, hq, conflict));
    for (n, node) in [1, 2].into_iter().zip(nodes) {
        let inside = [172, 16, n, 5];
        assert_eq!(world.ping(node, hq, inside, LAN, 3, MS), (3, 3));
    }
}
