//! `dpd-case`, the component, beside what is built in: the same virtual time, branches and traffic
//! give the same probes, retransmissions and ends.
#![allow(clippy::unwrap_used)]

use super::*;
use hawser_flight::Event;
use hawser_plugin::{Hook, Options, Plugins, Scope, Source};
use hawser_policy::DpdSettings;
use hawser_shard::hooks::{HookScope, Hooks};
use hawser_shard::io::{Command, RekeyWhat};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use world::{Spec, World, udp};

#[path = "../../../../shard/tests/net/mod.rs"]
mod world;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const STEP: Duration = Duration::from_millis(50);

fn settings(mode: DpdMode) -> DpdSettings {
    let seconds = Duration::from_secs;
    DpdSettings {
        mode,
        interval: seconds(20),
        retry: seconds(5),
        retries: 2,
    }
}

/// Headquarters with DPD, and a branch behind a NAT.
fn sites(mode: DpdMode, seed: u64) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let dpd = Some(settings(mode));
    let spec = Spec {
        dpd,
        ..Spec::default()
    };
    let hq = world.add(world::hq(&spec), 2, None);
    let branch = world::branch(&Spec::default());
    let branch = world.add(branch, 1, Some(world::nat(1)));
    (world, hq, branch)
}

/// The component decides for headquarters.
fn plug_in(world: &mut World, hq: usize) {
    // Its milliseconds are the world's: a policy knows no shorter times.
    let clock = Clock::at(world.start);
    let plugins = Plugins::new(Options::default()).unwrap();
    let dist = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../plugins/dist/dpd-case.wasm"
    );
    let source = Source {
        bytes: std::fs::read(dist).unwrap(),
        signature: None,
        settings: serde_json::Value::Null,
    };
    let scope = Scope::global();
    plugins.load(Hook::DpdPolicy, &scope, &source).unwrap();
    let mut host = DpdHost::new(plugins);
    world.nodes[hq].dpd = Box::new(move |evidence: &DpdEvidence| {
        let (tenant, template) = (evidence.tenant.clone(), evidence.template.clone());
        let answers = decide(clock, &mut host, &tenant, &template, &[evidence]);
        answers.into_iter().next().unwrap()
    });
    let hooks = Hooks {
        dpd: vec![HookScope::default()],
        ..Hooks::default()
    };
    world.hooks(hq, hooks);
}

/// What happens to the branch, drawn from a seed: traffic either way with pauses, sleep, moves of
/// its NAT, lost packets, rekeys, pings of an operator.
fn live(mut world: World, hq: usize, branch: usize, seed: u64) -> Vec<(u128, String)> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut story = Vec::new();
    let (mut out, mut back, mut asleep) = (true, true, false);
    // What happens at one moment happens in either order: nothing is to fall on a beat of DPD.
    world.run(Duration::from_millis(7));
    for step in 0..12_000 {
        if step % 100 == 0 {
            (out, back) = (rng.random_bool(0.6), rng.random_bool(0.3));
            asleep = rng.random_bool(if asleep { 0.7 } else { 0.05 });
            world.nodes[branch].frozen = asleep;
            world.loss = if rng.random_bool(0.2) { 0.3 } else { 0.0 };
        }
        match rng.random_range(0..4_000) {
            0 => world.nodes[branch].nat.as_mut().unwrap().port += 1,
            1 | 2 => act(&mut world, hq, Command::Ping),
            3 => act(&mut world, hq, |device| {
                Command::Rekey(device, RekeyWhat::All)
            }),
            _ => {}
        }
        if out && step % 7 == 0 {
            world.inner(hq, 0, udp(LAN, BRANCH));
        }
        if back && step % 11 == 0 && !asleep {
            world.inner(branch, 0, udp(BRANCH, LAN));
        }
        world.run(STEP);
        tell(&mut world, hq, &mut story);
    }
    story
}

fn act(world: &mut World, hq: usize, of: impl Fn(hawser_shard::io::DeviceId) -> Command) {
    if let Some(peer) = world.show(hq).first() {
        world.command(hq, of(peer.line.device));
    }
}

fn tell(world: &mut World, hq: usize, story: &mut Vec<(u128, String)>) {
    let at = (world.now - world.start).as_micros();
    for event in world.nodes[hq].events.drain(..) {
        let text = match event {
            Event::PluginDecided { .. } => continue,
            Event::PluginUndecided { .. } => panic!("{event:?}"),
            // A beat may differ by less than the millisecond that a policy is told.
            Event::ProbeAnswered { message_id, .. } => format!("ProbeAnswered {message_id}"),
            event => format!("{event:?}"),
        };
        story.push((at, text));
    }
}

fn compare(mode: DpdMode, seeds: std::ops::Range<u64>) {
    let (mut probes, mut ends) = (0, 0);
    for seed in seeds {
        let (world, hq, branch) = sites(mode, seed);
        let built_in = live(world, hq, branch, seed);
        let (mut world, hq, branch) = sites(mode, seed);
        plug_in(&mut world, hq);
        let plugged = live(world, hq, branch, seed);
        let first = built_in.iter().zip(&plugged).position(|(a, b)| a != b);
        let around = |story: &[(u128, String)]| {
            let at = first.unwrap_or_default();
            story[at.saturating_sub(6)..(at + 4).min(story.len())].to_vec()
        };
        assert!(
            built_in == plugged,
            "seed {seed}: built in {:#?}, plugin {:#?}",
            around(&built_in),
            around(&plugged)
        );
        let count = |word: &str| built_in.iter().filter(|(_, e)| e.starts_with(word)).count();
        probes += count("ProbeSent");
        ends += count("PeerDown");
    }
    assert!(probes > 20 && ends > 2, "{probes} probes, {ends} ends");
}

#[test]
fn the_component_does_what_is_built_in_on_demand() {
    compare(DpdMode::OnDemand, 0..20);
}

#[test]
fn the_component_does_what_is_built_in_periodically() {
    compare(DpdMode::Periodic, 100..120);
}
