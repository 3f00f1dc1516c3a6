//! DPD as the case documents it, to the second, and what follows when a peer is given up.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_flight::{CloseCause, Event};
use hawser_policy::{DpdMode, DpdSettings, Upkeep};
use hawser_shard::io::{Command, Reply};
use hawser_shard::view::PeerStatus;
use net::*;
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);

fn world(mode: DpdMode) -> (World, usize, usize) {
    let dpd = DpdSettings {
        mode,
        interval: 20 * SECOND,
        retry: 5 * SECOND,
        retries: 2,
    };
    let mut world = World::new(11);
    let spec = Spec {
        dpd: Some(dpd),
        ..Spec::default()
    };
    let hq = world.add(hq(&spec), 2, None);
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    world.nodes[hq].events.clear();
    (world, hq, branch)
}

fn probes(world: &World, node: usize) -> usize {
    let sent = |e: &&Event| matches!(e, Event::ProbeSent { .. });
    world.nodes[node].events.iter().filter(sent).count()
}

fn down(world: &World, node: usize) -> bool {
    let gone = Event::PeerDown {
        cause: CloseCause::DpdTimeout,
    };
    world.nodes[node].events.contains(&gone)
}

#[test]
fn on_demand_probes_only_before_sending_after_silence() {
    let (mut world, hq, branch) = world(DpdMode::OnDemand);
    world.run(300 * SECOND);
    assert_eq!(
        probes(&world, hq),
        0,
        "nothing was sent, so nothing is probed"
    );
    world.inner(branch, 0, udp(BRANCH, LAN));
    world.run(19 * SECOND);
    world.inner(hq, 0, udp(LAN, BRANCH));
    world.run(SECOND);
    assert_eq!(probes(&world, hq), 0, "ESP came within the interval");
    world.run(SECOND);
    world.inner(hq, 0, udp(LAN, BRANCH));
    world.run(SECOND);
    assert_eq!(probes(&world, hq), 1);
    world.inner(hq, 0, udp(LAN, BRANCH));
    assert_eq!(probes(&world, hq), 1, "the answer counts as a sign of life");
}

#[test]
fn on_demand_gives_up_after_two_retries() {
    let (mut world, hq, branch) = world(DpdMode::OnDemand);
    world.nodes[branch].frozen = true;
    world.run(30 * SECOND);
    world.inner(hq, 0, udp(LAN, BRANCH));
    world.run(Duration::from_millis(14_900));
    assert_eq!(world.show(hq)[0].line.status, PeerStatus::Degraded);
    assert!(
        !down(&world, hq),
        "probe and two retries, five seconds each"
    );
    world.run(Duration::from_millis(200));
    assert!(down(&world, hq));
    let peers = world.show(hq);
    assert_eq!(peers[0].line.status, PeerStatus::Down);
    assert_eq!(peers[0].line.down_cause, Some(CloseCause::DpdTimeout));
    assert!(world.nodes[hq].routes.values().all(Vec::is_empty));
}

#[test]
fn a_branch_that_was_given_up_is_the_same_device_when_it_returns() {
    let (mut world, hq, branch) = world(DpdMode::OnDemand);
    let device = world.show(hq)[0].line.device;
    world.nodes[branch].frozen = true;
    world.run(30 * SECOND);
    world.inner(hq, 0, udp(LAN, BRANCH));
    world.run(20 * SECOND);
    assert!(down(&world, hq));
    world.nodes[branch].frozen = false;
    world.nodes[branch].nat.as_mut().unwrap().port = 20_000;
    // It still believes in its SAs; what it sends next is a rekey or keepalives, until it asks.
    let old = world.show(branch)[0].line.device;
    world.command(branch, Command::Reset(old));
    world.run(120 * SECOND);
    let peers = world.show(hq);
    assert_eq!(peers.len(), 1, "{peers:#?}");
    assert_eq!(peers[0].line.device, device);
    assert_eq!(peers[0].line.status, PeerStatus::Up);
    let count = (5, 5);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 5, SECOND), count);
}

#[test]
fn periodic_probes_every_interval() {
    let (mut world, hq, _) = world(DpdMode::Periodic);
    world.run(Duration::from_millis(100_500));
    assert_eq!(probes(&world, hq), 5);
    assert!(!down(&world, hq));
}

#[test]
fn periodic_gives_up_without_traffic() {
    let (mut world, hq, branch) = world(DpdMode::Periodic);
    world.nodes[branch].frozen = true;
    world.run(34 * SECOND);
    assert!(!down(&world, hq));
    world.run(2 * SECOND);
    assert!(down(&world, hq));
}

#[test]
fn without_dpd_nobody_is_given_up() {
    let mut world = World::new(12);
    let hq = world.add(hq(&Spec::default()), 1, None);
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    world.nodes[branch].frozen = true;
    for _ in 0..60 {
        world.inner(hq, 0, udp(LAN, BRANCH));
        world.run(10 * SECOND);
    }
    // Nothing speaks for it, and nothing has ended.
    let peer = &world.show(hq)[0];
    assert_eq!(peer.line.status, PeerStatus::Degraded);
    assert_eq!(peer.ike_sas[0].children.len(), 1);
}

#[test]
fn the_hard_lifetime_ends_a_child_that_nobody_rekeys() {
    let mut world = World::new(13);
    let hq = world.add(
        hq(&Spec {
            child_life: 60,
            ..Spec::default()
        }),
        1,
        None,
    );
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    world.nodes[branch].frozen = true;
    world.run(70 * SECOND);
    let expired = |e: &Event| {
        matches!(
            e,
            Event::ChildSaRemoved {
                cause: CloseCause::Expired | CloseCause::RetransmitTimeout,
                ..
            }
        )
    };
    world.run(70 * SECOND);
    assert!(world.nodes[hq].events.iter().any(expired));
    assert!(world.nodes[hq].routes.values().all(Vec::is_empty));
}

#[test]
fn who_is_silent_for_long_is_not_shown_as_up() {
    let mut world = World::new(14);
    let spec = Spec {
        upkeep: Upkeep {
            audit: None,
            ..Upkeep::default()
        },
        ..Spec::default()
    };
    let hq = world.add(hq(&spec), 1, None);
    let branch = world.add(branch(&spec), 1, Some(nat(1)));
    world.run(14 * 60 * SECOND);
    assert_eq!(world.show(hq)[0].line.status, PeerStatus::Up);
    world.run(2 * 60 * SECOND);
    assert_eq!(world.show(hq)[0].line.status, PeerStatus::Degraded);
    world.inner(branch, 0, udp(BRANCH, LAN));
    world.run(SECOND);
    assert_eq!(world.show(hq)[0].line.status, PeerStatus::Up);
}

#[test]
fn a_ping_that_is_not_answered_fails_and_ends_nothing() {
    let mut world = World::new(15);
    let hq = world.add(hq(&Spec::default()), 1, None);
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    world.nodes[branch].frozen = true;
    let device = world.show(hq)[0].line.device;
    world.command(hq, Command::Ping(device));
    world.run(10 * SECOND);
    assert!(matches!(&world.nodes[hq].replies[..], [Reply::Failed(_)]));
    assert_eq!(world.show(hq)[0].line.status, PeerStatus::Degraded);
    world.nodes[branch].frozen = false;
    world.run(20 * SECOND);
    assert_eq!(world.show(hq)[0].line.status, PeerStatus::Up);
    world.command(hq, Command::Ping(device));
    world.run(SECOND);
    assert!(matches!(&world.nodes[hq].replies[..], [Reply::Pong { .. }]));
}

#[test]
fn on_demand_probes_are_not_repeated_with_every_packet() {
    let (mut world, hq, branch) = world(DpdMode::OnDemand);
    world.nodes[branch].frozen = true;
    world.run(30 * SECOND);
    for _ in 0..100 {
        world.inner(hq, 0, udp(LAN, BRANCH));
        world.run(Duration::from_millis(50));
    }
    assert_eq!(probes(&world, hq), 1);
}
