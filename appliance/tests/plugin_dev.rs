//! `hawser plugin dev` from outside: what is saved is built, checked and swapped into a gateway that runs.
//!
//! The gateway runs in a network namespace of its own, so this needs root.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const HAWSER: &str = env!("CARGO_BIN_EXE_hawser");

/// A program that ends with the test.
struct Program(Child);

impl Program {
    fn start(command: &mut Command, log: &Path) -> Self {
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

/// A gateway with the configuration that ships, on whatever addresses its namespace has.
fn gateway(dir: &Path) -> (Program, PathBuf) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/hq.toml");
    let text = fs::read_to_string(shipped).unwrap();
    let everywhere = text.lines().filter(|line| !line.starts_with("addresses"));
    let config = dir.join("hq.toml");
    fs::write(&config, everywhere.collect::<Vec<_>>().join("\n")).unwrap();
    let socket = dir.join("socket");
    let mut command = Command::new("unshare");
    command.args(["--net", HAWSER, "run", "--config"]);
    command.arg(config).arg("--socket").arg(&socket);
    command.arg("--state").arg(dir);
    let program = Program::start(&mut command, &dir.join("gateway.log"));
    (program, socket)
}

/// A project whose build copies the plugin that its one source names.
fn project(dir: &Path) -> PathBuf {
    let folder = dir.join("project");
    fs::create_dir(&folder).unwrap();
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/dist");
    let build = folder.join("build");
    let script = format!(
        "#!/bin/sh\nexec cp {}/$(cat source).wasm plugin.wasm\n",
        dist.display()
    );
    fs::write(&build, script).unwrap();
    fs::set_permissions(&build, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.join("source"), "log-json").unwrap();
    folder
}

/// Names of the plugins that are loaded; none while the gateway does not answer.
fn loaded(socket: &Path) -> Vec<String> {
    let mut list = Command::new(HAWSER);
    list.args(["plugin", "list", "--json", "--socket"])
        .arg(socket);
    let output = list.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let rows = report["plugins"].as_array().cloned().unwrap_or_default();
    let name = |row: &Value| row["name"].as_str().unwrap().to_owned();
    rows.iter().map(name).collect()
}

fn within_a_minute(what: &str, logs: &[PathBuf], mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        let said = || logs.iter().map(|log| fs::read_to_string(log).unwrap());
        assert!(
            Instant::now() < end,
            "{what}: {}",
            said().collect::<String>()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_saved_is_built_and_swapped_into_the_gateway() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "this test needs root");
        eprintln!("SKIPPED: this test needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (_gateway, socket) = gateway(dir.path());
    let logs = ["gateway.log", "dev.log"].map(|name| dir.path().join(name));
    fs::write(&logs[1], "").unwrap();
    within_a_minute("the gateway answers", &logs, || socket.exists());

    let folder = project(dir.path());
    let mut dev = Command::new(HAWSER);
    dev.args(["plugin", "dev", "--load", "*", "--socket"]);
    dev.arg(&socket).arg(&folder);
    let _dev = Program::start(&mut dev, &logs[1]);
    within_a_minute("the first build is loaded", &logs, || {
        loaded(&socket) == ["log-json"]
    });

    // What does not build leaves the old one, and dev goes on.
    let said = || fs::read_to_string(&logs[1]).unwrap();
    fs::write(folder.join("source"), "no-such-plugin").unwrap();
    within_a_minute("the error is said", &logs, || {
        said().contains("the build failed")
    });
    assert_eq!(loaded(&socket), ["log-json"]);

    fs::write(folder.join("source"), "log-syslog").unwrap();
    within_a_minute("the second build is loaded", &logs, || {
        loaded(&socket) == ["log-syslog"]
    });
}
