//! Instances are used again, but not for ever, and no worker keeps more of them than its share.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod fixtures;

use std::sync::Arc;

use fixtures::Fixture;
use hawser_plugin::dpd::{Evidence, sample_evidence};
use hawser_plugin::{
    AuthorizationHost, DpdHost, Hook, Limits, Options, PluginFault, Plugins, Scope, sample_request,
};

fn plugins(limits: Limits, fixtures: &[Fixture]) -> Arc<Plugins> {
    let options = Options {
        limits,
        ..Options::default()
    };
    let plugins = Plugins::new(options).unwrap();
    for fixture in fixtures {
        let hook: Hook = fixture.world.parse().unwrap();
        plugins
            .load(hook, &Scope::global(), &fixture.source())
            .unwrap();
    }
    plugins
}

fn one() -> Vec<Evidence> {
    sample_evidence()[..1].to_vec()
}

/// Instances made for so many calls.
fn instances(plugins: &Arc<Plugins>, calls: usize) -> u64 {
    let mut host = DpdHost::new(Arc::clone(plugins));
    for _ in 0..calls {
        host.decide("t", "t", &one()).unwrap().unwrap();
    }
    plugins.list()[0].instances
}

#[test]
fn after_so_many_calls_another_instance_serves() {
    let limits = Limits {
        calls_per_instance: 10,
        ..Limits::default()
    };
    let plugins = plugins(limits, &[Fixture::dpd("d", 1_000)]);
    assert_eq!(instances(&plugins, 100), 10);
}

#[test]
fn an_instance_that_has_grown_far_is_replaced_before_it_fails() {
    // 32 pages at first, one more a call, 256 at most.
    let hungry = Fixture::dpd("hungry", 1_000)
        .misbehaves("(if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))");
    let plugins = plugins(Limits::default(), &[hungry]);
    let made = instances(&plugins, 1_000);
    assert!((8..=10).contains(&made), "{made}");
    assert!(plugins.list()[0].faults.is_empty());
}

/// A plugin that traps when it was called before: of authorization nothing is left for the next peer, of DPD nothing
/// reaches another tenant.
#[test]
fn no_state_crosses_peers_or_tenants() {
    let once = |mut fixture: Fixture| {
        fixture.items = "(global $called (mut i32) (i32.const 0))".into();
        fixture.misbehaves(
            "(if (global.get $called) (then unreachable)) (global.set $called (i32.const 1))",
        )
    };
    let fixtures = [once(Fixture::dpd("d", 1_000)), once(Fixture::allow("a"))];
    let plugins = plugins(Limits::default(), &fixtures);
    let gate = AuthorizationHost::new(Arc::clone(&plugins));
    for _ in 0..3 {
        gate.authorize(&sample_request()).unwrap().unwrap();
    }
    let mut host = DpdHost::new(plugins);
    let mut ask = |tenant| host.decide(tenant, "t", &one()).unwrap();
    assert!(ask("one").is_ok() && ask("two").is_ok());
    assert!(ask("one").is_err(), "it does remember");
}

#[test]
fn more_tenants_than_instances_are_all_answered() {
    let limits = Limits {
        instances: 8,
        ..Limits::default()
    };
    let fixtures = [Fixture::dpd("d", 1_000), Fixture::allow("a")];
    let plugins = plugins(limits, &fixtures);
    let mut host = DpdHost::new(Arc::clone(&plugins));
    let gate = AuthorizationHost::new(Arc::clone(&plugins));
    for tenant in (0..3).flat_map(|_| 0..40) {
        let tenant = format!("tenant-{tenant}");
        for _ in 0..2 {
            host.decide(&tenant, "t", &one()).unwrap().unwrap();
        }
        gate.authorize(&sample_request()).unwrap().unwrap();
    }
    // One an own call of each tenant, and none for the second.
    assert_eq!(plugins.list()[0].instances, 120);
}

#[test]
fn a_full_pool_disables_nobody() {
    let limits = Limits {
        instances: 1,
        ..Limits::default()
    };
    let fixtures = [Fixture::dpd("d", 1_000), Fixture::allow("a")];
    let plugins = plugins(limits, &fixtures);
    let mut host = DpdHost::new(Arc::clone(&plugins));
    host.decide("t", "t", &one()).unwrap().unwrap();
    let gate = AuthorizationHost::new(Arc::clone(&plugins));
    for _ in 0..5 {
        let failure = gate.authorize(&sample_request()).unwrap().unwrap_err();
        assert!(matches!(failure.fault, PluginFault::NoRoom(_)), "{failure}");
    }
    drop(host);
    gate.authorize(&sample_request()).unwrap().unwrap();
}
