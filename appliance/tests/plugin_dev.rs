//! `hawser plugin dev` from outside: what is saved is built, checked and swapped into a gateway that runs.
//!
//! The gateway runs in a network namespace of its own, so this needs root.

#![allow(clippy::unwrap_used)]

mod gateway;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use gateway::{HAWSER, Program, loaded, within_a_minute};

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

#[test]
fn what_is_saved_is_built_and_swapped_into_the_gateway() {
    if !gateway::is_possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("hq.toml"), gateway::shipped()).unwrap();
    let (_gateway, socket) = gateway::start(dir.path());
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
