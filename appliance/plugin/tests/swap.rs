//! Generations: swapped, rolled back and disabled while calls are in flight.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod fixtures;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fixtures::Fixture;
use hawser_plugin::dpd::{Action, Evidence, sample_evidence};
use hawser_plugin::{
    AuthorizationHost, Cache, DpdHost, Hook, LogHost, Options, PluginFault, Plugins, Scope, Source,
    Verdict, sample_request,
};

fn one() -> Vec<Evidence> {
    sample_evidence()[..1].to_vec()
}

fn cached(dir: &tempfile::TempDir) -> Options {
    Options {
        cache: Some(Cache::open(dir.path().join("cache")).unwrap()),
        ..Options::default()
    }
}

/// A thousand swaps of each hook under calls: none fails, and what was decided is always what the
/// named version decides.
#[test]
fn a_thousand_swaps_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let plugins = Plugins::new(cached(&dir)).unwrap();
    let everywhere = Scope::global();
    let dpd: Vec<Source> = (0..4u64)
        .map(|n| {
            Fixture::dpd("dpd", 1_000 + n)
                .version(&format!("1.0.{n}"))
                .source()
        })
        .collect();
    let gates = ["172.16.19.0/25", "172.16.19.128/25"].map(|net| {
        let version = if net.ends_with(".0/25") {
            "1.0.0"
        } else {
            "1.0.1"
        };
        Fixture::allow_remote("gate", net).version(version).source()
    });
    let logs = ["1.0.0", "1.0.1"].map(|version| Fixture::log("lines").version(version).source());
    let load = |round: usize| {
        plugins
            .load(Hook::DpdPolicy, &everywhere, &dpd[round % 4])
            .unwrap();
        plugins
            .load(Hook::PeerAuthorization, &everywhere, &gates[round % 2])
            .unwrap();
        plugins
            .load(Hook::LogFormat, &everywhere, &logs[round % 2])
            .unwrap();
    };
    load(0);
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut host = DpdHost::new(Arc::clone(&plugins));
                let mut log = LogHost::new(Arc::clone(&plugins));
                let gate = AuthorizationHost::new(Arc::clone(&plugins));
                let (evidence, events) = (sample_evidence(), hawser_plugin::log::sample_events());
                while !stop.load(Ordering::Relaxed) {
                    check_dpd(&mut host, &evidence);
                    check_authorization(&gate);
                    let mut out = Vec::new();
                    log.format(&events, &mut out).unwrap().unwrap();
                    assert_eq!(out, b"x\nx\n");
                    calls.fetch_add(3, Ordering::Relaxed);
                }
            });
        }
        (1..=1_000).for_each(load);
        stop.store(true, Ordering::Relaxed);
    });
    let list = plugins.list();
    assert_eq!(list.len(), 3);
    assert!(list.iter().all(|info| info.faults.is_empty()), "{list:?}");
    let counted: u64 = list.iter().map(|info| info.calls).sum();
    assert_eq!(counted, calls.load(Ordering::Relaxed));
    assert!(list.iter().all(|info| info.generation > 3_000));
}

fn check_dpd(host: &mut DpdHost, evidence: &[Evidence]) {
    let decided = host.decide("t", "t", evidence).unwrap().unwrap();
    let number: u64 = decided.origin.version[4..].parse().unwrap();
    assert_eq!(decided.value.len(), evidence.len());
    for decision in &decided.value {
        assert!(matches!(decision.action, Action::Probe(ms) if ms == 1_000 + number));
    }
}

fn check_authorization(host: &AuthorizationHost) {
    let decided = host.authorize(&sample_request()).unwrap().unwrap();
    let Verdict::Allow(grant) = decided.verdict else {
        panic!("denied");
    };
    let net = match &*decided.origins[0].version {
        "1.0.0" => "172.16.19.0/25",
        _ => "172.16.19.128/25",
    };
    assert_eq!(grant.remote[0].to_string(), net);
}

#[test]
fn a_failed_load_leaves_the_old_and_a_rollback_returns_to_it() {
    let plugins = Plugins::new(Options::default()).unwrap();
    let everywhere = Scope::global();
    let load = |fixture: &Fixture| plugins.load(Hook::DpdPolicy, &everywhere, &fixture.source());
    load(&Fixture::dpd("a", 1_000)).unwrap();
    let mut broken = Fixture::dpd("b", 1_000);
    broken.init = "unreachable".into();
    assert!(load(&broken).is_err());
    assert_eq!((plugins.list()[0].generation, plugins.list().len()), (1, 1));
    assert!(
        plugins
            .rollback(Hook::DpdPolicy, &everywhere, None)
            .is_err()
    );

    let fragile = Fixture::dpd("c", 2_000).misbehaves("unreachable");
    assert_eq!(load(&fragile).unwrap().generation, 2);
    let mut host = DpdHost::new(Arc::clone(&plugins));
    for _ in 0..3 {
        let failure = host.decide("t", "t", &one()).unwrap().unwrap_err();
        assert!(matches!(failure.fault, PluginFault::Trap(_)));
    }
    let failure = host.decide("t", "t", &one()).unwrap().unwrap_err();
    assert!(matches!(failure.fault, PluginFault::Disabled(_)));
    assert_eq!(failure.origin.generation, 2);

    let info = plugins
        .rollback(Hook::DpdPolicy, &everywhere, None)
        .unwrap();
    assert_eq!((info.generation, info.disabled), (1, None));
    let decided = host.decide("t", "t", &one()).unwrap().unwrap();
    assert_eq!(
        (decided.origin.generation, &*decided.origin.plugin),
        (1, "a")
    );
    plugins
        .unload(Hook::DpdPolicy, &everywhere, Some("a"))
        .unwrap();
    assert!(host.decide("t", "t", &one()).is_none());
}

#[test]
fn the_most_specific_scope_decides() {
    let plugins = Plugins::new(Options::default()).unwrap();
    for (scope, millis) in [
        (Scope::global(), 1_000),
        (Scope::tenant("blue"), 2_000),
        (Scope::template("branch"), 3_000),
    ] {
        let fixture = Fixture::dpd("p", millis);
        plugins
            .load(Hook::DpdPolicy, &scope, &fixture.source())
            .unwrap();
    }
    let mut host = DpdHost::new(Arc::clone(&plugins));
    for (tenant, template, expected) in [
        ("red", "x", 1_000),
        ("blue", "x", 2_000),
        ("blue", "branch", 3_000),
        ("red", "branch", 3_000),
    ] {
        let decided = host.decide(tenant, template, &one()).unwrap().unwrap();
        assert!(matches!(decided.value[0].action, Action::Probe(ms) if ms == expected));
    }
    assert!(
        plugins
            .load(
                Hook::LogFormat,
                &Scope::tenant("blue"),
                &Fixture::log("l").source()
            )
            .is_err()
    );
}

#[test]
fn a_chain_narrows_and_the_first_denial_wins() {
    let plugins = Plugins::new(Options::default()).unwrap();
    let everywhere = Scope::global();
    let add = |fixture: &Fixture| {
        plugins
            .load(Hook::PeerAuthorization, &everywhere, &fixture.source())
            .unwrap();
    };
    let host = AuthorizationHost::new(Arc::clone(&plugins));
    assert!(host.authorize(&sample_request()).is_none());
    add(&Fixture::allow("open"));
    add(&Fixture::allow_remote("half", "172.16.19.0/25"));
    let verdict = |host: &AuthorizationHost| host.authorize(&sample_request()).unwrap().unwrap();
    let authorized = verdict(&host);
    let Verdict::Allow(grant) = authorized.verdict else {
        panic!("denied");
    };
    assert_eq!(grant.remote[0].to_string(), "172.16.19.0/25");
    assert_eq!(grant.lifetime_s, Some(86_400));
    assert_eq!(authorized.origins.len(), 2);

    add(&Fixture::deny("closed", "quarantined"));
    let authorized = verdict(&host);
    assert!(matches!(authorized.verdict, Verdict::Deny { code, .. } if code == "quarantined"));
    assert_eq!(authorized.origins.len(), 3);
    // Asked first, it denies before the others are asked; those that are not named keep their order.
    plugins.order_authorization(&everywhere, &["closed", "nobody"]);
    let denied = verdict(&host);
    assert!(matches!(denied.verdict, Verdict::Deny { .. }));
    let asked: Vec<_> = denied.origins.iter().map(|o| &*o.plugin).collect();
    assert_eq!(asked, ["closed"]);
    let all = plugins.list();
    let order: Vec<_> = all.iter().map(|info| info.name.as_str()).collect();
    assert_eq!(order, ["closed", "open", "half"]);
    assert!(
        plugins
            .unload(Hook::PeerAuthorization, &everywhere, None)
            .is_err()
    );
    plugins
        .unload(Hook::PeerAuthorization, &everywhere, Some("closed"))
        .unwrap();

    // Of what is left after the first half, the other half is wider.
    add(&Fixture::allow_remote("other-half", "172.16.19.128/25"));
    let failure = host.authorize(&sample_request()).unwrap().unwrap_err();
    assert!(matches!(failure.fault, PluginFault::WiderThanAsked(_)));
    assert_eq!(&*failure.origin.plugin, "other-half");
}
