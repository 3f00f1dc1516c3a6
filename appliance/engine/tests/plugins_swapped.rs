//! The plugins of a gateway are swapped a thousand times while it carries packets, renews keys and
//! lets branches in.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../plugin/tests/fixtures/mod.rs"]
mod fixtures;

use common::fleet::{Fleet, Over, branch, headquarters, up};
use common::{Site, log_file, shipped};
use fixtures::Fixture;
use hawser_engine::{EngineHandle, EventStream, Feed};
use hawser_flight::Event;
use hawser_plugin::{Cache, Hook, Options, Plugins, Scope, Source};
use hawser_policy::{LogLevel, LogSettings, Policy};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SWAPS: usize = 1_000;
/// Versions of each plugin; each decides as no other does.
const VERSIONS: u64 = 4;
/// Branches with traffic, and the first number of those that come and go.
const BRANCHES: [&str; 4] = ["north", "east", "south", "west"];
const GUESTS: std::ops::Range<u8> = 100..200;
/// The log plugins that take turns, and what stands before an event's number in their lines.
const LOGS: [(&str, &str); 2] = [
    ("log-json", "\"hawser.sequence\":"),
    ("log-syslog", " sequence=\""),
];

/// A decision: hook, version, generation, and what was decided.
type Decision = (String, String, u64, String);

/// What the gateway told.
#[derive(Default)]
struct Told {
    decisions: Vec<Decision>,
    undecided: Vec<String>,
    refused: Vec<String>,
    lost: u64,
}

async fn listen(mut events: EventStream) -> Told {
    let mut told = Told::default();
    while let Some(feed) = events.next().await {
        let record = match feed {
            Feed::Event(record) => record,
            Feed::Lost(events) => {
                told.lost += events;
                continue;
            }
        };
        match &record.event {
            Event::PluginDecided {
                hook,
                version,
                generation,
                decision,
                ..
            } => told.decisions.push((
                (*hook).to_owned(),
                version.to_string(),
                *generation,
                decision.clone(),
            )),
            Event::PluginUndecided { hook, reason, .. } => {
                told.undecided.push(format!("{hook}: {reason}"));
            }
            Event::HandshakeFailed { .. } => told.refused.push(format!("{:?}", record.event)),
            _ => {}
        }
    }
    told
}

/// Swaps all plugins; what each generation is: the version of which hook.
fn swap(plugins: &Plugins) -> BTreeMap<u64, (Hook, String)> {
    let version = |fixture: Fixture, n| fixture.version(&format!("1.0.{n}")).source();
    let dpd: Vec<Source> = (0..VERSIONS)
        .map(|n| version(Fixture::dpd_with_rests("prober", 1_000 + n), n))
        .collect();
    let gates: Vec<Source> = (0..VERSIONS)
        .map(|n| version(Fixture::allow_for("gate", 1_000 + n), n))
        .collect();
    let logs: Vec<Source> = LOGS.iter().map(|(plugin, _)| shipped(plugin)).collect();
    let mut generations = BTreeMap::new();
    for round in 0..=SWAPS {
        for (hook, sources) in [
            (Hook::DpdPolicy, &dpd),
            (Hook::PeerAuthorization, &gates),
            (Hook::LogFormat, &logs),
        ] {
            let source = &sources[round % sources.len()];
            let info = plugins.load(hook, &Scope::global(), source).unwrap();
            generations.insert(info.generation, (hook, info.version));
        }
    }
    generations
}

/// Branches that come and go, until it is over.
async fn guests(hq: &Site, over: &AtomicBool) -> usize {
    let mut came = 0;
    for number in GUESTS.cycle() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let guest = branch(number, &format!("guest-{number}"), hq);
        up(&guest.engine, 1).await;
        guest.engine.shutdown().await;
        came += 1;
    }
    came
}

/// Whether a decision is what this version decides.
fn is_of_version(decision: &str, version: &str) -> bool {
    let Some(n) = version
        .strip_prefix("1.0.")
        .and_then(|n| n.parse::<u64>().ok())
    else {
        return false;
    };
    decision == "wait"
        || decision == format!("probe, again after {} ms", 1_000 + n)
        || decision.ends_with(&format!(" for {} s", 1_000 + n))
}

/// Headquarters with everything in a log.
fn logging(path: &Path) -> Policy {
    let mut policy = headquarters(2);
    policy.observability.log = LogSettings {
        level: Some(LogLevel::Debug),
        rate: 1_000_000,
        outputs: vec![log_file(path)],
        ..LogSettings::default()
    };
    policy
}

/// Every event stands in the log once and in order, in a line of one of the log plugins but for those at the beginning
/// that came before the first was loaded: the events, and how often the other plugin went on.
fn written(path: &Path) -> (u64, usize) {
    let text = std::fs::read_to_string(path).unwrap();
    let (mut last, mut turns, mut of) = (0, 0, None);
    for line in text.lines() {
        let numbered = LOGS
            .iter()
            .find_map(|(plugin, before)| Some((*plugin, line.split_once(before)?.1)));
        last += 1;
        let Some((plugin, rest)) = numbered else {
            assert_eq!(of, None, "after {last} events no plugin wrote: {line}");
            continue;
        };
        let number = rest.split(|c: char| !c.is_ascii_digit()).next();
        assert_eq!(number.unwrap().parse(), Ok(last), "{line}");
        turns += usize::from(of.replace(plugin).is_some_and(|of| of != plugin));
    }
    (last, turns)
}

async fn undecided(engine: &EngineHandle) -> u64 {
    engine
        .counters()
        .await
        .iter()
        .map(|c| c.hooks_undecided)
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_swaps_of_each_hook_lose_no_packet_and_no_question() {
    let cache = tempfile::tempdir().unwrap();
    let options = Options {
        cache: Some(Cache::open(cache.path().join("plugins")).unwrap()),
        ..Options::default()
    };
    let log = cache.path().join("log");
    let hq = Site::with_log(logging(&log), options);
    let plugins = hq.engine.plugins().unwrap();
    let told = tokio::spawn(listen(hq.engine.subscribe_events()));
    let fleet = Arc::new(Fleet::start(hq, &BRANCHES).await);
    let end = Over::default();
    let over = end.flag();

    let traffic = {
        let (fleet, over) = (Arc::clone(&fleet), Arc::clone(&over));
        tokio::task::spawn_blocking(move || fleet.traffic(&over))
    };
    let swapped = {
        let plugins = Arc::clone(&plugins);
        tokio::task::spawn_blocking(move || {
            let _end = end;
            swap(&plugins)
        })
    };
    let (rekeys, guests) = tokio::join!(fleet.rekey(&over), guests(&fleet.hq, &over));
    let (counted, generations) = (traffic.await.unwrap(), swapped.await.unwrap());
    let undecided = undecided(&fleet.hq.engine).await;
    let counters = fleet.hq.engine.counters().await;
    let renewed: u64 = counters.iter().map(|c| c.ike_rekeys + c.child_rekeys).sum();
    let list = plugins.list();
    Arc::into_inner(fleet).unwrap().end().await;
    let told = told.await.unwrap();
    let (lines, turns) = written(&log);

    let decided: BTreeSet<u64> = told.decisions.iter().map(|(_, _, g, _)| *g).collect();
    println!(
        "{} packets; {rekeys} rekeys begun, {renewed} done; {guests} guests; {} decisions told, of {} generations; \
         {lines} events in the log, whose plugin changed {turns} times",
        counted.sent,
        told.decisions.len(),
        decided.len()
    );
    assert_eq!(
        (counted.lost, told.lost, undecided),
        (0, 0, 0),
        "{counted:?}"
    );
    assert!(told.undecided.is_empty(), "{:?}", told.undecided);
    assert!(told.refused.is_empty(), "{:?}", told.refused);
    assert_eq!(generations.len(), 3 * (SWAPS + 1));
    for (hook, version, generation, decision) in &told.decisions {
        let (of, loaded) = &generations[generation];
        let right = of.as_str() == hook && loaded == version && is_of_version(decision, version);
        assert!(
            right,
            "{hook} {version} of generation {generation}: {decision}; {of} {loaded} was loaded"
        );
    }
    for info in &list {
        assert!(info.faults.is_empty(), "{info:?}");
        assert!(
            info.generation > 3 * SWAPS as u64 && info.answers > 0,
            "{info:?}"
        );
    }
    // There was something to lose: packets, keys, handshakes and decisions all the while.
    assert!(
        counted.sent > 1_000 && renewed > 20 && guests > 2,
        "{counted:?}"
    );
    assert!(turns > 50, "the log plugins took {turns} turns");
    assert!(decided.len() > 50, "{} generations decided", decided.len());
}
