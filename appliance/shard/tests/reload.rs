//! Another policy while tunnels run, and the end.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_flight::{CloseCause, Event};
use hawser_policy::*;
use hawser_shard::io::Command;
use hawser_shard::view::PeerStatus;
use net::*;
use std::sync::Arc;
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

fn apply(world: &mut World, node: usize, policy: Policy) {
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
    // The template is gone altogether.
    let mut policy = net::hq(&spec);
    policy.templates.clear();
    policy.pad = Pad::new(Vec::new());
    apply(&mut world, hq, policy);
    world.run(150 * SECOND);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
    // What is begun anew follows the new policy.
    let device = world.show(branch)[0].line.device;
    world.command(branch, Command::Reset(device));
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
