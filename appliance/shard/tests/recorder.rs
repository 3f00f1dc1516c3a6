//! What a drop leaves behind, and what is said of it, in virtual time.
#![allow(clippy::unwrap_used, missing_docs)]

mod net;

use hawser_flight::verdict::{Confidence, Finding, Situation, Verdict, judge};
use hawser_flight::{Event, Recording};
use hawser_policy::{DpdMode, DpdSettings};
use hawser_shard::io::{Command, PeerFilter, Reply};
use net::*;
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);

/// Headquarters on two shards with the case's DPD, and a branch behind a NAT.
fn world(seed: u64) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let dpd = DpdSettings {
        mode: DpdMode::OnDemand,
        interval: 20 * SECOND,
        retry: 5 * SECOND,
        retries: 2,
    };
    let spec = Spec {
        dpd: Some(dpd),
        ..Spec::default()
    };
    let hq = world.add(hq(&spec), 2, None);
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, SECOND), (3, 3));
    (world, hq, branch)
}

/// What the last incident of a node says.
fn verdict(world: &World, node: usize) -> Finding {
    let incident = world.nodes[node].incidents.last().unwrap();
    let recording = incident.recall.ring.recording();
    let identity = &incident.recall.label.identity;
    let situation = Situation::last_drop(identity, &recording.entries, incident.dropped_ms);
    judge(&situation.unwrap())
}

fn recording(world: &mut World, node: usize) -> Recording {
    let device = world.show(node)[0].line.device;
    world.command(node, Command::Recall(device));
    let replies = std::mem::take(&mut world.nodes[node].replies);
    let mut recalls = replies.into_iter().filter_map(|reply| match reply {
        Reply::Recall(recall) => Some(recall.ring.recording()),
        _ => None,
    });
    recalls.next().unwrap()
}

/// Sends towards the branch until it is given up.
fn until_given_up(world: &mut World, hq: usize) {
    for _ in 0..100 {
        if !world.nodes[hq].incidents.is_empty() {
            return;
        }
        world.inner(hq, 0, udp(LAN, BRANCH));
        world.run(SECOND);
    }
    panic!("it was never given up");
}

#[test]
fn a_branch_that_dies_while_it_talks_is_silent() {
    for seed in 0..20 {
        let (mut world, hq, branch) = world(seed);
        world.run(Duration::from_millis(seed * 400));
        world.nodes[branch].frozen = true;
        until_given_up(&mut world, hq);
        let found = verdict(&world, hq);
        assert_eq!(
            (found.verdict, found.confidence),
            (Verdict::DpdSilent, Confidence::High),
            "{found:#?}"
        );
    }
}

#[test]
fn a_branch_that_is_quiet_behind_its_nat_lost_its_mapping() {
    for seed in 0..20 {
        let (mut world, hq, branch) = world(seed);
        world.run(Duration::from_secs(40 + seed * 13));
        // Another port from now on: what is sent to the old one is lost.
        world.nodes[branch].nat.as_mut().unwrap().port = 20_000;
        until_given_up(&mut world, hq);
        assert_eq!(verdict(&world, hq).verdict, Verdict::NatTimeout);
    }
}

#[test]
fn what_an_operator_resets_is_told_so() {
    let (mut world, hq, _) = world(3);
    let device = world.show(hq)[0].line.device;
    world.command(hq, Command::Reset(device));
    world.run(SECOND);
    let found = verdict(&world, hq);
    assert_eq!(
        (found.verdict, found.confidence),
        (Verdict::Admin, Confidence::High)
    );
}

#[test]
fn a_delete_of_the_branch_is_told_so_and_its_return_belongs_to_the_incident() {
    for seed in 0..20 {
        let (mut world, hq, branch) = world(seed);
        world.run(Duration::from_millis(seed * 7300));
        let device = world.show(branch)[0].line.device;
        world.command(branch, Command::Reset(device));
        world.run(SECOND);
        let found = verdict(&world, hq);
        assert_eq!(found.verdict, Verdict::PeerDeleted, "{found:#?}");
        assert_eq!(found.confidence, Confidence::High);
        world.run(120 * SECOND);
        let incidents = &world.nodes[hq].incidents;
        assert_eq!(incidents.len(), 2, "the drop, and the return");
        assert_eq!(incidents[0].dropped_ms, incidents[1].dropped_ms);
        let told = |n: usize| incidents[n].recall.ring.recording().entries;
        let closed = |e: &hawser_flight::Entry| matches!(e.event, Event::IkeSaClosed { .. });
        assert!(told(0).iter().any(closed));
        let is_up = |e: &hawser_flight::Entry| e.event == Event::PeerUp;
        assert_eq!(told(1).iter().filter(|e| is_up(e)).count(), 2);
    }
}

#[test]
fn a_recorder_tells_the_story_and_is_recalled_while_the_device_is_up_and_down() {
    let (mut world, hq, branch) = world(5);
    let story = recording(&mut world, hq);
    let first = &story.entries[0].event;
    assert!(matches!(first, Event::IkeSaEstablished { .. }), "{first:?}");
    assert!(story.entries.iter().any(|e| e.event == Event::PeerUp));
    world.nodes[branch].frozen = true;
    until_given_up(&mut world, hq);
    world.run(3600 * SECOND);
    let later = recording(&mut world, hq);
    let down = |e: &hawser_flight::Entry| matches!(e.event, Event::PeerDown { .. });
    assert!(later.entries.iter().any(down));
    let clocks = |e: &hawser_flight::Entry| matches!(e.event, Event::Clocks { .. });
    assert!(later.entries.iter().any(clocks));
    assert_eq!(later.lasting_overwritten.events, 0);
}

#[test]
fn subnets_and_endpoints_name_a_device_to_the_shard() {
    let (mut world, hq, _) = world(6);
    let endpoint = world.show(hq)[0].line.endpoint.clone();
    let mut found = |name: &str| {
        world.nodes[hq].replies.clear();
        world.command(hq, Command::Status(PeerFilter::Name(name.to_owned())));
        let replies = std::mem::take(&mut world.nodes[hq].replies);
        let peers = |r: &Reply| match r {
            Reply::Status(view) => view.peers.len(),
            _ => 0,
        };
        replies.iter().map(peers).sum::<usize>()
    };
    let colon = endpoint.replace('/', ":");
    for name in [
        "test",
        &endpoint,
        &colon,
        "172.16.1.9",
        "172.16.0.0/16",
        "172.16.1.128/25",
    ] {
        assert_eq!(found(name), 1, "{name}");
    }
    assert_eq!(found("172.17.0.0/16"), 0);
}
