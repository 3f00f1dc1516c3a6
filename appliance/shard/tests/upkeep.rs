//! Branches that never noticed, or are gone, are brought back without an operator.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_flight::{Event, RevivalOutcome};
use hawser_policy::{DpdMode, DpdSettings, Policy, Revive, Uniqueness, Upkeep};
use hawser_shard::io::{Command, RekeyWhat};
use hawser_shard::view::PeerStatus;
use net::*;
use std::sync::Arc;
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(20);

fn case() -> Spec<'static> {
    Spec {
        dpd: Some(DpdSettings {
            mode: DpdMode::OnDemand,
            interval: 20 * SECOND,
            retry: 5 * SECOND,
            retries: 2,
        }),
        ..Spec::default()
    }
}

/// Headquarters and a branch that has begun once, and from then on only answers.
fn world_with(spec: &Spec<'_>, shards: u8, seed: u64) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let hq = world.add(hq(spec), shards, None);
    let node = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    let policy = passive(&Spec::default());
    world.command(node, Command::Apply(Arc::new(policy)));
    assert_eq!(status(&mut world, hq), PeerStatus::Up);
    world.nodes[hq].events.clear();
    (world, hq, node)
}

fn world(seed: u64) -> (World, usize, usize) {
    world_with(&case(), 2, seed)
}

fn status(world: &mut World, node: usize) -> PeerStatus {
    world.show(node)[0].line.status
}

fn count(world: &World, node: usize, what: impl Fn(&Event) -> bool) -> usize {
    world.nodes[node].events.iter().filter(|e| what(e)).count()
}

fn ended(world: &World, node: usize) -> Vec<RevivalOutcome> {
    let outcome = |e: &Event| match e {
        Event::RevivalEnded { outcome } => Some(*outcome),
        _ => None,
    };
    world.nodes[node]
        .events
        .iter()
        .filter_map(outcome)
        .collect()
}

fn reset(world: &mut World, node: usize) {
    let device = world.show(node)[0].line.device;
    world.command(node, Command::Reset(device));
}

/// The branch sleeps through headquarters' give-up.
fn oversleep(world: &mut World, hq: usize, node: usize) {
    world.nodes[node].frozen = true;
    world.run(21 * SECOND);
    world.inner(hq, 0, udp(LAN, BRANCH));
    world.run(16 * SECOND);
    assert_eq!(status(world, hq), PeerStatus::Down);
    assert!(world.nodes[hq].routes.values().all(Vec::is_empty));
}

fn is_whole(world: &mut World, hq: usize, node: usize) {
    let got = world.ping(node, hq, BRANCH, LAN, 5, MS);
    assert_eq!(got, (5, 5));
    let peers = world.show(hq);
    assert_eq!((peers.len(), peers[0].line.status), (1, PeerStatus::Up));
    assert_eq!(peers[0].ike_sas.len(), 1, "{peers:#?}");
    let owners: usize = world.nodes[hq].routes.values().map(Vec::len).sum();
    assert_eq!(owners, 1);
}

#[test]
fn a_branch_that_slept_through_the_give_up_goes_on_from_another_port() {
    for seed in 0..5 {
        let (mut world, hq, node) = world(seed);
        let spis = world.show(hq)[0].ike_sas[0].spi_i.clone();
        oversleep(&mut world, hq, node);
        world.drop_flying();
        world.nodes[node].nat.as_mut().unwrap().port = 20_000;
        world.nodes[node].frozen = false;
        world.inner(node, 0, udp(BRANCH, LAN));
        world.run(2 * SECOND);
        let went_on = |e: &Event| matches!(e, Event::Resurrected { .. });
        assert_eq!(count(&world, hq, went_on), 1, "seed {seed}");
        assert_eq!(world.show(hq)[0].ike_sas[0].spi_i, spis, "no handshake");
        is_whole(&mut world, hq, node);
        // IKE works as well: both Message IDs still fit.
        for side in [hq, node] {
            let device = world.show(side)[0].line.device;
            world.command(side, Command::Rekey(device, RekeyWhat::All));
            world.run(20 * SECOND);
        }
        is_whole(&mut world, hq, node);
    }
}

#[test]
fn an_ike_message_resurrects_as_well() {
    let (mut world, hq, node) = world(1);
    oversleep(&mut world, hq, node);
    world.drop_flying();
    world.nodes[node].nat.as_mut().unwrap().port = 20_000;
    world.nodes[node].frozen = false;
    let device = world.show(node)[0].line.device;
    world.command(node, Command::Ping(device));
    world.run(2 * SECOND);
    let went_on = |e: &Event| matches!(e, Event::Resurrected { .. });
    assert_eq!(count(&world, hq, went_on), 1);
    is_whole(&mut world, hq, node);
}

#[test]
fn a_replay_resurrects_nobody() {
    let (mut world, hq, node) = world(1);
    world.inner(node, 0, udp(BRANCH, LAN));
    world.run(SECOND);
    let esp = |(path, bytes): &&(hawser_flight::Path, Vec<u8>)| {
        path.local.port() == 4500 && bytes.len() > 1 && bytes[..4] != [0; 4]
    };
    let (path, old) = world.nodes[node]
        .overheard
        .iter()
        .rfind(esp)
        .unwrap()
        .clone();
    oversleep(&mut world, hq, node);
    let source = "203.0.113.9:4500".parse().unwrap();
    world.nodes[hq].events.clear();
    world.inject(source, hq, path.remote, old.clone());
    let mut forged = old;
    forged[7] = forged[7].wrapping_add(9);
    world.inject(source, hq, path.remote, forged);
    world.run(SECOND);
    let went_on = |e: &Event| matches!(e, Event::Resurrected { .. } | Event::TombstoneHit { .. });
    assert_eq!(count(&world, hq, went_on), 0);
    assert_eq!(status(&mut world, hq), PeerStatus::Down);
}

#[test]
fn a_branch_that_deleted_its_sa_is_revived() {
    for seed in 0..10 {
        let (mut world, hq, node) = world_with(&case(), 1 + (seed % 3) as u8, seed);
        reset(&mut world, node);
        world.run(SECOND / 4);
        assert_eq!(status(&mut world, hq), PeerStatus::Down);
        world.run(3 * SECOND);
        assert_eq!(ended(&world, hq), [RevivalOutcome::Revived], "seed {seed}");
        is_whole(&mut world, hq, node);
        // The branch may ask for more as before: the template has not narrowed.
        let device = world.show(node)[0].line.device;
        world.command(node, Command::Rekey(device, RekeyWhat::All));
        world.run(20 * SECOND);
        is_whole(&mut world, hq, node);
    }
}

/// Its NAT has given it another port, and its DELETE is the first that comes from there.
#[test]
fn a_branch_is_revived_where_its_delete_came_from() {
    let (mut world, hq, node) = world(4);
    world.nodes[node].nat.as_mut().unwrap().port = 30_000;
    reset(&mut world, node);
    world.run(3 * SECOND);
    assert_eq!(ended(&world, hq), [RevivalOutcome::Revived]);
    is_whole(&mut world, hq, node);
}

#[test]
fn two_deletes_in_a_row_are_meant() {
    let (mut world, hq, node) = world(1);
    reset(&mut world, node);
    world.run(6 * SECOND);
    assert_eq!(status(&mut world, hq), PeerStatus::Up);
    reset(&mut world, node);
    world.run(300 * SECOND);
    assert_eq!(status(&mut world, hq), PeerStatus::Down);
    let outcomes = [RevivalOutcome::Revived, RevivalOutcome::WantsToBeDown];
    assert_eq!(ended(&world, hq), outcomes);
}

#[test]
fn a_branch_that_forgot_everything_and_waits_is_revived() {
    let (mut world, hq, node) = world(3);
    // It crashes, and answers again where it was, with nothing.
    world.nodes[node].frozen = true;
    world.nodes[node].nat.as_mut().unwrap().port = 30_000;
    let again = world.add(passive(&Spec::default()), 1, Some(nat(1)));
    world.run(21 * SECOND);
    world.inner(hq, 0, udp(LAN, BRANCH));
    world.run(20 * SECOND);
    assert_eq!(ended(&world, hq), [RevivalOutcome::Revived]);
    is_whole(&mut world, hq, again);
}

#[test]
fn nobody_is_revived_without_consent() {
    let weak = Upkeep::default();
    let off = Upkeep {
        revive: Revive::Off,
        revive_weak_secret: true,
        ..weak
    };
    for (upkeep, outcomes) in [(weak, vec![RevivalOutcome::NotAllowed]), (off, vec![])] {
        let spec = Spec { upkeep, ..case() };
        let (mut world, hq, node) = world_with(&spec, 1, 1);
        reset(&mut world, node);
        world.run(120 * SECOND);
        assert_eq!(ended(&world, hq), outcomes);
        let tried = |e: &Event| matches!(e, Event::RevivalAttempt { .. });
        assert_eq!(count(&world, hq, tried), 0);
    }
}

#[test]
fn three_attempts_and_no_more() {
    let (mut world, hq, node) = world(5);
    reset(&mut world, node);
    world.run(SECOND / 4);
    world.nodes[node].frozen = true;
    world.run(600 * SECOND);
    let tried = |e: &Event| matches!(e, Event::RevivalAttempt { .. });
    assert_eq!(count(&world, hq, tried), 3);
    assert_eq!(ended(&world, hq), [RevivalOutcome::Failed]);
    let forgotten = world.nodes[hq].footprint();
    assert_eq!(forgotten[4], 0, "no pair is kept for ever: {forgotten:?}");
}

#[test]
fn a_handshake_of_the_branch_comes_before_ours() {
    for delay in 0..60 {
        let (mut world, hq, node) = world(delay);
        reset(&mut world, node);
        // The branch begins by itself around the time at which headquarters would.
        world.run(5 * MS + MS / 2 * u32::try_from(delay).unwrap());
        // Whom headquarters has called meanwhile stays allowed.
        let policy = Policy {
            pad: passive(&Spec::default()).pad,
            ..branch(&Spec::default())
        };
        world.command(node, Command::Apply(Arc::new(policy)));
        world.run(30 * SECOND);
        is_whole(&mut world, hq, node);
        let up = |e: &Event| matches!(e, Event::PeerUp);
        assert_eq!(count(&world, hq, up), 1, "delay {delay}: never down again");
        assert!(world.show(node)[0].ike_sas.len() <= 1);
    }
}

#[test]
fn what_opens_under_a_tombstone_revives_at_once() {
    let (mut world, hq, node) = world(7);
    // Headquarters deletes, and the branch never hears of it.
    world.nodes[node].frozen = true;
    reset(&mut world, hq);
    world.run(200 * SECOND);
    world.drop_flying();
    assert_eq!(status(&mut world, hq), PeerStatus::Down);
    world.nodes[hq].events.clear();
    world.nodes[node].nat.as_mut().unwrap().port = 20_000;
    world.nodes[node].frozen = false;
    world.inner(node, 0, udp(BRANCH, LAN));
    world.run(3 * SECOND);
    let hit = |e: &Event| matches!(e, Event::TombstoneHit { .. });
    assert_eq!(count(&world, hq, hit), 1);
    assert_eq!(ended(&world, hq), [RevivalOutcome::Revived]);
    world.run(20 * SECOND);
    is_whole(&mut world, hq, node);
}

#[test]
fn a_device_with_a_successor_stays_buried() {
    let (mut world, hq, node) = world(8);
    oversleep(&mut world, hq, node);
    world.drop_flying();
    let again = world.add(branch(&Spec::default()), 1, Some(nat(2)));
    world.run(2 * SECOND);
    is_whole(&mut world, hq, again);
    world.nodes[hq].events.clear();
    world.nodes[node].frozen = false;
    world.inner(node, 0, udp(BRANCH, LAN));
    world.run(5 * SECOND);
    let went_on = |e: &Event| matches!(e, Event::Resurrected { .. });
    assert_eq!(count(&world, hq, went_on), 0);
    is_whole(&mut world, hq, again);
}

#[test]
fn esp_vouches_for_an_ike_sa_that_does_not_answer() {
    let (mut world, hq, node) = world(9);
    // Nothing of IKE gets through from the branch, and ESP does.
    world.nodes[node].mute_ike = true;
    let device = world.show(hq)[0].line.device;
    world.command(hq, Command::Ping(device));
    for _ in 0..60 {
        world.inner(node, 0, udp(BRANCH, LAN));
        world.run(2 * SECOND);
    }
    assert_eq!(status(&mut world, hq), PeerStatus::Degraded);
    let down = |e: &Event| matches!(e, Event::PeerDown { .. });
    assert_eq!(count(&world, hq, down), 0);
    // Once ESP ceases too, nothing speaks for it.
    world.nodes[node].frozen = true;
    world.run(60 * SECOND);
    assert_eq!(status(&mut world, hq), PeerStatus::Down);
}

#[test]
fn an_audit_finds_a_dead_ike_sa_and_ends_nothing() {
    let (mut world, hq, node) = world_with(&Spec::default(), 1, 10);
    world.run(595 * SECOND);
    world.nodes[node].frozen = true;
    world.run(60 * SECOND);
    assert_eq!(count(&world, hq, |e| *e == Event::AuditFailed), 1);
    assert_eq!(status(&mut world, hq), PeerStatus::Degraded);
    world.run(1200 * SECOND);
    assert_eq!(status(&mut world, hq), PeerStatus::Degraded);
    world.drop_flying();
    world.nodes[node].frozen = false;
    world.run(130 * SECOND);
    assert_eq!(status(&mut world, hq), PeerStatus::Up);
    is_whole(&mut world, hq, node);
}

/// The branch forgets everything in silence, and only answers, while traffic flows.
#[test]
fn traffic_that_breaks_off_is_looked_into_at_once() {
    let (mut world, hq, node) = world(12);
    for _ in 0..20 {
        world.inner(node, 0, udp(BRANCH, LAN));
        world.inner(hq, 0, udp(LAN, BRANCH));
        world.run(SECOND / 2);
    }
    world.nodes[node].frozen = true;
    world.nodes[node].nat.as_mut().unwrap().port = 30_000;
    let again = world.add(passive(&Spec::default()), 1, Some(nat(1)));
    for _ in 0..14 {
        world.inner(hq, 0, udp(LAN, BRANCH));
        world.run(SECOND / 2);
    }
    assert_eq!(ended(&world, hq), [RevivalOutcome::Revived]);
    is_whole(&mut world, hq, again);
    let down = |e: &Event| matches!(e, Event::PeerDown { .. });
    assert_eq!(count(&world, hq, down), 0);
}

#[test]
fn a_branch_that_pauses_is_only_asked() {
    let (mut world, hq, node) = world(13);
    let spi = world.show(hq)[0].ike_sas[0].spi_i.clone();
    for _ in 0..5 {
        for _ in 0..20 {
            world.inner(node, 0, udp(BRANCH, LAN));
            world.run(SECOND / 2);
        }
        for _ in 0..20 {
            world.inner(hq, 0, udp(LAN, BRANCH));
            world.run(SECOND / 2);
        }
    }
    let tried = |e: &Event| matches!(e, Event::RevivalAttempt { .. });
    assert_eq!(count(&world, hq, tried), 0);
    assert_eq!(world.show(hq)[0].ike_sas[0].spi_i, spi);
    is_whole(&mut world, hq, node);
}

#[test]
fn a_short_outage_under_traffic_leaves_the_sa_as_it_is() {
    for seconds in [3, 5, 8, 15, 25, 40, 60] {
        let (mut world, hq, node) = world(seconds);
        let spi = world.show(hq)[0].ike_sas[0].spi_i.clone();
        let traffic = |world: &mut World, seconds| {
            for _ in 0..2 * seconds {
                world.inner(node, 0, udp(BRANCH, LAN));
                world.inner(hq, 0, udp(LAN, BRANCH));
                world.run(SECOND / 2);
            }
        };
        traffic(&mut world, 10);
        world.loss = 1.0;
        traffic(&mut world, seconds);
        world.loss = 0.0;
        traffic(&mut world, 2);
        let got = world.ping(node, hq, BRANCH, LAN, 5, MS);
        assert_eq!(got, (5, 5), "{seconds} s");
        traffic(&mut world, 20);
        is_whole(&mut world, hq, node);
        assert_eq!(world.show(hq)[0].ike_sas[0].spi_i, spi, "{seconds} s");
    }
}

#[test]
fn a_pair_that_ends_alone_is_made_again() {
    let short = Spec {
        child_life: 30,
        ..Spec::default()
    };
    let mut world = World::new(14);
    let hq = world.add(hq(&case()), 2, None);
    let node = world.add(branch(&short), 1, Some(nat(1)));
    world.run(SECOND);
    world.nodes[hq].mute_ike = true;
    world.nodes[hq].events.clear();
    let expired = |e: &Event| matches!(e, Event::DeleteReceived { .. });
    for _ in 0..60 {
        world.run(SECOND);
        if count(&world, hq, expired) > 0 {
            break;
        }
    }
    world.nodes[hq].mute_ike = false;
    world.run(30 * SECOND);
    is_whole(&mut world, hq, node);
}

fn unique(uniqueness: Uniqueness) -> (World, usize, usize, usize) {
    let upkeep = Upkeep {
        uniqueness,
        revive: Revive::Off,
        ..Upkeep::default()
    };
    let spec = Spec { upkeep, ..case() };
    let mut world = World::new(20);
    let hq = world.add(hq(&spec), 2, None);
    let first = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    let other = Spec {
        lan: "172.16.2.0/24",
        ..Spec::default()
    };
    let second = world.add(branch(&other), 1, Some(nat(2)));
    world.run(SECOND);
    (world, hq, first, second)
}

const SECOND_LAN: [u8; 4] = [172, 16, 2, 5];

#[test]
fn an_identity_may_be_one_device() {
    // As many as there are.
    let (mut world, hq, first, second) = unique(Uniqueness::Device);
    assert_eq!(world.ping(first, hq, BRANCH, LAN, 3, MS), (3, 3));
    assert_eq!(world.ping(second, hq, SECOND_LAN, LAN, 3, MS), (3, 3));
    assert_eq!(world.show(hq).len(), 2);
    // The later one replaces the earlier.
    let (mut world, hq, first, second) = unique(Uniqueness::Replace);
    world.nodes[first].frozen = true;
    assert_eq!(world.ping(second, hq, SECOND_LAN, LAN, 3, MS), (3, 3));
    world.run(120 * SECOND);
    assert_eq!(world.show(hq).len(), 1);
    let owners: usize = world.nodes[hq].routes.values().map(Vec::len).sum();
    assert_eq!(owners, 1);
    // The earlier one is kept.
    let (mut world, hq, first, second) = unique(Uniqueness::Keep);
    assert_eq!(world.ping(first, hq, BRANCH, LAN, 3, MS), (3, 3));
    assert_eq!(world.ping(second, hq, SECOND_LAN, LAN, 3, MS).0, 0);
}

#[test]
fn equal_pairs_are_merged() {
    let (mut world, hq, node) = world(21);
    let lan = "172.16.1.0/24";
    // The branch asks for the same pair twice, by two settings of its own.
    let twice = {
        let mut policy = branch(&Spec::default());
        let mut template = (*policy.templates[0]).clone();
        template.name = "twice".into();
        template.children.push(hawser_policy::ChildTemplate {
            name: "again".into(),
            ..template.children[0].clone()
        });
        policy.templates = vec![Arc::new(template)];
        policy
    };
    reset(&mut world, node);
    world.nodes[node].frozen = true;
    world.nodes[node].nat.as_mut().unwrap().port = 30_000;
    let again = world.add(twice, 1, Some(nat(1)));
    world.run(2 * SECOND);
    let pairs = |world: &mut World| {
        let peers = world.show(hq);
        let children = peers
            .iter()
            .flat_map(|p| &p.ike_sas)
            .flat_map(|sa| &sa.children);
        children.filter(|c| c.remote == [lan]).count()
    };
    assert_eq!(pairs(&mut world), 2);
    world.run(20 * SECOND);
    assert!(count(&world, hq, |e| matches!(e, Event::Repaired { .. })) > 0);
    let got = world.ping(again, hq, BRANCH, LAN, 5, MS);
    assert_eq!(got, (5, 5));
}

/// Branches that all have one name come back in one moment: nobody is probed for them.
#[test]
fn a_crowd_of_one_name_comes_back_without_a_probe() {
    let mut world = World::new(22);
    let hq = world.add(hq(&case()), 3, None);
    let add = |world: &mut World, n: u8| {
        let lan = format!("172.16.{n}.0/24");
        let spec = Spec {
            lan: &lan,
            ..Spec::default()
        };
        world.add(branch(&spec), 1, Some(nat(n)))
    };
    let old: Vec<usize> = (1..=100).map(|n| add(&mut world, n)).collect();
    world.run(SECOND);
    world.nodes[hq].events.clear();
    for node in old {
        world.nodes[node].frozen = true;
        world.nodes[node].nat.as_mut().unwrap().port = 30_000;
    }
    let new: Vec<usize> = (1..=100).map(|n| add(&mut world, n)).collect();
    world.run(2 * SECOND);
    let probed = |e: &Event| matches!(e, Event::ProbeSent { .. });
    assert!(count(&world, hq, probed) == 0);
    for (n, node) in (1..=100).zip(new) {
        let got = world.ping(node, hq, [172, 16, n, 5], LAN, 2, MS);
        assert_eq!(got, (2, 2), "branch {n}");
    }
    assert_eq!(world.show(hq).len(), 100);
}
