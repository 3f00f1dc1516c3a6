//! What authorization plugins decide, in virtual time: allowing, narrowing, denying; and what
//! happens when their answers come late or not at all.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_flight::{Event, HandshakeFailure};
use hawser_policy::{TrafficSelector, Upkeep};
use hawser_shard::hooks::*;
use hawser_shard::io::{Command, Question, RekeyWhat};
use net::*;
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);

fn by(plugin: &str) -> DecidedBy {
    DecidedBy {
        plugin: plugin.into(),
        version: "1.0.0".into(),
        generation: 3,
    }
}

/// Headquarters whose peers are authorized by a plugin, and a branch that calls.
fn authorizing(
    admit: bool,
    authorize: fn(&AuthorizeRequest) -> Authorized,
) -> (World, usize, usize) {
    let mut world = World::new(5);
    let spec = Spec {
        upkeep: Upkeep {
            admit_undecided: admit,
            ..Upkeep::default()
        },
        ..Spec::default()
    };
    let hq = world.add(hq(&spec), 2, None);
    let hooks = Hooks {
        authorization: vec![HookScope::default()],
        ..Hooks::default()
    };
    world.hooks(hq, hooks);
    world.nodes[hq].authorize = authorize;
    let branch = world.add(branch(&spec), 1, Some(nat(1)));
    (world, hq, branch)
}

fn denied(_: &AuthorizeRequest) -> Authorized {
    Authorized::Denied {
        code: "too-many".into(),
        detail: "3 tunnels".into(),
        by: vec![by("first"), by("second")],
    }
}

fn grant(request: &AuthorizeRequest) -> Grant {
    Grant {
        local: request.local.clone(),
        remote: request.remote.clone(),
        lifetime: None,
        attributes: vec![("site".into(), "Lyon".into())],
    }
}

fn allowed(request: &AuthorizeRequest) -> Authorized {
    Authorized::Allowed {
        grant: grant(request),
        by: vec![by("test")],
    }
}

fn narrowed(request: &AuthorizeRequest) -> Authorized {
    let grant = Grant {
        remote: vec![TrafficSelector::parse("172.16.1.0/28").unwrap()],
        lifetime: Some(Duration::from_secs(600)),
        ..grant(request)
    };
    let by = vec![by("test")];
    Authorized::Allowed { grant, by }
}

fn decisions(world: &World, hq: usize) -> Vec<(String, String, u64)> {
    let told = |e: &Event| match e {
        Event::PluginDecided {
            hook: "peer-authorization",
            plugin,
            version,
            generation,
            decision,
        } => Some((format!("{plugin} {version}"), decision.clone(), *generation)),
        _ => None,
    };
    world.nodes[hq].events.iter().filter_map(told).collect()
}

fn is_refused(world: &World, hq: usize) -> bool {
    let reason = HandshakeFailure::NotAuthorized;
    let refused = |e: &Event| matches!(e, Event::HandshakeFailed { reason: r, .. } if *r == reason);
    world.nodes[hq].events.iter().any(refused)
}

#[test]
fn an_allowed_peer_is_up_with_its_attributes_and_the_decision_is_in_its_ring() {
    let (mut world, hq, branch) = authorizing(false, allowed);
    world.run(SECOND);
    assert_eq!(world.ping(hq, branch, LAN, BRANCH, 3, SECOND / 10), (3, 3));
    let shown = world.show(hq);
    assert_eq!(shown[0].attributes, [("site".into(), "Lyon".into())]);
    let once = [("test 1.0.0".to_owned(), "allow".to_owned(), 3)];
    assert_eq!(decisions(&world, hq), once);
    let device = shown[0].line.device;
    let recorded = world.recall(hq, device);
    let decided = |e: &Event| matches!(e, Event::PluginDecided { .. });
    assert_eq!(recorded.iter().filter(|e| decided(e)).count(), 1);
}

#[test]
fn a_denied_peer_gets_no_device_and_the_reason_names_who_denied() {
    let (mut world, hq, _) = authorizing(false, denied);
    world.run(SECOND);
    assert!(is_refused(&world, hq));
    assert!(world.show(hq).is_empty());
    let chain = [
        ("first 1.0.0".to_owned(), "pass".to_owned(), 3),
        (
            "second 1.0.0".to_owned(),
            "deny too-many: 3 tunnels".to_owned(),
            3,
        ),
    ];
    assert_eq!(decisions(&world, hq)[..2], chain);
    assert_eq!(world.nodes[hq].directory.len(), 0);
}

#[test]
fn a_peer_that_lost_its_refusal_gets_it_again() {
    let (mut world, hq, branch) = authorizing(false, denied);
    world.nodes[hq].withhold = |q| matches!(q, Question::Authorize(_));
    world.run(SECOND / 5);
    let asked = world.nodes[branch].overheard.last().cloned().unwrap();
    world.release(hq);
    world.drop_flying();
    let before = world.nodes[hq].overheard.len();
    let source = world.nodes[branch].nat.as_ref().unwrap().translate(4500);
    // Steering finds the shard of the SPI; here any hands over to it.
    world.inject(source, hq, asked.0.remote, asked.1);
    world.run(SECOND / 10);
    let again = &world.nodes[hq].overheard[before..];
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].1, world.nodes[hq].overheard[before - 1].1);
}

#[test]
fn selectors_and_lifetime_are_narrowed_and_rekeys_do_not_widen_them() {
    let (mut world, hq, _) = authorizing(false, narrowed);
    world.run(SECOND);
    let shown = world.show(hq);
    assert_eq!(shown[0].ike_sas[0].children[0].remote, ["172.16.1.0/28"]);
    assert!(shown[0].ike_sas[0].expires_in_s.unwrap() <= 600);
    let told = "narrow to 172.16.1.0/28 for 600 s";
    assert_eq!(decisions(&world, hq)[0].1, told);
    let device = shown[0].line.device;
    world.command(hq, Command::Rekey(device, RekeyWhat::All));
    world.run(30 * SECOND);
    let shown = world.show(hq);
    let left = shown[0].ike_sas.iter().map(|sa| sa.expires_in_s.unwrap());
    assert!(left.max().unwrap() <= 570, "a rekey does not lengthen it");
    let children = shown[0].ike_sas.iter().flat_map(|sa| &sa.children);
    for child in children {
        assert_eq!(child.remote, ["172.16.1.0/28"]);
    }
    assert_eq!(decisions(&world, hq).len(), 1, "a rekey asks nobody");
}

#[test]
fn without_an_answer_a_peer_is_refused_or_where_the_template_says_so_let_in_and_said_so() {
    for (admit, fallback) in [(false, "refused"), (true, "allowed")] {
        let (mut world, hq, branch) = authorizing(admit, allowed);
        world.nodes[hq].withhold = |q| matches!(q, Question::Authorize(_));
        world.run(SECOND / 2);
        assert!(world.show(hq).is_empty(), "nothing is granted meanwhile");
        world.run(SECOND);
        let told = |e: &Event| matches!(e, Event::PluginUndecided { hook: "peer-authorization", fallback: f, .. } if *f == fallback);
        assert!(world.nodes[hq].events.iter().any(told), "{fallback}");
        assert_eq!(is_refused(&world, hq), !admit);
        let up = world.show(hq).iter().any(|p| !p.ike_sas.is_empty());
        assert_eq!(up, admit);
        // Answers that come late change nothing.
        world.nodes[hq].events.clear();
        world.release(hq);
        assert!(decisions(&world, hq).is_empty());
        if admit {
            assert_eq!(world.ping(hq, branch, LAN, BRANCH, 3, SECOND / 10), (3, 3));
        }
    }
}

#[test]
fn retransmissions_while_an_answer_is_pending_are_absorbed() {
    let (mut world, hq, branch) = authorizing(false, allowed);
    world.nodes[hq].withhold = |q| matches!(q, Question::Authorize(_));
    world.run(SECOND / 5);
    let sent = world.nodes[branch].overheard.last().cloned().unwrap();
    let source = world.nodes[branch].nat.as_ref().unwrap().translate(4500);
    for _ in 0..5 {
        world.inject(source, hq, sent.0.remote, sent.1.clone());
    }
    world.run(SECOND / 5);
    world.release(hq);
    world.run(SECOND);
    assert_eq!(world.show(hq).len(), 1);
    assert_eq!(world.show(hq)[0].ike_sas.len(), 1);
    assert!(!is_refused(&world, hq));
    let footprint = world.nodes[hq].footprint();
    assert_eq!(footprint[1], 0, "no question is left");
}

#[test]
fn a_plugin_that_denies_later_leaves_what_stands_and_refuses_what_comes_anew() {
    let (mut world, hq, branch) = authorizing(false, allowed);
    world.run(SECOND);
    world.nodes[hq].authorize = denied;
    let device = world.show(hq)[0].line.device;
    world.command(hq, Command::Rekey(device, RekeyWhat::All));
    world.run(5 * SECOND);
    assert_eq!(world.ping(hq, branch, LAN, BRANCH, 3, SECOND / 10), (3, 3));
    let here = world.show(branch)[0].line.device;
    world.command(branch, Command::Reset(here));
    world.run(30 * SECOND);
    assert!(is_refused(&world, hq), "what comes back is refused");
    let recorded = world.recall(hq, device);
    let reason = |e: &Event| matches!(e, Event::PluginDecided { decision, .. } if decision.starts_with("deny too-many"));
    assert!(recorded.iter().any(reason), "the device's ring says why");
}
