//! The endpoint follows what is authentic and new, and nothing else.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_flight::Event;
use hawser_shard::io::{Command, RekeyWhat};
use net::*;
use std::net::SocketAddr;
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(20);

fn pair(seed: u64) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let hq = world.add(hq(&Spec::default()), 2, None);
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    (world, hq, branch)
}

fn moves(world: &World, node: usize) -> Vec<u16> {
    let to = |e: &Event| match e {
        Event::EndpointMoved { to, .. } => Some(to.port()),
        _ => None,
    };
    world.nodes[node].events.iter().filter_map(to).collect()
}

/// What the branch sends is lost, and comes late.
fn intercepted(world: &mut World, branch: usize, act: impl FnOnce(&mut World)) -> Vec<u8> {
    world.loss = 1.0;
    world.nodes[branch].overheard.clear();
    act(world);
    world.loss = 0.0;
    world.nodes[branch].overheard.remove(0).1
}

fn hq_port() -> SocketAddr {
    SocketAddr::new(HQ.parse().unwrap(), 4500)
}

#[test]
fn a_late_packet_of_a_replaced_child_sa_does_not_move_back() {
    let spec = Spec {
        child_life: 60,
        ..Spec::default()
    };
    let mut world = World::new(1);
    let hq = world.add(hq(&spec), 2, None);
    let branch = world.add(branch(&spec), 1, Some(nat(1)));
    world.run(40 * SECOND);
    let before = world.nodes[branch].nat.as_ref().unwrap().translate(4500);
    let mut late = || {
        intercepted(&mut world, branch, |w| {
            w.inner(branch, 0, udp(BRANCH, LAN));
        })
    };
    let late = [late(), late()];
    world.nodes[branch].events.clear();
    let rekeyed = |e: &Event| matches!(e, Event::ChildSaInstalled { .. });
    while !world.nodes[branch].events.iter().any(rekeyed) {
        world.run(Duration::from_millis(1));
    }
    // Its DELETE of the old pair is lost, and comes in a second.
    world.drop_flying();
    // Both when the old pair still stands, and when it only lingers.
    for ((rebind, wait), late) in [(20_000, 0), (21_000, 2)].into_iter().zip(late) {
        world.nodes[branch].nat.as_mut().unwrap().port = rebind;
        world.inner(branch, 0, udp(BRANCH, LAN));
        world.run(MS);
        let moved = moves(&world, hq);
        assert_eq!(moved.last(), Some(&(rebind + 500)));
        world.run(wait * SECOND);
        world.inject(before, hq, hq_port(), late);
        world.run(MS);
        assert_eq!(moves(&world, hq), moved);
        assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
    }
}

#[test]
fn a_late_message_of_a_replaced_ike_sa_does_not_move_back() {
    let (mut world, hq, branch) = pair(2);
    let before = world.nodes[branch].nat.as_ref().unwrap().translate(4500);
    let peer = world.show(branch).remove(0);
    let old = u64::from_str_radix(&peer.ike_sas[0].spi_i, 16).unwrap();
    world.command(branch, Command::Rekey(peer.line.device, RekeyWhat::All));
    world.nodes[branch].events.clear();
    let rekeyed = |e: &Event| matches!(e, Event::IkeSaEstablished { .. });
    while !world.nodes[branch].events.iter().any(rekeyed) {
        world.nodes[branch].overheard.clear();
        world.run(Duration::from_millis(10));
    }
    // What it sent last on the old SA is the DELETE.
    let sent = world.nodes[branch].overheard.drain(..);
    let mut sent = sent.filter(|(_, bytes)| bytes[4..12] == old.to_be_bytes());
    let (_, late) = sent.next_back().unwrap();
    drop(sent);
    world.nodes[branch].nat.as_mut().unwrap().port = 20_000;
    world.drop_flying();
    world.inner(branch, 0, udp(BRANCH, LAN));
    world.run(MS);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
    assert_eq!(moves(&world, hq), [20_500]);
    world.inject(before, hq, hq_port(), late);
    world.run(MS);
    assert_eq!(moves(&world, hq), [20_500]);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
}

#[test]
fn a_flapping_mapping_is_followed_at_a_bounded_rate() {
    let (mut world, hq, branch) = pair(3);
    for n in 0..40 {
        world.nodes[branch].nat.as_mut().unwrap().port = 20_000 + (n % 2) * 1000;
        world.inner(branch, 0, udp(BRANCH, LAN));
        world.run(MS);
    }
    assert_eq!(moves(&world, hq).len(), 10);
    world.run(20 * SECOND);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 1, MS).1, 1);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
}

#[test]
fn a_move_that_nobody_answers_for_a_while_ends_nothing_without_dpd() {
    let (mut world, hq, branch) = pair(4);
    world.nodes[branch].nat.as_mut().unwrap().port = 20_000;
    world.inner(branch, 0, udp(BRANCH, LAN));
    world.run(Duration::from_millis(15));
    world.nodes[branch].frozen = true;
    world.run(30 * SECOND);
    world.nodes[branch].frozen = false;
    world.run(30 * SECOND);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
    let down = |e: &Event| matches!(e, Event::PeerDown { .. });
    assert!(!world.nodes[hq].events.iter().any(down));
}

/// What comes again moves nothing; but who sends it may be there, and is asked.
#[test]
fn a_request_that_comes_again_from_elsewhere_is_asked_there() {
    let (mut world, hq, branch) = pair(6);
    // Headquarters' answers are lost, and then the NAT chooses another port.
    let device = world.show(branch)[0].line.device;
    world.nodes[branch].frozen = true;
    world.command(branch, Command::Ping(device));
    world.run(SECOND / 2);
    let device = world.show(hq)[0].line.device;
    world.command(hq, Command::Ping(device));
    world.run(SECOND / 4);
    world.nodes[branch].nat.as_mut().unwrap().port = 20_000;
    world.nodes[branch].frozen = false;
    world.run(8 * SECOND);
    let there = world.nodes[branch].nat.as_ref().unwrap().translate(4500);
    assert_eq!(moves(&world, hq), [there.port()]);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 5, MS), (5, 5));
}
