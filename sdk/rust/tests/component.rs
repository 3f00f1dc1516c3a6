//! The harness for built components, held against the plugins that ship: with the program `hawser` in
//! PATH or in HAWSER, `cargo test -- --ignored`.

use hawser_sdk::testing::component::Component;
use std::panic::catch_unwind;

fn shipped(name: &str) -> Component {
    let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/dist");
    Component::at(format!("{dist}/{name}.wasm"))
}

#[test]
#[ignore = "needs the program hawser"]
fn a_report_has_the_figures_of_the_host() {
    let report = shipped("dpd-case").check();
    assert_eq!(report.name, "dpd-case");
    assert_eq!(report.hook, "dpd-policy");
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    assert!(report.calls > 1_000 && report.longest_ns >= report.median_ns);
    assert!((64 << 10..16 << 20).contains(&report.memory));
    assert!(report.median().as_millis() < 5);
}

#[test]
#[ignore = "needs the program hawser"]
fn a_scenario_is_played_against_the_component() {
    let printed = shipped("dpd-adaptive")
        .settings(r#"{"retries": 2}"#)
        .play("silent");
    assert!(printed.contains("3 probes among it"), "{printed}");
}

#[test]
#[ignore = "needs the program hawser"]
fn what_a_gateway_refuses_is_said() {
    let why = |component: Component| {
        let refused = catch_unwind(move || component.check()).map(|report| report.name);
        let panic = refused.expect_err("refused");
        panic.downcast_ref::<String>().cloned().unwrap_or_default()
    };
    let wrong = shipped("dpd-adaptive").settings(r#"{"retrys": 2}"#);
    assert!(why(wrong).contains("retrys"));
    let text = Component::at(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    assert!(why(text).contains("refused"));
}
