//! What must not grow, however long it runs and whatever authenticated peers do.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_policy::{DpdMode, DpdSettings};
use hawser_shard::io::{Command, Question, RekeyWhat};
use net::*;
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(20);

const TIMERS: usize = 0;
const ASKS: usize = 1;
const PEERS: usize = 2;

#[test]
fn timers_do_not_pile_up() {
    let dpd = DpdSettings {
        mode: DpdMode::OnDemand,
        interval: 10 * SECOND,
        retry: 5 * SECOND,
        retries: 2,
    };
    let spec = Spec {
        dpd: Some(dpd),
        ..Spec::default()
    };
    let mut world = World::new(1);
    let hq = world.add(hq(&spec), 2, None);
    let branch = world.add(branch(&spec), 1, Some(nat(1)));
    // Probe after probe, while the next rekeying is far away.
    for _ in 0..200 {
        world.run(12 * SECOND);
        world.inner(hq, 0, udp(LAN, BRANCH));
    }
    world.run(SECOND);
    for node in [hq, branch] {
        let kept = world.nodes[node].footprint();
        assert!(kept[TIMERS] < 10, "{kept:?}");
        assert_eq!(kept[ASKS], 0);
    }
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
}

#[test]
fn a_peer_that_is_refused_again_and_again_is_one_device_and_then_none() {
    let mut world = World::new(2);
    let hq = world.add(hq(&Spec::default()), 2, None);
    let honest = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    let spec = Spec {
        identity: "thief",
        ..Spec::default()
    };
    let thief = world.add(branch(&spec), 1, Some(nat(2)));
    for _ in 0..40 {
        world.run(2 * SECOND);
        for peer in world.show(thief) {
            world.command(thief, Command::Reset(peer.line.device));
        }
        let kept = world.nodes[hq].footprint();
        assert!(kept[PEERS] <= 3, "{kept:?}");
    }
    world.nodes[thief].frozen = true;
    world.run(300 * SECOND);
    assert_eq!(world.show(hq).len(), 1, "{:#?}", world.show(hq));
    assert_eq!(world.nodes[hq].directory.len(), 1);
    assert_eq!(world.ping(honest, hq, BRANCH, LAN, 3, MS), (3, 3));
}

#[test]
fn an_authenticated_peer_that_never_ends_its_sas_has_few() {
    let mut world = World::new(3);
    let hq = world.add(hq(&Spec::default()), 2, None);
    // The same device crashes and comes back, each time from the same endpoint.
    for _ in 0..60 {
        let node = world.add(branch(&Spec::default()), 1, Some(nat(1)));
        world.run(Duration::from_millis(200));
        world.nodes[node].frozen = true;
        world.nodes[node].nat.as_mut().unwrap().port = 20_000;
    }
    let peers = world.show(hq);
    assert_eq!(peers.len(), 1);
    assert!(peers[0].ike_sas.len() <= 8, "{}", peers[0].ike_sas.len());
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(300 * SECOND);
    assert_eq!(world.show(hq)[0].ike_sas.len(), 1);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
    assert!(world.nodes[hq].routes.values().all(|r| r.len() == 1));
}

#[test]
fn questions_that_are_never_answered_fail() {
    let mut world = World::new(4);
    let hq = world.add(hq(&Spec::default()), 1, None);
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    // A rekey whose key exchange nobody computes.
    world.nodes[hq].withhold = |q| matches!(q, Question::KeyExchange(_));
    let device = world.show(hq)[0].line.device;
    world.command(hq, Command::Rekey(device, RekeyWhat::All));
    world.run(SECOND);
    assert!(world.nodes[hq].footprint()[ASKS] > 0);
    world.lose_withheld(hq);
    world.run(40 * SECOND);
    assert_eq!(world.nodes[hq].footprint()[ASKS], 0);
    world.release(hq);
    world.run(60 * SECOND);
    let peers = world.show(hq);
    assert_eq!(peers[0].ike_sas.len(), 1);
    assert!(peers[0].ike_sas[0].age_s < 120, "the rekey was tried again");
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
}

#[test]
fn half_open_sas_without_a_key_exchange_end() {
    let mut world = World::new(5);
    let hq = world.add(hq(&Spec::default()), 1, None);
    world.nodes[hq].withhold = |q| matches!(q, Question::KeyExchange(_));
    world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(5 * SECOND);
    assert_eq!(world.nodes[hq].shards[0].counters().half_open, 1);
    world.nodes[1].frozen = true;
    world.run(40 * SECOND);
    assert_eq!(world.nodes[hq].shards[0].counters().half_open, 0);
    let kept = world.nodes[hq].footprint();
    assert_eq!(kept, [0; 5]);
}
