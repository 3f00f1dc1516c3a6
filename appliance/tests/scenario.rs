//! A run of the simulator is played against plugins.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use hawser_sim::plan::Plan;
use hawser_sim::run::run_and_keep;
use std::path::Path;
use std::process::Command;

fn play(plugin: &str, folder: &Path) -> String {
    let mut test = Command::new(env!("CARGO_BIN_EXE_hawser"));
    test.args(["plugin", "test", plugin, "--scenario"]);
    let output = test.arg(folder).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_run_of_the_simulator_is_played_against_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let (outcome, scenario) = run_and_keep(&Plan::new(7, 6, 0.5), false, &[]);
    assert_eq!(outcome.failure, None);
    scenario.unwrap().write(folder.path()).unwrap();

    // The built-in rule is what the run was decided by.
    let decisions = play("dpd-case", folder.path());
    assert!(decisions.contains("Established"), "{decisions}");
    assert!(
        decisions.contains("give up: no answer to a probe"),
        "{decisions}"
    );
    let differs = decisions.lines().filter(|line| line.contains(" *")).count();
    assert_eq!(differs, 0, "{decisions}");
    assert!(play("dpd-adaptive", folder.path()).contains(" *"));

    // Every event has a line of the built-in format, and below it those of the plugin.
    let recorded = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    let text = play("log-json", folder.path());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2 * recorded.lines().count());
    for (number, pair) in (1..).zip(lines.chunks(2)) {
        let built_in = pair[0].strip_prefix("built-in  20").unwrap();
        assert!(
            built_in.contains("Z ") && !built_in.contains('{'),
            "{built_in}"
        );
        let own = pair[1].strip_prefix("log-json  ").unwrap();
        assert!(
            own.contains(&format!("\"hawser.sequence\":{number},")),
            "{own}"
        );
    }
    assert!(text.contains("down: dpd_timeout"), "{text}");
}
