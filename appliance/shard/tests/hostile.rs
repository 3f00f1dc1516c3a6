//! What anybody may send: no panic, no growth, no effect on an established SA.
#![allow(clippy::unwrap_used)]

mod net;

use net::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::net::SocketAddr;
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);

fn to(port: u16) -> SocketAddr {
    SocketAddr::new(HQ.parse().unwrap(), port)
}

fn mutate(rng: &mut ChaCha20Rng, bytes: &mut Vec<u8>) {
    match rng.random_range(0..6) {
        0 => bytes.truncate(rng.random_range(0..=bytes.len())),
        1 => bytes.extend((0..rng.random_range(0..64)).map(|_| rng.random::<u8>())),
        2 => bytes.clear(),
        _ => {}
    }
    for _ in 0..rng.random_range(0..6) {
        if !bytes.is_empty() {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
    }
}

#[test]
fn mutated_and_replayed_datagrams_change_nothing() {
    for seed in 0..10 {
        let mut world = World::new(seed);
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let spec = Spec {
            child_life: 60,
            ..Spec::default()
        };
        let hq = world.add(hq(&spec), 2, None);
        let branch = world.add(branch(&spec), 1, Some(nat(1)));
        world.run(SECOND);
        assert_eq!(world.ping(branch, hq, BRANCH, LAN, 20, SECOND), (20, 20));
        let heard = world.nodes[branch].overheard.clone();
        let device = world.show(hq)[0].line.device;
        for _ in 0..3000 {
            let (path, bytes) = &heard[rng.random_range(0..heard.len())];
            let mut bytes = bytes.clone();
            mutate(&mut rng, &mut bytes);
            let source = SocketAddr::new([203, 0, 113, rng.random()].into(), rng.random());
            world.inject(source, hq, to(path.remote.port()), bytes);
        }
        assert_eq!(
            world.ping(branch, hq, BRANCH, LAN, 60, SECOND),
            (60, 60),
            "seed {seed}"
        );
        let peers = world.show(hq);
        assert_eq!(peers.len(), 1);
        assert_eq!(peers[0].line.device, device);
        assert_eq!(peers[0].ike_sas.len(), 1);
    }
}

#[test]
fn a_flood_of_handshakes_is_bounded_and_leaves_the_established_alone() {
    let mut world = World::new(1);
    let hq = world.add(hq(&Spec::default()), 1, None);
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    let init = world.nodes[branch].overheard[0].1.clone();
    for n in 0..20_000u32 {
        let mut bytes = init.clone();
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        bytes[4] = 1;
        let source = SocketAddr::new((0x0a00_0000 + n).to_be_bytes().into(), 500);
        world.inject(source, hq, to(500), bytes);
    }
    world.run(Duration::from_millis(1));
    let counters = world.nodes[hq].shards[0].counters().clone();
    assert_eq!(
        counters.half_open, 100,
        "the rest got a cookie, and nothing is kept for it"
    );
    assert!(counters.cookies == 19_900);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 5, SECOND), (5, 5));
    world.run(40 * SECOND);
    assert_eq!(world.nodes[hq].shards[0].counters().half_open, 0);
}
