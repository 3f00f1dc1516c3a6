//! What a DPD plugin decides, in virtual time: probing, giving up, waiting; and what happens when
//! its answers come late or not at all. That `dpd-case` does what is built in, the engine tests.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_flight::{CloseCause, Event};
use hawser_policy::{DpdMode, DpdSettings};
use hawser_shard::hooks::*;
use hawser_shard::io::Question;
use net::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);

fn decided(action: DpdAction) -> DpdDecided {
    let by = DecidedBy {
        plugin: "test".into(),
        version: "1.0.0".into(),
        generation: 3,
    };
    DpdDecided::Decided {
        action,
        memo: None,
        by,
    }
}

/// The case's rules on demand.
fn case(evidence: &DpdEvidence) -> DpdDecided {
    let dpd = evidence.settings.unwrap();
    let heard = evidence.ike_in.max(evidence.esp_in).unwrap();
    let quiet = evidence.now.saturating_duration_since(heard);
    decided(match (evidence.trigger, evidence.under_way) {
        (Trigger::Unanswered, Some((sent, _))) if sent > dpd.retries => {
            DpdAction::GiveUp(format!("sent {sent} times"))
        }
        (Trigger::Unanswered, _) => DpdAction::Probe(dpd.retry),
        (Trigger::BeforeSend, None) if quiet > dpd.interval => DpdAction::Probe(dpd.retry),
        _ => DpdAction::Wait,
    })
}

/// Headquarters with the case's DPD, decided by a plugin.
fn policed(policy: impl FnMut(&DpdEvidence) -> DpdDecided + 'static) -> (World, usize, usize) {
    policed_in(11, policy)
}

/// The same in the world of a seed, on which the device's shard depends.
fn policed_in(
    seed: u64,
    policy: impl FnMut(&DpdEvidence) -> DpdDecided + 'static,
) -> (World, usize, usize) {
    let dpd = DpdSettings {
        mode: DpdMode::OnDemand,
        interval: 20 * SECOND,
        retry: 5 * SECOND,
        retries: 2,
    };
    let mut world = World::new(seed);
    let spec = Spec {
        dpd: Some(dpd),
        ..Spec::default()
    };
    let hq = world.add(hq(&spec), 2, None);
    world.nodes[hq].dpd = Box::new(policy);
    world.hooks(hq, dpd_hooks());
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    world.nodes[hq].events.clear();
    (world, hq, branch)
}

fn dpd_hooks() -> Hooks {
    Hooks {
        dpd: vec![HookScope::default()],
        ..Hooks::default()
    }
}

fn decisions(world: &World, hq: usize) -> Vec<String> {
    let decision = |e: &Event| match e {
        Event::PluginDecided { decision, .. } => Some(decision.clone()),
        _ => None,
    };
    world.nodes[hq].events.iter().filter_map(decision).collect()
}

fn undecided(world: &World, hq: usize) -> usize {
    let told = |e: &&Event| {
        let fallback = "template";
        matches!(e, Event::PluginUndecided { fallback: f, .. } if *f == fallback)
    };
    world.nodes[hq].events.iter().filter(told).count()
}

fn down(world: &World, hq: usize) -> bool {
    let gone = Event::PeerDown {
        cause: CloseCause::DpdTimeout,
    };
    world.nodes[hq].events.contains(&gone)
}

/// Packets towards the branch, one a second.
fn send(world: &mut World, hq: usize, packets: usize) {
    for _ in 0..packets {
        world.inner(hq, 0, udp(LAN, BRANCH));
        world.run(SECOND);
    }
}

#[test]
fn a_dead_branch_is_given_up_as_the_plugin_says_and_its_ring_tells_the_story() {
    let (mut world, hq, branch) = policed(case);
    let device = world.show(hq)[0].line.device;
    world.nodes[branch].frozen = true;
    world.run(25 * SECOND);
    send(&mut world, hq, 20);
    assert!(down(&world, hq));
    let probe = "probe, again after 5000 ms";
    let end = "give up: sent 3 times";
    let story = [probe, "wait", probe, "wait", probe, "wait", end];
    assert_eq!(decisions(&world, hq), story);
    let recorded = world.recall(hq, device);
    let told = |e: &&Event| matches!(e, Event::PluginDecided { generation: 3, .. });
    // The first decision was to wait, when the device came up.
    assert_eq!(recorded.iter().filter(told).count(), story.len() + 1);
}

#[test]
fn decisions_that_only_wait_are_told_once() {
    let (mut world, hq, _) = policed(|_| decided(DpdAction::Wait));
    send(&mut world, hq, 100);
    assert!(decisions(&world, hq).is_empty(), "it waited before already");
    assert!(world.nodes[hq].dpd_asked.len() > 90);
}

#[test]
fn packets_ask_once_a_second_and_when_the_rule_of_the_template_is_met() {
    let quiet = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&quiet);
    let (mut world, hq, branch) = policed(move |evidence| {
        if evidence.trigger == Trigger::BeforeSend {
            let heard = evidence.ike_in.max(evidence.esp_in).unwrap();
            seen.borrow_mut().push(evidence.now - heard);
        }
        case(evidence)
    });
    world.nodes[branch].frozen = true;
    world.run(SECOND / 300);
    for _ in 0..2_050 {
        world.inner(hq, 0, udp(LAN, BRANCH));
        world.run(SECOND / 100);
    }
    let quiet = quiet.borrow();
    let (before, after): (Vec<Duration>, Vec<Duration>) =
        quiet.iter().partition(|q| **q <= 20 * SECOND);
    assert!((18..=20).contains(&before.len()), "{}", before.len());
    assert!(after[0] < 20 * SECOND + SECOND / 100, "{:?}", after[0]);
}

#[test]
fn no_plugin_means_no_question_and_one_that_goes_leaves_a_probe_to_the_template() {
    let (mut world, hq, branch) = policed(case);
    world.nodes[branch].frozen = true;
    world.run(25 * SECOND);
    send(&mut world, hq, 7);
    world.hooks(hq, Hooks::default());
    world.nodes[hq].dpd_asked.clear();
    send(&mut world, hq, 13);
    assert!(down(&world, hq));
    assert!(world.nodes[hq].dpd_asked.is_empty());
}

#[test]
fn without_answers_the_template_decides_and_says_so_once() {
    let (mut world, hq, branch) = policed(case);
    world.nodes[hq].withhold = |q| matches!(q, Question::DpdPolicy(_));
    world.nodes[branch].frozen = true;
    world.run(25 * SECOND);
    send(&mut world, hq, 30);
    assert!(down(&world, hq));
    assert_eq!(undecided(&world, hq), 1);
    assert_eq!(decisions(&world, hq).len(), 0);
}

#[test]
fn a_plugin_that_is_loaded_later_is_asked_within_a_minute_about_every_device() {
    // On either shard.
    for seed in 11..17 {
        let (mut world, hq, _) = policed_in(seed, case);
        world.hooks(hq, Hooks::default());
        world.nodes[hq].dpd_asked.clear();
        world.run(10 * SECOND);
        assert!(world.nodes[hq].dpd_asked.is_empty());
        world.hooks(hq, dpd_hooks());
        world.run(61 * SECOND);
        assert_eq!(world.nodes[hq].dpd_asked.len(), 1);
    }
}

#[test]
fn a_sign_of_life_overtakes_a_death_sentence() {
    let (mut world, hq, branch) = policed(|evidence| {
        decided(match evidence.trigger {
            Trigger::BeforeSend => DpdAction::GiveUp("I do not like it".into()),
            _ => DpdAction::Wait,
        })
    });
    world.nodes[hq].withhold = |q| matches!(q, Question::DpdPolicy(_));
    world.inner(hq, 0, udp(LAN, BRANCH));
    world.run(SECOND / 10);
    world.inner(branch, 0, udp(BRANCH, LAN));
    world.run(SECOND / 10);
    world.nodes[hq].dpd = Box::new(|evidence| {
        let alive = evidence.esp_in > Some(evidence.now - SECOND / 5);
        let late = evidence.trigger == Trigger::BeforeSend && !alive;
        decided(if late {
            DpdAction::GiveUp("late".into())
        } else {
            DpdAction::Wait
        })
    });
    world.release(hq);
    assert!(!down(&world, hq));
    // The new question was answered by what is known now.
    assert!(decisions(&world, hq).iter().any(|d| d == "give up: late"));
    assert_eq!(world.show(hq)[0].ike_sas.len(), 1);
}

#[test]
fn a_memo_comes_back_and_a_plugin_gives_up_without_a_probe() {
    let (mut world, hq, _) = policed(|evidence| {
        let action = match (evidence.trigger, evidence.memo.as_slice()) {
            (Trigger::Established, _) => DpdAction::WaitUntil(evidence.now + 10 * SECOND),
            (Trigger::Timer, b"waits") => DpdAction::GiveUp("as I said".into()),
            _ => DpdAction::Wait,
        };
        match decided(action) {
            DpdDecided::Decided { action, by, .. } => DpdDecided::Decided {
                action,
                memo: Some(b"waits".to_vec()),
                by,
            },
            other => other,
        }
    });
    world.run(8 * SECOND);
    assert!(!down(&world, hq));
    world.run(2 * SECOND);
    assert!(down(&world, hq));
    assert_eq!(decisions(&world, hq), ["give up: as I said"]);
}
