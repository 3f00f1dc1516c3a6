//! Another policy while tunnels run, and the end.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_flight::{CloseCause, Consequence, Event};
use hawser_policy::*;
use hawser_shard::io::Command;
use hawser_shard::view::PeerStatus;
use net::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(20);

fn pair(spec: &Spec<'_>) -> (World, usize, usize) {
    let mut world = World::new(1);
    let hq = world.add(hq(spec), 2, None);
    let branch = world.add(branch(spec), 2, Some(nat(1)));
    world.run(SECOND);
    (world, hq, branch)
}

/// Each has the revision after that of the one before, as the engine stamps them.
fn apply(world: &mut World, node: usize, mut policy: Policy) {
    static REVISION: AtomicU64 = AtomicU64::new(2);
    policy.revision = REVISION.fetch_add(1, Ordering::Relaxed);
    world.nodes[node].replies.clear();
    world.command(node, Command::Apply(Arc::new(policy)));
}

#[test]
fn dpd_that_is_configured_later_governs_devices_that_are_there() {
    let (mut world, hq, branch) = pair(&Spec::default());
    let dpd = DpdSettings {
        mode: DpdMode::Periodic,
        interval: 20 * SECOND,
        retry: 5 * SECOND,
        retries: 2,
    };
    let spec = Spec {
        dpd: Some(dpd),
        ..Spec::default()
    };
    apply(&mut world, hq, net::hq(&spec));
    world.nodes[branch].frozen = true;
    world.run(36 * SECOND);
    assert_eq!(
        world.show(hq)[0].line.down_cause,
        Some(CloseCause::DpdTimeout)
    );
    world.nodes[branch].frozen = false;
    // It learns from its next packet that it is not known any more. And taken away again.
    world.inner(branch, 0, udp(BRANCH, LAN));
    world.run(300 * SECOND);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
    apply(&mut world, hq, net::hq(&Spec::default()));
    world.nodes[branch].frozen = true;
    world.run(300 * SECOND);
    assert_eq!(world.show(hq)[0].line.status, PeerStatus::Up);
}

#[test]
fn templates_may_move_shrink_and_go_while_their_sas_live() {
    let spec = Spec {
        child_life: 60,
        ike_life: 200,
        ..Spec::default()
    };
    let (mut world, hq, branch) = pair(&spec);
    // Another template comes first, and the one in use has no Child SA any more.
    let mut policy = net::hq(&spec);
    let other = template(&spec, Some("other"), "10.0.0.0/8", &["10.0.0.0/8"]);
    let used = PeerTemplate {
        id: TemplateId(1),
        children: Vec::new(),
        ..(*policy.templates[0]).clone()
    };
    let other = PeerTemplate {
        name: "other".into(),
        ..other
    };
    policy.templates = vec![Arc::new(other), Arc::new(used)];
    apply(&mut world, hq, policy);
    world.run(150 * SECOND);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
    // The template is gone altogether: the branch is told, and does not get in any more.
    let mut policy = net::hq(&spec);
    policy.templates.clear();
    policy.pad = Pad::new(Vec::new());
    apply(&mut world, hq, policy);
    world.run(2 * SECOND);
    let cause = Some(CloseCause::ConfigurationChanged);
    assert_eq!(world.show(hq)[0].line.down_cause, cause);
    world.run(100 * SECOND);
    assert!(world.show(hq).iter().all(|p| p.ike_sas.is_empty()));
    apply(&mut world, hq, net::hq(&spec));
    world.run(70 * SECOND);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
}

#[test]
fn a_template_that_begins_keeps_its_tunnel_at_another_place_and_loses_it_when_it_goes() {
    let (mut world, hq, branch) = pair(&Spec::default());
    let begin = |shift: u16| {
        let mut policy = net::branch(&Spec::default());
        let ours = PeerTemplate {
            id: TemplateId(shift),
            ..(*policy.templates[0]).clone()
        };
        let others = (0..shift).map(|n| PeerTemplate {
            id: TemplateId(n),
            name: format!("n{n}").into(),
            initiate: None,
            ..ours.clone()
        });
        policy.templates = others.map(Arc::new).collect();
        policy.templates.push(Arc::new(ours));
        policy
    };
    for shift in 1..4 {
        apply(&mut world, branch, begin(shift));
        world.run(10 * SECOND);
        assert_eq!(world.show(branch).len(), 1, "no second tunnel");
        assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
        let device = world.show(branch)[0].line.device;
        world.command(branch, Command::Reset(device));
        world.run(10 * SECOND);
        assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
    }
    let mut none = begin(3);
    none.templates.pop();
    apply(&mut world, branch, none);
    let device = world.show(branch)[0].line.device;
    world.command(branch, Command::Reset(device));
    world.run(200 * SECOND);
    assert!(world.show(branch).iter().all(|p| p.ike_sas.is_empty()));
}

#[test]
fn every_child_sa_of_a_template_is_made_and_made_again() {
    let mut policy = net::branch(&Spec::default());
    let mut ours = (*policy.templates[0]).clone();
    let mut second = ours.children[0].clone();
    second.local = vec![TrafficSelector::parse("172.16.2.0/24").unwrap()];
    ours.children.push(second);
    policy.templates = vec![Arc::new(ours)];
    let mut world = World::new(3);
    let hq = world.add(hq(&Spec::default()), 2, None);
    let branch = world.add(policy, 1, Some(nat(1)));
    world.run(SECOND);
    let other = [172, 16, 2, 5];
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
    assert_eq!(world.ping(branch, hq, other, LAN, 3, MS), (3, 3));
}

#[test]
fn shutting_down_does_not_wait_for_those_who_do_not_answer() {
    let (mut world, hq, branch) = pair(&Spec::default());
    world.nodes[branch].frozen = true;
    // A half-open SA, and one that is authenticated while it ends.
    world.nodes[hq].withhold = |q| matches!(q, hawser_shard::io::Question::Directory(_));
    let late = Spec {
        lan: "172.16.2.0/24",
        ..Spec::default()
    };
    let late = world.add(net::branch(&late), 1, Some(nat(2)));
    world.run(Duration::from_millis(200));
    world.command(hq, Command::Shutdown);
    world.command(hq, Command::Shutdown);
    world.run(Duration::from_millis(500));
    world.release(hq);
    world.run(4 * SECOND);
    let finished = world.nodes[hq].finished;
    assert!(finished >= 2);
    assert!(world.nodes[hq].routes.values().all(Vec::is_empty));
    let told = |e: &Event| matches!(e, Event::DeleteReceived { .. });
    assert!(world.nodes[late].events.iter().any(told));
    // Asked again it says so again, and nobody is taken in any more.
    world.command(hq, Command::Shutdown);
    assert_eq!(world.nodes[hq].finished, finished + 2);
    world.run(100 * SECOND);
    assert!(world.show(hq).iter().all(|p| p.ike_sas.is_empty()));
}

/// A branch that takes either suite, and handshakes of headquarters with this secret.
fn willing(spec: &Spec<'_>, other: &Spec<'_>, secret: &str) -> Policy {
    let mut policy = net::branch(spec);
    let mut template = (*policy.templates[0]).clone();
    let esp = EspProposal::parse(other.esp).unwrap();
    template.children[0].proposals.push(esp);
    let ike = IkeProposal::parse(other.ike).unwrap();
    // What an IKE_SA_INIT is measured against, and what a rekey is.
    policy.ike_policies[0].proposals.push(ike.clone());
    template.ike_proposals.push(ike);
    policy.templates = vec![Arc::new(template)];
    policy.pad = with_secret(net::passive(spec), secret).pad;
    policy
}

fn with_secret(mut policy: Policy, secret: &str) -> Policy {
    let entries = policy.pad.entries().iter().map(|entry| PadEntry {
        secret: Secret::new(secret.into()),
        ..entry.clone()
    });
    policy.pad = Pad::new(entries.collect());
    policy
}

fn consequences(world: &World, node: usize) -> Vec<Consequence> {
    let told = |e: &Event| match e {
        Event::ConfigAffects { consequence } => Some(*consequence),
        _ => None,
    };
    world.nodes[node].events.iter().filter_map(told).collect()
}

fn handshakes(world: &World, node: usize) -> usize {
    let made = |e: &&Event| {
        let lineage = hawser_flight::Lineage::Initial;
        matches!(e, Event::IkeSaEstablished { lineage: l, .. } if *l == lineage)
    };
    world.nodes[node].events.iter().filter(made).count()
}

#[test]
fn other_algorithms_and_lifetimes_are_rekeyed_to_while_packets_run() {
    let before = Spec::default();
    let after = Spec {
        ike: "aes256-sha1-x25519",
        esp: "aes256gcm16-x25519",
        ..Spec::default()
    };
    let mut world = World::new(1);
    let hq = world.add(net::hq(&before), 2, None);
    let branch = world.add(willing(&before, &after, "test"), 2, Some(nat(1)));
    world.run(SECOND);
    apply(&mut world, hq, net::hq(&after));
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 150, MS), (150, 150));
    let of = |sas: &[hawser_shard::view::IkeSaView]| {
        let children = sas.iter().flat_map(|sa| &sa.children);
        let children: Vec<String> = children.map(|c| c.suite.clone()).collect();
        let ike: Vec<String> = sas.iter().map(|sa| sa.suite.clone()).collect();
        (ike, children)
    };
    world.run(10 * SECOND);
    let (ike, children) = of(&world.show(hq)[0].ike_sas);
    assert_eq!(ike, ["aes256-sha1-x25519"]);
    assert_eq!(children, ["aes256gcm16-x25519"]);
    assert_eq!(consequences(&world, hq), [Consequence::Rekey]);
    assert_eq!(handshakes(&world, hq), 1, "nobody authenticates anew");
    // Said again it is nothing new.
    apply(&mut world, hq, net::hq(&after));
    world.run(10 * SECOND);
    assert_eq!(consequences(&world, hq).len(), 1);
    // Only the Child SA has another lifetime: the IKE SA stays.
    let spi = world.show(hq)[0].ike_sas[0].spi_i.clone();
    let longer = Spec {
        child_life: 7200,
        ..after
    };
    apply(&mut world, hq, net::hq(&longer));
    world.run(10 * SECOND);
    assert_eq!(consequences(&world, hq), [Consequence::Rekey; 2]);
    assert_eq!(world.show(hq)[0].ike_sas[0].spi_i, spi);
}

#[test]
fn another_secret_is_proved_beside_the_sa_that_is_up() {
    let spec = Spec::default();
    let mut world = World::new(1);
    let hq = world.add(net::hq(&spec), 2, None);
    let branch = world.add(willing(&spec, &spec, "another"), 2, Some(nat(1)));
    world.run(SECOND);
    apply(&mut world, hq, with_secret(net::hq(&spec), "another"));
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 900, MS), (900, 900));
    assert_eq!(consequences(&world, hq), [Consequence::Reauthenticate]);
    assert_eq!(handshakes(&world, hq), 2);
    assert_eq!(world.show(hq)[0].ike_sas.len(), 1, "the old one is gone");
    assert_eq!(world.show(hq).len(), 1, "it is the same device");
}

#[test]
fn who_does_not_take_the_new_secret_keeps_what_it_has() {
    let spec = Spec::default();
    let mut world = World::new(1);
    let hq = world.add(net::hq(&spec), 2, None);
    let branch = world.add(willing(&spec, &spec, "test"), 2, Some(nat(1)));
    world.run(SECOND);
    apply(&mut world, hq, with_secret(net::hq(&spec), "another"));
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3000, MS), (3000, 3000));
    // And where we may not begin, it is said.
    let quiet = Spec {
        upkeep: Upkeep {
            revive: Revive::Off,
            ..spec.upkeep
        },
        ..Spec::default()
    };
    let selectors = |net: &str| {
        let mut policy = with_secret(net::hq(&quiet), "another");
        let mut template = (*policy.templates[0]).clone();
        template.children[0].remote = vec![TrafficSelector::parse(net).unwrap()];
        policy.templates = vec![Arc::new(template)];
        policy
    };
    apply(&mut world, hq, selectors("172.16.0.0/16"));
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 100, MS), (100, 100));
    let told = consequences(&world, hq);
    assert_eq!(told.last(), Some(&Consequence::StayUntilEnd), "{told:?}");
}

#[test]
fn who_is_not_allowed_any_more_is_told_and_not_called_back() {
    let spec = Spec::default();
    let mut world = World::new(1);
    let hq = world.add(net::hq(&spec), 2, None);
    let branch = world.add(willing(&spec, &spec, "test"), 2, Some(nat(1)));
    world.run(SECOND);
    let mut policy = net::hq(&spec);
    policy.pad = Pad::new(Vec::new());
    apply(&mut world, hq, policy);
    world.run(SECOND);
    assert_eq!(consequences(&world, hq), [Consequence::Close]);
    let cause = Some(CloseCause::ConfigurationChanged);
    assert_eq!(world.show(hq)[0].line.down_cause, cause);
    world.run(60 * SECOND);
    assert_eq!(handshakes(&world, hq), 1);
    let revived = |e: &Event| matches!(e, Event::RevivalAttempt { .. });
    assert!(!world.nodes[hq].events.iter().any(revived));
    // Allowed again it gets in again.
    apply(&mut world, hq, net::hq(&spec));
    world.run(130 * SECOND);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
}

#[test]
fn many_follow_one_after_the_other() {
    let spec = Spec::default();
    let after = Spec {
        child_life: 7200,
        ..Spec::default()
    };
    let mut world = World::new(1);
    let hq = world.add(net::hq(&spec), 1, None);
    for n in 1..=40u8 {
        let lan = format!("172.16.{n}.0/24");
        let spec = Spec {
            lan: &lan,
            ..Spec::default()
        };
        world.add(net::branch(&spec), 1, Some(nat(n)));
    }
    world.run(5 * SECOND);
    apply(&mut world, hq, net::hq(&after));
    world.run(Duration::from_millis(210));
    assert_eq!(consequences(&world, hq).len(), 10, "50 a second");
    world.run(2 * SECOND);
    assert_eq!(consequences(&world, hq), [Consequence::Rekey; 40]);
    let standings = |world: &mut World| {
        world.command(hq, Command::Standings);
        world.nodes[hq].replies.pop()
    };
    let Some(hawser_shard::io::Reply::Standings(standings)) = standings(&mut world) else {
        panic!("no standings")
    };
    // What would be, is told of each before it is done.
    let mut none = net::hq(&after);
    none.pad = Pad::new(Vec::new());
    let closed = standings.iter().map(|s| s.consequence(None, &none));
    assert_eq!(closed.collect::<Vec<_>>(), [Some(Consequence::Close); 40]);
}

/// No rekey changes the PRF, for implementations derive different keys by it.
#[test]
fn another_prf_wants_a_new_ike_sa() {
    let before = Spec::default();
    let after = Spec {
        ike: "aes256-sha256-x25519",
        ..Spec::default()
    };
    let mut world = World::new(1);
    let hq = world.add(net::hq(&before), 2, None);
    let branch = world.add(willing(&before, &after, "test"), 2, Some(nat(1)));
    world.run(SECOND);
    apply(&mut world, hq, net::hq(&after));
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 900, MS), (900, 900));
    assert_eq!(consequences(&world, hq), [Consequence::Reauthenticate]);
    let sas = &world.show(hq)[0].ike_sas;
    assert_eq!(sas.len(), 1);
    assert_eq!(sas[0].suite, "aes256-sha256-x25519");
    // Where we may not begin it is not rekeyed to death: it ends in its time, and the branch comes again.
    let mut policy = net::hq(&Spec {
        ike_life: 600,
        ..Spec::default()
    });
    let mut template = (*policy.templates[0]).clone();
    template.upkeep.revive = Revive::Off;
    policy.templates = vec![Arc::new(template)];
    apply(&mut world, hq, policy);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 100, MS), (100, 100));
    assert_eq!(
        consequences(&world, hq).last(),
        Some(&Consequence::StayUntilEnd)
    );
}
