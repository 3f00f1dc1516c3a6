//! What was up when the gateway ended is up again soon after it has begun anew.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_flight::{CloseCause, Event, Path, RevivalOutcome};
use hawser_policy::{
    DpdMode, DpdSettings, Identity, Pad, PadEntry, Policy, Secret, TenantId, TrafficSelector,
};
use hawser_shard::io::Command;
use hawser_shard::restore::Remembered;
use hawser_shard::view::PeerStatus;
use net::*;
use std::sync::Arc;
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(20);

/// Headquarters with a branch that has begun once and from then on only answers.
fn world(hq: Policy, seed: u64) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let hq = world.add(hq, 2, None);
    let node = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    world.command(node, Command::Apply(Arc::new(passive(&Spec::default()))));
    assert_eq!(world.show(hq)[0].line.status, PeerStatus::Up);
    (world, hq, node)
}

fn remembered(world: &World, node: usize) -> Vec<Remembered> {
    let nat = world.nodes[node].nat.as_ref().unwrap();
    vec![Remembered {
        tenant: TenantId(0),
        identity: Identity::parse("test").unwrap(),
        path: Path {
            local: format!("{HQ}:4500").parse().unwrap(),
            remote: nat.translate(4500),
            encapsulated: true,
        },
        selectors: vec![TrafficSelector::parse("172.16.1.0/24").unwrap()],
        spis: sent_on(world, node),
    }]
}

/// The SPI of the last ESP packet that a node has sent.
fn sent_on(world: &World, node: usize) -> Vec<u32> {
    let mut sent = world.nodes[node].overheard.iter().rev();
    let spi = sent.find_map(|(path, bytes)| {
        let spi = u32::from_be_bytes(*bytes.first_chunk()?);
        (path.local.port() == 4500 && spi != 0).then_some(spi)
    });
    spi.into_iter().collect()
}

fn outcomes(world: &World, node: usize) -> Vec<RevivalOutcome> {
    let events = world.nodes[node].events.iter();
    let ended = events.filter_map(|e| match e {
        Event::RevivalEnded { outcome } => Some(*outcome),
        _ => None,
    });
    ended.collect()
}

fn is_whole(world: &mut World, hq: usize, node: usize) {
    assert_eq!(world.ping(node, hq, BRANCH, LAN, 5, MS), (5, 5));
    let peers = world.show(hq);
    assert_eq!((peers.len(), peers[0].line.status), (1, PeerStatus::Up));
    assert_eq!(peers[0].ike_sas.len(), 1, "{peers:#?}");
}

#[test]
fn a_branch_that_was_up_is_called_back() {
    for seed in 0..6 {
        let mut policy = hq(&Spec::default());
        if seed % 2 == 0 {
            // As Comware has it: what is proposed goes by our address.
            Arc::make_mut(&mut policy.templates[0])
                .ike_proposals
                .clear();
        }
        let (mut world, hq, node) = world(policy, seed);
        let known = remembered(&world, node);
        world.restart(hq, known);
        let peers = world.show(hq);
        assert_eq!(peers[0].line.status, PeerStatus::Down, "it is known");
        world.run(2 * SECOND);
        assert_eq!(outcomes(&world, hq), [RevivalOutcome::Revived]);
        is_whole(&mut world, hq, node);
    }
}

#[test]
fn one_that_begins_by_itself_is_the_device_that_is_known() {
    let (mut world, hq, node) = world(hq(&Spec::default()), 1);
    let known = remembered(&world, node);
    world.nodes[hq].mute_ike = true;
    world.restart(hq, known);
    world.run(3 * SECOND);
    world.nodes[hq].mute_ike = false;
    world.command(node, Command::Apply(Arc::new(branch(&Spec::default()))));
    let device = world.show(node)[0].line.device;
    world.command(node, Command::Reset(device));
    world.run(90 * SECOND);
    is_whole(&mut world, hq, node);
}

#[test]
fn one_that_has_moved_meanwhile_is_called_where_it_sends_from() {
    for seed in 0..6 {
        let (mut world, hq, node) = world(hq(&Spec::default()), seed);
        world.inner(node, 0, udp(BRANCH, LAN));
        world.run(SECOND);
        let known = remembered(&world, node);
        assert_eq!(known[0].spis.len(), 1);
        world.nodes[node].nat.as_mut().unwrap().port = 20_000;
        world.restart(hq, known);
        world.run(SECOND);
        for _ in 0..3 {
            world.inner(node, 0, udp(BRANCH, LAN));
            world.run(SECOND);
        }
        is_whole(&mut world, hq, node);
    }
}

/// Frozen, given up by DPD, and then the gateway ended: it wakes on another port and knows of nothing.
#[test]
fn one_that_slept_is_called_where_it_sends_from() {
    let spec = Spec {
        dpd: Some(DpdSettings {
            mode: DpdMode::Periodic,
            interval: 10 * SECOND,
            retry: 2 * SECOND,
            retries: 2,
        }),
        ..Spec::default()
    };
    let (mut world, hq, node) = world(hq(&spec), 1);
    world.inner(node, 0, udp(BRANCH, LAN));
    world.run(SECOND);
    let known = remembered(&world, node);
    world.nodes[node].frozen = true;
    world.run(60 * SECOND);
    assert_eq!(world.show(hq)[0].line.status, PeerStatus::Down);
    assert_eq!(world.nodes[hq].directory.spis(), known[0].spis);
    world.restart(hq, known);
    world.run(10 * SECOND);
    assert_eq!(
        world.nodes[hq].directory.spis().len(),
        1,
        "a restart later too"
    );
    world.nodes[node].nat.as_mut().unwrap().port = 20_000;
    world.nodes[node].frozen = false;
    for _ in 0..8 {
        world.inner(node, 0, udp(BRANCH, LAN));
        world.run(SECOND);
    }
    is_whole(&mut world, hq, node);
}

#[test]
fn nobody_is_shown_the_proof_of_a_secret_that_may_be_anothers() {
    let mut policy = hq(&Spec::default());
    let mut entries: Vec<PadEntry> = policy.pad.entries().to_vec();
    entries.push(PadEntry {
        secret: Secret::new(b"another".to_vec()),
        ..entries[0].clone()
    });
    policy.pad = Pad::new(entries);
    let (mut world, hq, node) = world(policy, 1);
    let known = remembered(&world, node);
    world.restart(hq, known);
    world.run(30 * SECOND);
    assert!(world.show(hq).is_empty());
    let begun = |e: &Event| matches!(e, Event::RevivalBegun { after, .. } if *after == CloseCause::Shutdown);
    assert!(!world.nodes[hq].events.iter().any(begun));
}
