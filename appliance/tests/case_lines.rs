//! The lines of the case, from a replay of its events through the plugins that ship, under a gateway's limits.
//!
//! `plugins/case` holds both: the lines as they were published, misread characters put right, and the events that they tell of.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../plugins/case")
        .join(name)
}

/// What the plugin makes of the events.
fn replayed(plugin: &str, settings: &str, events: &str) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hawser"));
    command.args([
        "plugin",
        "test",
        plugin,
        "--settings",
        settings,
        "--scenario",
    ]);
    let output = command.arg(case(events)).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let own = text
        .lines()
        .filter_map(|line| line.strip_prefix(plugin)?.strip_prefix("  "));
    own.map(str::to_owned).collect()
}

/// Every published line must be among the others, in order.
fn expect(published: &[String], lines: &[String]) {
    let mut rest = lines.iter();
    for line in published {
        assert!(
            rest.any(|l| l == line),
            "not in its place: {line}\nin {lines:#?}"
        );
    }
}

#[test]
fn the_headquarters_lines_come_out_of_log_comware_to_the_letter() {
    let text = fs::read_to_string(case("headquarters.log")).unwrap();
    let published: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(published.len(), 29);
    expect(
        &published,
        &replayed("log-comware", "{}", "headquarters.jsonl"),
    );
}

/// (Sizes of messages and the Message ID of a rekey are in the replay; the gateway's events have neither, so that its lines
/// go without.) What no event tells of: when charon means to authenticate anew by itself, and that our DELETE was answered. Which, and
/// what they say.
const UNSAID: [(usize, &str); 4] = [
    (2, "rescheduling reauthentication in 0s"),
    (6, "unable to reauthenticate in REKEYED state"),
    (24, "received packet"),
    (25, "parsed INFORMATIONAL response"),
];

/// A line without its time, its thread and the job's number, SAs numbered as in the replay.
fn bare(line: &str) -> String {
    let (_, rest) = line.split_once('[').unwrap();
    let (group, text) = rest.split_once("] ").unwrap();
    let text = match text.strip_prefix('<') {
        Some(numbered) => numbered.split_once("> ").unwrap().1,
        None => text,
    };
    let numbers = [("[121]", "[1]"), ("[122]", "[2]"), ("[1478]", "[1]")];
    let text = numbers
        .iter()
        .fold(text.to_owned(), |t, (from, to)| t.replace(from, to));
    format!("[{group}] {text}")
}

#[test]
fn the_branchs_lines_come_out_of_log_strongswan() {
    let text = fs::read_to_string(case("branch.log")).unwrap();
    let mut published: Vec<String> = text.lines().map(bare).collect();
    assert_eq!(published.len(), 28);
    for (number, says) in UNSAID.iter().rev() {
        let line = published.remove(number - 1);
        assert!(line.contains(says), "{number}: {line}");
    }
    let lines = replayed(
        "log-strongswan",
        r#"{"local-identity": "test"}"#,
        "branch.jsonl",
    );
    let lines: Vec<String> = lines.iter().map(|line| bare(line)).collect();
    expect(&published, &lines);
}
