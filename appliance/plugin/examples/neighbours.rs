//! What a plugin that means harm costs its neighbours:
//! `cargo run --release -p hawser-plugin --example neighbours`.
//!
//! A DPD plugin of one tenant is asked again and again, alone and while the plugin of another
//! tenant misbehaves: on another thread without an end (it is loaded anew when it is disabled), and
//! on the same thread before each hundredth question, until three faults have disabled it.

#![expect(
    clippy::unwrap_used,
    reason = "a measurement ends where it cannot go on"
)]

#[path = "../tests/fixtures/mod.rs"]
mod fixtures;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fixtures::{Fixture, hostile};
use hawser_plugin::dpd::{Evidence, sample_evidence};
use hawser_plugin::{DpdHost, Hook, Options, Plugins, Scope, Source};

const CALLS: usize = 300_000;
const EVERY: usize = 100;

fn main() {
    println!("one decision of a neighbour, in microseconds");
    println!(
        "{:<38}{:>8}{:>9}{:>9}{:>9}{:>11}",
        "", "faults", "p50", "p99", "p99.9", "longest"
    );
    row("alone", None, times(&plugins(), None));
    for fixture in [
        hostile::endless_loop(),
        hostile::deep_recursion(),
        hostile::memory_bomb(),
        hostile::huge_answer(),
        hostile::trap(),
    ] {
        let source = fixture.source();
        let (beside, faults) = beside(&source);
        let name = format!("beside `{}` on another thread", fixture.name);
        row(&name, Some(faults), beside);
        let plugins = plugins();
        load(&plugins, &source);
        let behind = times(&plugins, Some("bad"));
        let name = format!("behind `{}` on the same thread", fixture.name);
        row(&name, Some(faults_of_bad(&plugins)), behind);
    }
}

fn plugins() -> Arc<Plugins> {
    let plugins = Plugins::new(Options::default()).unwrap();
    let neighbour = Fixture::dpd("neighbour", 1_000).source();
    let good = Scope::tenant("good");
    plugins.load(Hook::DpdPolicy, &good, &neighbour).unwrap();
    plugins
}

fn load(plugins: &Plugins, source: &Source) {
    let bad = Scope::tenant("bad");
    plugins.load(Hook::DpdPolicy, &bad, source).unwrap();
}

fn one() -> Vec<Evidence> {
    sample_evidence()[..1].to_vec()
}

/// The times of the neighbour's calls, with the wait for the one that is asked before it.
fn times(plugins: &Arc<Plugins>, before: Option<&str>) -> Vec<Duration> {
    let mut host = DpdHost::new(Arc::clone(plugins));
    let one = one();
    let mut ask = |call: usize| {
        let begun = Instant::now();
        if let Some(tenant) = before.filter(|_| call.is_multiple_of(EVERY)) {
            let _ = host.decide(tenant, "t", &one);
        }
        host.decide("good", "t", &one).unwrap().unwrap();
        begun.elapsed()
    };
    (0..CALLS).map(&mut ask).collect()
}

/// The same while another thread keeps the other plugin busy; and how often that failed.
fn beside(source: &Source) -> (Vec<Duration>, u64) {
    let plugins = plugins();
    load(&plugins, source);
    let over = AtomicBool::new(false);
    let times = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut host = DpdHost::new(Arc::clone(&plugins));
            while !over.load(Ordering::Relaxed) {
                let failure = host.decide("bad", "t", &one()).unwrap().unwrap_err();
                if failure.fault.code() == "disabled" {
                    load(&plugins, source);
                }
            }
        });
        let times = times(&plugins, None);
        over.store(true, Ordering::Relaxed);
        times
    });
    (times, faults_of_bad(&plugins))
}

fn faults_of_bad(plugins: &Plugins) -> u64 {
    let bad = plugins.list().pop().unwrap();
    bad.faults.values().sum()
}

fn row(what: &str, faults: Option<u64>, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 1000].as_secs_f64() * 1e6;
    let faults = faults.map_or(String::new(), |faults| faults.to_string());
    println!(
        "{what:<38}{faults:>8}{:>9.2}{:>9.2}{:>9.2}{:>11.2}",
        at(500),
        at(990),
        at(999),
        at(1000)
    );
}
