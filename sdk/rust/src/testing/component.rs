//! Tests of the component that was built, under the limits of a real gateway: what tests without
//! WebAssembly cannot show, such as memory, the time of a call and what a fault looks like.
//!
//! The program `hawser` is the host. It is found in `PATH`, or named by the variable `HAWSER`; no
//! gateway has to run. Such a test needs the build first, so mark it `#[ignore]` and run
//! `./build && cargo test -- --ignored`:
//!
//! ```no_run
//! use hawser_sdk::testing::component::Component;
//!
//! let report = Component::at("my-policy.wasm").check();
//! assert!(report.faults.is_empty(), "{:?}", report.faults);
//! assert!(report.memory < 1 << 20);
//! ```

use serde::Deserialize;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

/// A component's file, and the settings that it gets.
#[derive(Clone, Debug)]
pub struct Component {
    file: PathBuf,
    settings: String,
}

/// What the host found. Calls are questions of the hook, among them such at the edges of what is
/// possible: the longest texts, the largest numbers, nothing known.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// As `describe` says.
    pub name: String,
    /// As `describe` says.
    pub plugin_version: String,
    /// `dpd-policy`, `peer-authorization` or `log-format`.
    pub hook: String,
    /// Size of the file.
    pub octets: u64,
    /// Octets of memory that an instance grew to.
    pub memory: u64,
    /// How many calls were made.
    pub calls: u64,
    /// Median of a call in nanoseconds.
    pub median_ns: u64,
    /// The longest call in nanoseconds.
    pub longest_ns: u64,
    /// Calls that ended in a fault, each as the gateway's log would say it; none: all is well.
    pub faults: Vec<String>,
}

impl Report {
    /// Median of a call.
    pub fn median(&self) -> Duration {
        Duration::from_nanos(self.median_ns)
    }
}

impl Component {
    /// The component in this file, with empty settings.
    pub fn at(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            settings: "{}".into(),
        }
    }

    /// With these settings: a JSON object.
    #[must_use]
    pub fn settings(mut self, json: impl Into<String>) -> Self {
        self.settings = json.into();
        self
    }

    /// Loads it as a gateway would and asks it some thousand questions.
    ///
    /// # Panics
    /// Where a gateway would refuse to load it, with its reason, and where there is no `hawser`.
    pub fn check(&self) -> Report {
        let output = self.run("check", &["--json"]);
        // 2: it was loaded, and calls failed.
        let loaded = matches!(output.status.code(), Some(0 | 2));
        assert!(loaded, "{}: {}", self.file.display(), said(&output));
        serde_json::from_slice(&output.stdout).expect("a report of `hawser plugin check`")
    }

    /// Plays a scenario (`silent`, `answers`, `idle`, `one-way`, `nat-move`, or a file with evidence) and
    /// gives what is printed: a decision a line, beside the built-in's.
    ///
    /// # Panics
    /// Where it is not loaded or a call ends in a fault, and where there is no `hawser`.
    pub fn play(&self, scenario: &str) -> String {
        let output = self.run("test", &["--scenario", scenario]);
        let done = output.status.success();
        assert!(done, "{}: {}", self.file.display(), said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn run(&self, verb: &str, more: &[&str]) -> Output {
        let host = std::env::var_os("HAWSER").unwrap_or_else(|| OsString::from("hawser"));
        let mut command = Command::new(&host);
        command.args(["plugin", verb]).arg(&self.file).args(more);
        command.arg("--settings").arg(&self.settings);
        match command.output() {
            Ok(output) => output,
            Err(e) => panic!(
                "cannot start {}: {e}; HAWSER names the program",
                host.display()
            ),
        }
    }
}

fn said(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&all).trim().to_owned()
}
