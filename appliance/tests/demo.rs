//! The program from outside: exit codes, `config`, and a short demo.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn hawser(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hawser"))
        .args(words)
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn configs(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../configs")
        .join(name);
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_configurations_that_ship_are_in_order() {
    for name in ["hq.cfg", "hq.toml"] {
        let output = hawser(&["config", "check", &configs(name), "--json"]);
        assert_eq!(code(&output), 0, "{name}: {}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&report["version"], &report["valid"]),
            (&1.into(), &true.into())
        );
    }
    let output = hawser(&["run", "--config", &configs("hq.cfg"), "--check"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("ignored"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn an_error_names_the_line_and_the_exit_code_is_1() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hq.cfg");
    std::fs::write(&file, "ikev2 proposal 1\n encryption rot13\n#\n").unwrap();
    let output = hawser(&["config", "check", file.to_str().unwrap()]);
    assert_eq!(code(&output), 1);
    assert!(
        text(&output.stderr).contains("hq.cfg:2: "),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn comware_becomes_toml_that_is_in_order() {
    let output = hawser(&["config", "import", "comware", &configs("hq.cfg")]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hq.toml");
    std::fs::write(&file, &output.stdout).unwrap();
    let output = hawser(&["config", "check", file.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
}

#[test]
fn a_wrong_word_and_a_gateway_that_is_not_there_are_errors() {
    assert_eq!(code(&hawser(&["frobnicate"])), 1);
    assert_eq!(code(&hawser(&["--version"])), 0);
    let output = hawser(&["status", "--socket", "/nonexistent/hawser.sock"]);
    assert_eq!(code(&output), 1);
    let start = "`hawser run --config FILE --socket /nonexistent/hawser.sock`";
    let told = text(&output.stderr);
    assert!(told.contains(start), "{told}");
}

#[test]
fn a_short_demo_is_as_it_should_be() {
    let output = hawser(&[
        "demo",
        "--branches",
        "6",
        "--seconds",
        "10",
        "--seed",
        "7",
        "--json",
    ]);
    let shown = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(code(&output), 0, "{shown}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&summary["version"], &summary["up"]),
        (&1.into(), &6.into()),
        "{shown}"
    );
    assert!(summary["pings"]["answered"].as_u64() > Some(100), "{shown}");
    assert_eq!(summary["pings"]["lost"], 0, "{shown}");
}

#[test]
fn following_the_events_ends_with_the_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("hawser.sock");
    let place = socket.to_str().unwrap();
    let words = [
        "demo",
        "--branches",
        "2",
        "--seconds",
        "5",
        "--socket",
        place,
    ];
    let mut demo = Command::new(env!("CARGO_BIN_EXE_hawser"))
        .args(words)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !socket.exists() {
        assert!(demo.try_wait().unwrap().is_none(), "the demo has ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = hawser(&["events", "--follow", "--socket", place]);
    demo.wait().unwrap();
    let (told, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(code(&output), 0, "{told}{errors}");
    // To the very last: what the gateway did when it was told to end.
    assert!(told.contains(": up\n"), "{told}");
    assert!(told.contains("closed: shutdown"), "{told}");
    assert_eq!(errors, "");
}

#[test]
fn the_real_demo_is_as_it_should_be_or_says_what_is_missing() {
    let output = hawser(&["demo", "--real", "--json"]);
    let told = text(&output.stderr);
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    if !in_ci && told.contains("needs more than is here") {
        eprintln!("THE REAL DEMO CANNOT RUN HERE: {told}");
        assert_eq!(code(&output), 1);
        return;
    }
    let shown = format!("{}{told}", text(&output.stdout));
    assert_eq!(code(&output), 0, "{shown}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&summary["up"], &summary["handshakes"]),
        (&3.into(), &4.into())
    );
    assert_eq!(summary["pings"]["lost"], 0, "{shown}");
}
