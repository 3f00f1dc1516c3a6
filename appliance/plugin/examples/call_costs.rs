//! What calls, instances and swaps cost: `cargo run --release -p hawser-plugin --example call_costs [DIR]`.
//!
//! With a folder (`plugins/dist`) the components in it are measured, with `NAME.json` beside
//! `NAME.wasm` as settings; else those of the tests, which do next to nothing: what is left is
//! the overhead of the host.

#![expect(
    clippy::unwrap_used,
    reason = "a measurement ends where it cannot go on"
)]

#[path = "../tests/fixtures/mod.rs"]
mod fixtures;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fixtures::Fixture;
use hawser_plugin::dpd::sample_evidence;
use hawser_plugin::log::sample_events;
use hawser_plugin::{
    AuthorizationHost, Cache, DpdHost, Hook, LoadError, LogHost, Options, Plugins, Scope, Source,
    inspect, sample_request,
};
use serde_json::Value;

fn main() {
    let folder = std::env::args().nth(1);
    let components: Vec<(String, Source)> = match &folder {
        Some(folder) => read(Path::new(folder)),
        None => [
            Fixture::dpd("dpd", 1_000),
            Fixture::allow("allow"),
            Fixture::log("log"),
        ]
        .iter()
        .map(|fixture| (fixture.name.clone(), fixture.source()))
        .collect(),
    };
    for (name, source) in components {
        if let Err(error) = measure(&name, &source) {
            println!("  {error}");
        }
    }
}

fn read(folder: &Path) -> Vec<(String, Source)> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "wasm"));
    paths.sort();
    let source = |path: &PathBuf| {
        let settings = std::fs::read(path.with_extension("json")).ok();
        let source = Source {
            bytes: std::fs::read(path).unwrap(),
            settings: settings.map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap()),
            signature: None,
        };
        (path.display().to_string(), source)
    };
    paths.iter().map(source).collect()
}

fn measure(name: &str, source: &Source) -> Result<(), LoadError> {
    let dir = tempfile::tempdir().unwrap();
    let plugins = Plugins::new(Options {
        cache: Some(Cache::open(dir.path().join("cache"))?),
        ..Options::default()
    })?;
    let hook = inspect(&source.bytes, usize::MAX, &[])?.hook;
    println!("{name} ({hook}, {} octets)", source.bytes.len());
    let begun = Instant::now();
    plugins.load(hook, &Scope::global(), source)?;
    println!("  first load, compiled here: {:?}", begun.elapsed());
    row("  swap, from the cache", 1_000, 1, || {
        plugins.load(hook, &Scope::global(), source).unwrap();
    });
    match hook {
        Hook::DpdPolicy => dpd(&plugins),
        Hook::PeerAuthorization => {
            let (host, request) = (
                AuthorizationHost::new(Arc::clone(&plugins)),
                sample_request(),
            );
            row("  authorization, fresh instance", 50_000, 1, || {
                host.authorize(&request).unwrap().unwrap();
            });
        }
        Hook::LogFormat => {
            let (mut host, event) = (
                LogHost::new(Arc::clone(&plugins)),
                sample_events()[1].clone(),
            );
            let mut out = Vec::new();
            let events = vec![event; 256];
            row("  event in batches of 256", 2_000, 256, || {
                out.clear();
                host.format(&events, &mut out).unwrap().unwrap();
            });
        }
    }
    let info = &plugins.list()[0];
    println!("  memory of an instance {} KiB", info.memory >> 10);
    Ok(())
}

fn dpd(plugins: &Arc<Plugins>) {
    let mut host = DpdHost::new(Arc::clone(plugins));
    let one = sample_evidence()[..1].to_vec();
    let batch = vec![one[0].clone(); 64];
    row("  one decision, reused instance", 500_000, 1, || {
        host.decide("t", "t", &one).unwrap().unwrap();
    });
    row("  decision in batches of 64", 20_000, 64, || {
        host.decide("t", "t", &batch).unwrap().unwrap();
    });
}

/// Prints the median and the 99th percentile of a call, divided by what it did.
fn row(what: &str, calls: usize, each: u32, mut call: impl FnMut()) {
    let mut times: Vec<Duration> = (0..calls)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed()
        })
        .collect();
    times.sort();
    let at = |share: usize| times[(calls - 1) * share / 100] / each;
    println!("{what}: p50 {:?}, p99 {:?}", at(50), at(99));
}
