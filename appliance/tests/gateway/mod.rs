//! A gateway in a network namespace of its own, which needs root.
#![allow(dead_code, reason = "every test uses some of it")]
#![expect(unreachable_pub, reason = "`pub` says what a test may use")]
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program.
pub const HAWSER: &str = env!("CARGO_BIN_EXE_hawser");

/// A program that ends with the test.
pub struct Program(Child);

impl Program {
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let log = fs::File::create(log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap());
        Self(command.stderr(log).spawn().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a gateway can be started here; where it must be possible it is an error that it is not.
pub fn is_possible() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("CI").is_none(), "this test needs root");
        eprintln!("SKIPPED: this test needs root");
    }
    root
}

/// The configuration that ships, for whatever addresses a namespace has.
pub fn shipped() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/hq.toml");
    let text = fs::read_to_string(path).unwrap();
    let everywhere = text.lines().filter(|line| !line.starts_with("addresses"));
    everywhere.map(|line| format!("{line}\n")).collect()
}

/// Starts a gateway with `hq.toml` of `dir`; its words go into `gateway.log`.
pub fn start(dir: &Path) -> (Program, PathBuf) {
    let socket = dir.join("socket");
    let mut command = Command::new("unshare");
    command.args(["--net", HAWSER, "run", "--config"]);
    command
        .arg(dir.join("hq.toml"))
        .arg("--socket")
        .arg(&socket);
    command.arg("--state").arg(dir);
    let program = Program::start(&mut command, &dir.join("gateway.log"));
    (program, socket)
}

/// A verb for the gateway.
pub fn ask(socket: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(HAWSER);
    command.args(words).arg("--socket").arg(socket);
    command.output().unwrap()
}

/// What `plugin list` says of each plugin that is loaded; none while the gateway does not answer.
pub fn plugins(socket: &Path) -> Vec<Value> {
    let output = ask(socket, &["plugin", "list", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    report["plugins"].as_array().cloned().unwrap_or_default()
}

/// Their names.
pub fn names(rows: &[Value]) -> Vec<String> {
    let name = |row: &Value| row["name"].as_str().unwrap().to_owned();
    rows.iter().map(name).collect()
}

/// Names of the plugins that are loaded.
pub fn loaded(socket: &Path) -> Vec<String> {
    names(&plugins(socket))
}

/// Waits for something; if it does not come, every log is shown.
pub fn within_a_minute(what: &str, logs: &[PathBuf], mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        let said = || {
            logs.iter()
                .map(|log| fs::read_to_string(log).unwrap_or_default())
        };
        assert!(
            Instant::now() < end,
            "{what}: {}",
            said().collect::<String>()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
