//! Calls do not grow the gateway. Alone in its process: it measures that.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod fixtures;

use std::sync::Arc;

use fixtures::Fixture;
use hawser_plugin::dpd::sample_evidence;
use hawser_plugin::{AuthorizationHost, DpdHost, Hook, Options, Plugins, Scope, sample_request};

#[test]
fn a_million_calls_do_not_grow() {
    let plugins = Plugins::new(Options::default()).unwrap();
    let everywhere = Scope::global();
    plugins
        .load(
            Hook::DpdPolicy,
            &everywhere,
            &Fixture::dpd("d", 1_000).source(),
        )
        .unwrap();
    plugins
        .load(
            Hook::PeerAuthorization,
            &everywhere,
            &Fixture::allow("a").source(),
        )
        .unwrap();
    let mut host = DpdHost::new(Arc::clone(&plugins));
    let gate = AuthorizationHost::new(Arc::clone(&plugins));
    let (evidence, request) = (sample_evidence()[..1].to_vec(), sample_request());
    let mut run = |calls: usize| {
        for call in 0..calls {
            host.decide("t", "t", &evidence).unwrap().unwrap();
            if call % 10 == 0 {
                gate.authorize(&request).unwrap().unwrap();
            }
        }
    };
    run(10_000);
    let before = resident();
    run(1_000_000);
    let grown = resident().saturating_sub(before);
    assert!(grown < 2 << 20, "{grown} octets");
}

/// Octets in memory (`/proc/self/statm`).
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
