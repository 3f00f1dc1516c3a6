//! A device is owned by one shard, wherever its handshakes and datagrams arrive.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_flight::MessageError;
use hawser_shard::io::{Command, DirectoryRequest, Question};
use net::*;
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(20);
const FORWARDED: usize = 3;

fn unknown_spis(world: &mut World, node: usize) -> u64 {
    let of = |shard: &mut hawser_shard::Shard| {
        let mut errors = shard.counters().message_errors.iter();
        errors
            .find(|(reason, _)| *reason == MessageError::UnknownIkeSpi)
            .unwrap()
            .1
    };
    world.nodes[node].shards.iter_mut().map(of).sum()
}

/// A headquarters whose shard 0 has a device that is gone, and a branch that returns as that
/// device by shard 1.
fn returning(seed: u64, shards: u8) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let hq = world.add(hq(&Spec::default()), shards, None);
    world.nodes[hq].steer = Some(0);
    let first = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    world.nodes[first].frozen = true;
    world.nodes[hq].steer = Some(1);
    let again = world.add(branch(&Spec::default()), 1, Some(nat(2)));
    (world, hq, again)
}

#[test]
fn an_ike_auth_that_comes_again_while_its_sa_is_placed_is_absorbed() {
    let mut world = World::new(1);
    let hq = world.add(hq(&Spec::default()), 2, None);
    world.nodes[hq].withhold = |q| matches!(q, Question::Directory(_));
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(4 * SECOND);
    assert_eq!(unknown_spis(&mut world, hq), 0);
    world.release(hq);
    world.run(SECOND);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
    assert_eq!(world.nodes[hq].footprint()[FORWARDED], 0);
}

#[test]
fn an_ike_auth_that_comes_again_while_its_sa_is_handed_over_is_absorbed() {
    for shards in [2, 3] {
        let (mut world, hq, branch) = returning(2, shards);
        world.nodes[hq].hold_mail = true;
        world.run(4 * SECOND);
        assert!(world.nodes[hq].footprint()[FORWARDED] > 0);
        // Nothing unprotected was said about it.
        let in_clear = |bytes: &[u8]| bytes[..4] == [0; 4] && bytes[4 + 16] == 41;
        let mut sent = world.nodes[hq].overheard.iter();
        assert!(!sent.any(|(path, bytes)| path.encapsulated && in_clear(bytes)));
        world.release(hq);
        world.run(2 * SECOND);
        assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
    }
}

#[test]
fn what_arrives_at_a_third_shard_finds_the_sa_that_was_handed_over() {
    let (mut world, hq, branch) = returning(3, 3);
    world.run(Duration::from_millis(500));
    assert!(world.nodes[hq].footprint()[FORWARDED] > 0);
    for steer in [2, 1, 0] {
        world.nodes[hq].steer = Some(steer);
        let device = world.show(branch)[0].line.device;
        world.nodes[branch].replies.clear();
        world.command(branch, Command::Ping(device));
        world.run(Duration::from_millis(100));
        let replies = &world.nodes[branch].replies;
        let pong = |r: &hawser_shard::io::Reply| matches!(r, hawser_shard::io::Reply::Pong { .. });
        assert!(replies.iter().any(pong), "by shard {steer}: {replies:?}");
    }
    world.nodes[hq].steer = Some(2);
    let device = world.show(branch)[0].line.device;
    world.command(branch, Command::Reset(device));
    world.run(Duration::from_millis(100));
    world.nodes[branch].frozen = true;
    // As long as what has ended is kept.
    world.run(700 * SECOND);
    assert_eq!(
        world.nodes[hq].footprint()[FORWARDED],
        0,
        "nothing is forwarded any more"
    );
    assert!(world.show(hq).iter().all(|p| p.ike_sas.is_empty()));
}

#[test]
fn an_sa_that_is_handed_over_to_a_device_that_is_forgotten_begins_anew() {
    let (mut world, hq, branch) = returning(4, 2);
    world.nodes[hq].hold_mail = true;
    world.run(SECOND);
    let [old] = &world.nodes[hq].directory.alive()[..] else {
        panic!("one device");
    };
    let old = old.device;
    world.command(hq, Command::Reset(old));
    world.run(SECOND);
    world.release(hq);
    world.run(5 * SECOND);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
    assert!(world.nodes[hq].routes.values().all(|r| r.len() <= 1));
}

fn locates(question: &Question) -> bool {
    matches!(
        question,
        Question::Directory(DirectoryRequest::Locate { .. })
    )
}

/// Everything comes together at one device, one owner of the route, and traffic flows.
fn converges(world: &mut World, hq: usize, seed: u64) {
    world.run(120 * SECOND);
    let alive = world.nodes[hq].directory.alive();
    assert_eq!(alive.len(), 1, "seed {seed}: {alive:?}");
    let lan = world.nodes[hq].routes.values().filter(|r| !r.is_empty());
    assert_eq!(lan.map(Vec::len).collect::<Vec<_>>(), [1], "seed {seed}");
    assert!(world.nodes[hq].footprint()[FORWARDED] <= 1);
}

#[test]
fn two_handshakes_at_the_same_time_from_two_endpoints_come_to_one_device() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let hq = world.add(hq(&Spec::default()), 2, None);
        world.nodes[hq].withhold = locates;
        let a = world.add(branch(&Spec::default()), 1, Some(nat(1)));
        let b = world.add(branch(&Spec::default()), 1, Some(nat(2)));
        world.run(Duration::from_millis(500));
        world.release(hq);
        world.run(Duration::from_millis(500));
        world.nodes[b].frozen = true;
        converges(&mut world, hq, seed);
        assert_eq!(world.ping(a, hq, BRANCH, LAN, 3, MS), (3, 3), "seed {seed}");
    }
}

#[test]
fn packets_from_the_inside_find_their_pair_while_two_shards_disagree() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        let hq = world.add(hq(&Spec::default()), 2, None);
        world.nodes[hq].withhold = locates;
        let nodes = [1, 2].map(|n| world.add(branch(&Spec::default()), 1, Some(nat(n))));
        world.run(Duration::from_millis(500));
        world.release(hq);
        let drops = |world: &mut World| -> u64 {
            let shards = world.nodes[hq].shards.iter_mut();
            let count = |s: &mut hawser_shard::Shard| {
                let mut drops = s.counters().drops.iter();
                drops
                    .find(|(r, _)| *r == hawser_flight::DropReason::NoChildSa)
                    .unwrap()
                    .1
            };
            shards.map(count).sum()
        };
        for _ in 0..20 {
            world.inner(hq, 0, udp(LAN, BRANCH));
        }
        assert_eq!(drops(&mut world), 0, "seed {seed}");
        let _ = nodes;
    }
}
