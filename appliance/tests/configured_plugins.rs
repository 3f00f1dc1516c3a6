//! Plugins and logs by configuration and by a watched directory, from outside.
//!
//! Where a gateway runs, it runs in a network namespace of its own, so that needs root.

#![allow(clippy::unwrap_used)]

mod gateway;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gateway::{HAWSER, ask, loaded, names, plugins, within_a_minute};
use serde_json::Value;

/// What `config check` says of `text` in a file `hq.toml`; the error where it is not in order.
fn check(text: &str) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hq.toml");
    fs::write(&file, text).unwrap();
    let mut command = Command::new(HAWSER);
    let output = command
        .args(["config", "check"])
        .arg(&file)
        .output()
        .unwrap();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

#[test]
fn what_is_wrong_with_a_plugin_is_said_with_its_line_before_it_is_loaded() {
    let shipped = gateway::shipped();
    let first = shipped.lines().count() + 1;
    let host = "[plugin_host]\ncache = \"cache\"\n";
    let plugin = |lines: &str| format!("{shipped}[[plugins]]\n{lines}\n{host}");
    let comware = "hook = \"log-format\"\nplugin = \"log-comware\"\n";
    let good = check(&plugin(&format!(
        "{comware}settings = {{ sysname = \"F1090\" }}"
    )));
    assert!(good.is_ok(), "{good:?}");
    for (lines, line, said) in [
        // By the schema, and by the plugin's own mind.
        (
            format!("{comware}settings = {{ sysnam = \"F1090\" }}"),
            3,
            "plugins.settings.sysnam: unknown setting; there are: ",
        ),
        (
            format!("{comware}[plugins.settings]\nutc-offset-minutes = 5\nsysnmae = \"F1090\""),
            5,
            "did you mean `sysname`?",
        ),
        (
            format!("{comware}[plugins.settings]\nutc-offset-minutes = 5\nsysname = \"two words\""),
            5,
            "plugins.settings.sysname: 1 to 64 printable ASCII characters without spaces",
        ),
        (
            "hook = \"log-format\"\nplugin = \"log-comwar\"".to_owned(),
            2,
            "no plugin of this name ships",
        ),
        (
            "hook = \"dpd-policy\"\nplugin = \"log-comware\"".to_owned(),
            2,
            "a plugin of log-format, not of dpd-policy",
        ),
        (
            "hook = \"log-format\"\nplugin = \"hq.toml\"".to_owned(),
            2,
            "not a component",
        ),
    ] {
        let error = check(&plugin(&lines)).unwrap_err();
        let at = format!("hq.toml:{}: ", first + line);
        let told = |l: &str| l.contains(&at) && l.contains(said);
        assert!(error.lines().any(told), "no `{at}{said}` in {error}");
    }
}

/// The configuration with an end of its own, applied to the gateway.
struct Applied<'a> {
    dir: &'a Path,
    socket: PathBuf,
}

impl Applied<'_> {
    fn write(dir: &Path, end: &str) {
        let text = format!(
            "{}[log]\nlevel = \"debug\"\noutputs = [\"file:{}\"]\n[plugin_host]\ncache = \"cache\"\nwatch = \"watched\"\n{end}",
            gateway::shipped(),
            dir.join("log").display()
        );
        fs::write(dir.join("hq.toml"), text).unwrap();
    }

    fn apply(&self, end: &str) -> Result<(), String> {
        Self::write(self.dir, end);
        let output = ask(&self.socket, &["config", "apply"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(error)
    }

    fn logged(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    fn within_a_minute(&self, what: &str, mut done: impl FnMut() -> bool) {
        let logs = ["gateway.log", "log"].map(|name| self.dir.join(name));
        within_a_minute(what, &logs, &mut done);
    }
}

fn plugin(name: &str, settings: &str) -> String {
    format!(
        "[[plugins]]\nhook = \"log-format\"\nplugin = \"{name}\"\nsettings = {{ {settings} }}\n"
    )
}

/// Authorization plugins, in this order.
fn chain(names: [&str; 2]) -> String {
    let entry = |name: &str| {
        let rules = if name == "allow-list" {
            "rules = [{ identities = [\"*\"] }]"
        } else {
            ""
        };
        let plugin = format!("plugin = \"authorize-{name}\"\nsettings = {{ {rules} }}\n");
        format!("[[plugins]]\nhook = \"peer-authorization\"\n{plugin}")
    };
    names.map(entry).concat()
}

#[test]
fn plugins_follow_the_configuration_and_the_watched_directory() {
    if !gateway::is_possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("watched/log-format");
    fs::create_dir_all(&folder).unwrap();
    Applied::write(dir.path(), &plugin("log-json", ""));
    let (_gateway, socket) = gateway::start(dir.path());
    let gateway = Applied {
        dir: dir.path(),
        socket: socket.clone(),
    };
    gateway.within_a_minute("the gateway starts with its plugin", || {
        loaded(&socket) == ["log-json"]
    });
    gateway.within_a_minute("it formats the log from the beginning", || {
        gateway.logged().starts_with("{\"Timestamp\"")
    });
    gateway
        .apply(&plugin("log-comware", "sysname = \"F1090\""))
        .unwrap();
    assert_eq!(loaded(&socket), ["log-comware"]);
    gateway.within_a_minute("the other format", || {
        gateway.logged().contains(" F1090 IKEV2/7/EVENT")
    });
    // What is not in order changes nothing.
    let error = gateway
        .apply(&plugin("log-comware", "sysname = \"\""))
        .unwrap_err();
    assert!(error.contains("plugins.settings.sysname"), "{error}");
    assert_eq!(loaded(&socket), ["log-comware"]);
    gateway.apply("").unwrap();
    assert_eq!(loaded(&socket), [""; 0]);
    // A chain is asked in the order of the file, and a plugin that only has another place goes on.
    gateway.apply(&chain(["allow-list", "quarantine"])).unwrap();
    let before = plugins(&socket);
    assert_eq!(
        names(&before),
        ["authorize-allow-list", "authorize-quarantine"]
    );
    gateway.apply(&chain(["quarantine", "allow-list"])).unwrap();
    let after = plugins(&socket);
    assert_eq!(
        names(&after),
        ["authorize-quarantine", "authorize-allow-list"]
    );
    let generations = |rows: &[Value]| rows.iter().map(|row| row["generation"].clone()).collect();
    let (before, mut after): (Vec<_>, Vec<_>) = (generations(&before), generations(&after));
    after.reverse();
    assert_eq!(before, after);
    gateway.apply("").unwrap();
    // The directory's turn.
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/dist");
    fs::copy(dist.join("log-syslog.wasm"), folder.join("lines.wasm")).unwrap();
    gateway.within_a_minute("what was copied is loaded", || {
        loaded(&socket) == ["log-syslog"]
    });
    fs::write(folder.join("lines.json"), "{\"hostname\": 5}").unwrap();
    gateway.within_a_minute("what is wrong is said", || {
        gateway
            .logged()
            .contains("[event@32473 change=\"load_failed\"")
    });
    assert_eq!(loaded(&socket), ["log-syslog"]);
    fs::remove_file(folder.join("lines.wasm")).unwrap();
    gateway.within_a_minute("what was removed is unloaded", || {
        loaded(&socket).is_empty()
    });
}
