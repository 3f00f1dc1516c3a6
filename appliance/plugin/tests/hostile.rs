//! Plugins that mean harm: each ends in its named error, and its neighbour does not notice.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod fixtures;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fixtures::{Fixture, data, hostile};
use hawser_plugin::dpd::{Action, Evidence, sample_evidence};
use hawser_plugin::{
    AuthorizationHost, DpdHost, Failure, Hook, LoadError, LogHost, Options, PluginFault, Plugins,
    Scope, Source, sample_request,
};
use serde_json::json;

fn plugins() -> Arc<Plugins> {
    Plugins::new(Options::default()).unwrap()
}

fn bytes(bytes: Vec<u8>) -> Source {
    Source {
        bytes,
        ..Source::default()
    }
}

fn load_error(hook: Hook, source: &Source) -> LoadError {
    plugins().load(hook, &Scope::global(), source).unwrap_err()
}

fn one() -> Vec<Evidence> {
    sample_evidence()[..1].to_vec()
}

/// The failure of a DPD plugin that passes its self-test; beside it a neighbour in tenant `good`
/// is asked before, meanwhile and after.
fn dpd_failure(fixture: &Fixture) -> Failure {
    let plugins = plugins();
    let neighbour = Fixture::dpd("neighbour", 1_234).source();
    let good = Scope::tenant("good");
    plugins.load(Hook::DpdPolicy, &good, &neighbour).unwrap();
    plugins
        .load(Hook::DpdPolicy, &Scope::tenant("bad"), &fixture.source())
        .unwrap();
    let mut host = DpdHost::new(plugins);
    let ask_neighbour = |host: &mut DpdHost| {
        let decided = host.decide("good", "t", &one()).unwrap().unwrap();
        assert!(matches!(decided.value[0].action, Action::Probe(1_234)));
    };
    ask_neighbour(&mut host);
    let failure = host.decide("bad", "t", &one()).unwrap().unwrap_err();
    ask_neighbour(&mut host);
    // Discarded, not poisoned: the plugin itself serves the next call.
    let next = host.decide("bad", "t", &sample_evidence()).unwrap();
    assert_eq!(next.unwrap().origin, failure.origin);
    ask_neighbour(&mut host);
    failure
}

#[test]
fn an_endless_loop_meets_its_deadline() {
    let start = Instant::now();
    let failure = dpd_failure(&hostile::endless_loop());
    assert!(
        matches!(failure.fault, PluginFault::Deadline { limit, .. } if limit == Duration::from_millis(5)),
        "{failure}"
    );
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_deep_recursion_exhausts_its_stack() {
    let failure = dpd_failure(&hostile::deep_recursion());
    assert!(matches!(failure.fault, PluginFault::Stack(_)), "{failure}");
}

#[test]
fn a_memory_bomb_hits_the_limit() {
    let failure = dpd_failure(&hostile::memory_bomb());
    assert!(
        matches!(failure.fault, PluginFault::Memory { limit } if limit == 16 << 20),
        "{failure}"
    );
}

#[test]
fn a_table_bomb_hits_the_limit() {
    let mut fixture = Fixture::dpd("table", 1_000).misbehaves(
        "(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))
         (if (i32.gt_u (table.size $t) (i32.const 50000)) (then (return (i32.const 0)))) unreachable",
    );
    fixture.items = "(table $t 1 funcref)".into();
    let failure = dpd_failure(&fixture);
    assert!(matches!(failure.fault, PluginFault::Trap(_)), "{failure}");
}

#[test]
fn what_needs_too_much_from_the_start_is_not_loaded() {
    for (items, what) in [
        ("(memory $more 300)", "memor"),
        ("(table $t 60000 funcref)", "table"),
    ] {
        let mut fixture = Fixture::dpd("large", 1_000);
        fixture.items = items.into();
        let error = load_error(Hook::DpdPolicy, &fixture.source()).to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn a_trap_shows_names_and_last_words() {
    let mut fixture = Fixture::dpd("trap", 1_000)
        .misbehaves("(call $log (i32.const 3) (i32.const 15000) (i32.const 8)) (call $inner)");
    fixture.imports =
        r#"(import "hawser:plugin/host@0.1.0" "log" (func $log (param i32 i32 i32)))"#.into();
    fixture.items = data(15000, "panicked") + "(func $inner unreachable)";
    let failure = dpd_failure(&fixture);
    let PluginFault::Trap(text) = &failure.fault else {
        panic!("{failure}");
    };
    assert!(text.contains("unreachable"), "{text}");
    assert!(text.contains("inner"), "{text}");
    assert!(text.contains("panicked"), "{text}");
}

#[test]
fn a_trap_at_the_nth_call_costs_that_call() {
    let fixture = hostile::trap_at_the_fifth_call();
    let plugins = plugins();
    plugins
        .load(Hook::DpdPolicy, &Scope::global(), &fixture.source())
        .unwrap();
    let mut host = DpdHost::new(plugins);
    let results: Vec<bool> = (0..9)
        .map(|_| host.decide("t", "t", &one()).unwrap().is_ok())
        .collect();
    let expected = [true, true, true, true, false, true, true, true, true];
    assert_eq!(results, expected);
}

#[test]
fn a_wrong_number_of_decisions_is_a_bad_answer() {
    let failure = dpd_failure(&hostile::three_decisions());
    assert!(
        matches!(failure.fault, PluginFault::BadAnswer(_)),
        "{failure}"
    );
}

#[test]
fn an_answer_out_of_its_memory_is_a_bad_answer() {
    let failure = dpd_failure(&hostile::wild_answer());
    assert!(
        matches!(failure.fault, PluginFault::BadAnswer(_)),
        "{failure}"
    );
}

#[test]
fn a_huge_answer_is_too_much() {
    let failure = dpd_failure(&hostile::huge_answer());
    assert!(
        matches!(failure.fault, PluginFault::TooMuchOutput(_)),
        "{failure}"
    );
}

#[test]
fn a_memo_above_256_octets_is_too_much() {
    let fixture = Fixture::dpd("memo", 1_000).misbehaves(
        "(i32.store8 (i32.const 16400) (i32.const 1)) (i32.store (i32.const 16408) (i32.const 257))",
    );
    let failure = dpd_failure(&fixture);
    assert!(
        matches!(failure.fault, PluginFault::TooMuchOutput(_)),
        "{failure}"
    );
}

#[test]
fn log_lines_are_bounded_whole_and_lost_to_nobody() {
    let plugins = plugins();
    let event = || hawser_plugin::log::sample_events()[..1].to_vec();
    for (code, code_of_fault) in [
        (
            "(i32.store (i32.const 604) (i32.const 65536)) (i32.store (i32.const 608) (i32.const 65537)) (return (i32.const 600))",
            "too_much_output",
        ),
        (
            "(i32.store (i32.const 604) (i32.const 65536)) (i32.store (i32.const 608) (i32.const 1000000)) (return (i32.const 600))",
            "too_much_output",
        ),
        (
            "(i32.store (i32.const 604) (i32.const 16384)) (i32.store (i32.const 608) (i32.const 1)) (return (i32.const 600))",
            "bad_answer",
        ),
        (
            "(i32.store8 (i32.const 600) (i32.const 1)) (return (i32.const 600))",
            "declined",
        ),
    ] {
        let fixture = Fixture::log("lines").misbehaves(code);
        plugins
            .load(Hook::LogFormat, &Scope::global(), &fixture.source())
            .unwrap();
        let mut host = LogHost::new(Arc::clone(&plugins));
        let mut out = b"before\n".to_vec();
        let failure = host.format(&event(), &mut out).unwrap().unwrap_err();
        assert_eq!(failure.fault.code(), code_of_fault, "{failure}");
        assert_eq!(out, b"before\n");
        let whole = hawser_plugin::log::sample_events();
        host.format(&whole, &mut out).unwrap().unwrap();
        assert_eq!(out, b"before\nx\nx\n");
    }
}

#[test]
fn wider_selectors_are_a_fault_and_three_disable() {
    let plugins = plugins();
    let fixture = Fixture::allow_remote("wide", "172.16.0.0/16").misbehaves("");
    // The self-test asks for 172.16.19.0/24, so a plugin that always widens is not even loaded.
    let error = load_error(Hook::PeerAuthorization, &fixture.source());
    let LoadError::SelfTest { fault, .. } = &error else {
        panic!("{error}");
    };
    assert!(matches!(fault, PluginFault::WiderThanAsked(_)), "{error}");

    let fixture = Fixture::allow_remote("narrow", "172.16.19.0/25");
    plugins
        .load(Hook::PeerAuthorization, &Scope::global(), &fixture.source())
        .unwrap();
    let host = AuthorizationHost::new(Arc::clone(&plugins));
    assert!(host.authorize(&sample_request()).unwrap().is_ok());
    let mut request = sample_request();
    request.remote = vec![hawser_policy::TrafficSelector::parse("172.16.19.0/26").unwrap()];
    for _ in 0..3 {
        let failure = host.authorize(&request).unwrap().unwrap_err();
        assert!(
            matches!(failure.fault, PluginFault::WiderThanAsked(_)),
            "{failure}"
        );
    }
    let failure = host.authorize(&sample_request()).unwrap().unwrap_err();
    assert!(
        matches!(failure.fault, PluginFault::Disabled(_)),
        "{failure}"
    );
    assert!(plugins.list()[0].disabled.is_some());
}

#[test]
fn a_plugin_that_fails_at_its_start_is_not_loaded() {
    let error = load_error(Hook::DpdPolicy, &hostile::trap_at_init().source());
    assert!(
        matches!(
            &error,
            LoadError::SelfTest {
                step: "init",
                fault: PluginFault::Trap(_)
            }
        ),
        "{error}"
    );

    // A start function that never ends.
    let mut fixture = Fixture::dpd("start", 1_000);
    fixture.items = "(func $start (loop $l (br $l))) (start $start)".into();
    let error = load_error(Hook::DpdPolicy, &fixture.source());
    assert!(
        matches!(
            &error,
            LoadError::SelfTest {
                step: "instantiate",
                fault: PluginFault::Deadline { .. }
            }
        ),
        "{error}"
    );

    let mut fixture = Fixture::dpd("refuses", 1_000);
    fixture.init = "(i32.store8 (i32.const 512) (i32.const 1)) (i32.store (i32.const 516) (i32.const 15000))
        (i32.store (i32.const 520) (i32.const 5)) (i32.store (i32.const 524) (i32.const 15005)) (i32.store (i32.const 528) (i32.const 7))".into();
    fixture.items = data(15000, "/modetoo odd");
    let error = load_error(Hook::DpdPolicy, &fixture.source());
    let LoadError::SelfTest {
        step: "init",
        fault: PluginFault::Init { path, message },
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((path.as_str(), message.as_str()), ("/mode", "too odd"));
}

#[test]
fn settings_are_checked_before_anything_sees_them() {
    let mut fixture = Fixture::dpd("settings", 1_000);
    fixture.schema = r#"{"type":"object","additionalProperties":false,"properties":{"seconds":{"type":"integer","maximum":9}}}"#.into();
    fixture.init = "unreachable".into();
    for (settings, at) in [
        (json!({"secs": 1}), "/secs"),
        (json!({"seconds": 10}), "/seconds"),
    ] {
        let mut source = fixture.source();
        source.settings = settings;
        let error = load_error(Hook::DpdPolicy, &source);
        assert!(
            matches!(&error, LoadError::Settings { pointer, .. } if pointer == at),
            "{error}"
        );
    }
}

#[test]
fn what_is_no_plugin_is_refused_by_name() {
    let good = Fixture::dpd("good", 1_000).build();
    let check = |bytes_of: Vec<u8>| load_error(Hook::DpdPolicy, &bytes(bytes_of));
    assert!(matches!(check(Vec::new()), LoadError::NotAComponent(_)));
    assert!(matches!(
        check(b"#!/bin/sh\n".to_vec()),
        LoadError::NotAComponent(_)
    ));
    let module = wat::parse_str("(module)").unwrap();
    assert!(matches!(check(module), LoadError::NotAComponent(_)));
    for length in [3, 7, good.len() / 2, good.len() - 1] {
        let error = check(good[..length].to_vec());
        assert!(
            matches!(error, LoadError::Truncated(_)),
            "{length}: {error}"
        );
    }
    let empty = wat::parse_str("(component)").unwrap();
    assert!(matches!(check(empty), LoadError::AnotherWorld { .. }));
    let mut broken = good.clone();
    let middle = broken.len() / 2;
    broken[middle..middle + 40].fill(0xff);
    let error = check(broken);
    assert!(
        matches!(
            error,
            LoadError::Malformed(_) | LoadError::Compile(_) | LoadError::Truncated(_)
        ),
        "{error}"
    );
    let error = load_error(Hook::LogFormat, &bytes(good));
    assert!(matches!(error, LoadError::AnotherHook { .. }), "{error}");
}

#[test]
fn another_version_says_which_fit() {
    for version in ["@0.2.0", "@1.0.0", "@0.0.9"] {
        let mut fixture = Fixture::dpd("other", 1_000);
        fixture.wit = vec![("@0.1.0", version)];
        let error = load_error(Hook::DpdPolicy, &fixture.source());
        assert!(matches!(error, LoadError::Version { .. }), "{error}");
        assert!(error.to_string().contains("0.1.x"), "{error}");
    }
    let mut fixture = Fixture::dpd("patch", 1_000);
    fixture.wit = vec![("@0.1.0", "@0.1.7")];
    let info = plugins()
        .load(Hook::DpdPolicy, &Scope::global(), &fixture.source())
        .unwrap();
    assert_eq!(info.package_version, "0.1.7");
}

#[test]
fn imports_of_another_host_are_refused_by_name() {
    let error = load_error(Hook::DpdPolicy, &hostile::of_another_host().source());
    assert!(
        matches!(&error, LoadError::Import(name) if name == "other:host/api@1.0.0"),
        "{error}"
    );
}

#[test]
fn wasi_is_refused_unless_granted_as_a_stub() {
    let mut fixture = Fixture::dpd("imports", 1_000).misbehaves("(call $get)");
    fixture.imports = r#"(import "wasi:cli/environment@0.2.0" "get" (func $get))"#.into();
    fixture.wit = vec![(
        "world dpd-policy {",
        "package wasi:cli@0.2.0 { interface environment { get: func(); } }\nworld dpd-policy { import wasi:cli/environment@0.2.0;",
    )];
    let error = load_error(Hook::DpdPolicy, &fixture.source());
    assert!(
        matches!(&error, LoadError::Wasi(name) if name == "wasi:cli/environment@0.2.0"),
        "{error}"
    );

    let plugins = Plugins::new(Options {
        granted: vec!["wasi:cli/".into()],
        ..Options::default()
    })
    .unwrap();
    plugins
        .load(Hook::DpdPolicy, &Scope::global(), &fixture.source())
        .unwrap();
    let failure = DpdHost::new(plugins)
        .decide("t", "t", &one())
        .unwrap()
        .unwrap_err();
    assert!(matches!(failure.fault, PluginFault::Trap(_)), "{failure}");
}

/// Some 50 us a question: a full batch in one call would take twice its deadline or more.
#[test]
fn a_slow_plugin_is_asked_less_at_a_time() {
    let spin = "(local.set $i (i32.mul (local.get 3) (i32.const 100000)))
        (loop $spin (br_if $spin (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
        (local.set $i (i32.const 0))";
    let plugins = plugins();
    let slow = Fixture::dpd("slow", 1_234).misbehaves(spin).source();
    plugins
        .load(Hook::DpdPolicy, &Scope::global(), &slow)
        .unwrap();
    let mut host = DpdHost::new(Arc::clone(&plugins));
    let many: Vec<Evidence> = one().into_iter().cycle().take(512).collect();
    for _ in 0..3 {
        let decided = host.decide("t", "t", &many).unwrap().unwrap();
        assert_eq!(decided.value.len(), many.len());
    }
}
