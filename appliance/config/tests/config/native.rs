//! The native configuration: keys, bounds, references, defaults.

use crate::common::{policy, problems, show, toml, with};
use hawser_config::schema;
use hawser_policy::*;
use serde_json::Value;
use std::time::Duration;

pub(crate) const SMALL: &str = r#"
[[templates]]
name = "branches"
[[templates.children]]
name = "lan"
proposals = ["aes256gcm16-esn"]
[[secrets]]
identity = "*.branch.example"
template = "branches"
secret = "0x00112233445566778899aabbccddeeff"
"#;

/// Every key, none with its default.
const EVERYTHING: &str = r#"
shards = 3
[listen]
addresses = ["192.0.2.1", "2001:db8::1"]
port = 1500
nat_port = 14500
native_esp = false
[admission]
cookie_threshold = 0
max_half_open = 7
source_rate = 9
half_open_timeout = "5s"
[metrics]
listen = "127.0.0.1:9464"
[observability]
recorder = 8192
incidents = "/srv/incidents.redb"
capture_keys = true
[log]
level = "debug"
rate = 50
line = 512
outputs = ["stdout", "file:/var/log/hawser.log", "tcp:192.0.2.9"]
file_size = 4096
file_keep = 0
[[tenants]]
name = "red"
interface = "red0"
mtu = 1300
addresses = ["10.0.0.1/24"]
namespace = "inside"
protected = ["10.1.2.3/16", "10.9.9.9"]
[[ike_policies]]
name = "p"
local = ["192.0.2.1"]
proposals = ["aes256-sha256-modp2048"]
[[templates]]
name = "t"
tenant = "red"
local_identity = "hq@example.org"
ike_proposals = ["aes256gcm16-prfsha384-x25519"]
ike_lifetime = "off"
ike_rekey_margin = "7m"
nat_keepalive = "off"
revive = "off"
revive_weak_secret = true
audit = "90s"
uniqueness = "keep"
admit_undecided = true
allow_any_route = true
fragment_size = 600
[templates.dpd]
mode = "periodic"
interval = 10
retry = "9s"
retries = 1
[templates.retransmission]
initial = "250ms"
backoff_percent = 100
max = "2s"
tries = 20
[templates.initiate]
remote = "198.51.100.1"
identity = "far"
secret = "0sdGVzdA=="
[[templates.children]]
name = "c"
proposals = ["aes128-sha256"]
local = ["10.0.0.0/8"]
remote = ["172.16.0.0/12[tcp/443]"]
lifetime = 7200
lifetime_bytes = 10_000_000_000
rekey_margin = "60s"
replay_window = 64
[[secrets]]
identity = "any"
template = "t"
local = ["192.0.2.1"]
networks = ["198.51.100.0/24"]
secret_env = "PSK"
[[plugins]]
hook = "dpd-policy"
plugin = "dpd-case"
tenant = "red"
template = "t"
settings = { a = [1, -2, { "b/c" = 0.5 }], d = true }
[plugin_host]
deadline = "7ms"
memory = 1_048_576
keys = ["000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"]
granted = ["wasi:cli/"]
watch = "plugins"
cache = "/srv/cache"
"#;

fn load_everything() -> Policy {
    let ask = |reference: &str| (reference == "env:PSK").then(|| "0123456789abcdef".to_owned());
    policy(hawser_config::load(
        EVERYTHING,
        hawser_config::Format::Toml,
        &ask,
    ))
}

#[test]
fn every_key_arrives() {
    let policy = load_everything();
    assert_eq!(policy.shards, Some(3));
    assert_eq!((policy.listen.port, policy.listen.nat_port), (1500, 14_500));
    assert!(!policy.listen.native_esp && policy.listen.addresses.len() == 2);
    assert_eq!(
        policy.admission,
        Admission {
            cookies: CookieMode::Always,
            max_half_open: 7,
            source_rate: 9,
            half_open_timeout: Duration::from_secs(5),
        }
    );
    assert_eq!(
        policy.observability.metrics,
        Some("127.0.0.1:9464".parse().unwrap())
    );
    let log = LogSettings {
        level: Some(LogLevel::Debug),
        rate: 50,
        line: 512,
        outputs: vec![
            LogOutput::Stdout,
            LogOutput::File {
                path: "/var/log/hawser.log".into(),
                size: 4096,
                keep: 0,
            },
            LogOutput::Syslog(SyslogServer::Tcp("192.0.2.9".into(), 514)),
        ],
    };
    assert_eq!(policy.observability.log, log);
    assert_eq!(policy.observability.recorder, 8192);
    assert!(policy.observability.capture_keys);
    let plugin = PluginEntry {
        hook: PluginHook::DpdPolicy,
        plugin: "dpd-case".into(),
        tenant: Some("red".into()),
        template: Some("t".into()),
        settings: r#"{"a":[1,-2,{"b/c":0.5}],"d":true}"#.into(),
    };
    assert_eq!(policy.plugins.entries, [plugin]);
    let host = PluginHost {
        deadline: Duration::from_millis(7),
        memory: 1 << 20,
        keys: vec![std::array::from_fn(|n| n as u8)],
        granted: vec!["wasi:cli/".into()],
        watch: Some("plugins".into()),
        cache: Some("/srv/cache".into()),
    };
    assert_eq!(policy.plugins.host, host);
    let net = |text: &str| text.parse::<ipnet::IpNet>().unwrap();
    let red = Tenant {
        id: TenantId(0),
        name: "red".into(),
        interface: "red0".into(),
        mtu: 1300,
        addresses: vec![net("10.0.0.1/24")],
        namespace: Some("inside".into()),
        protected: vec![net("10.1.0.0/16"), net("10.9.9.9/32")],
    };
    assert_eq!(policy.tenants, [red], "nobody needs `default`");
    let [entry] = policy.pad.entries() else {
        panic!("one entry")
    };
    assert_eq!(entry.remote_networks, [net("198.51.100.0/24")]);
    assert_eq!(entry.secret.expose(), b"0123456789abcdef");
}

#[test]
fn every_key_of_a_template_arrives() {
    let policy = load_everything();
    let template = &policy.templates[0];
    assert_eq!(template.local_identity, Identity::parse("hq@example.org"));
    assert_eq!(
        template.ike_proposals[0].to_string(),
        "aes256gcm16-prfsha384-x25519"
    );
    let margin = Duration::from_secs(420);
    assert_eq!(
        template.ike_lifetimes,
        Lifetimes {
            time: None,
            bytes: None,
            margin
        }
    );
    assert_eq!(
        (template.nat_keepalive, template.fragment_size),
        (None, 600)
    );
    let upkeep = Upkeep {
        revive: Revive::Off,
        revive_weak_secret: true,
        audit: Some(Duration::from_secs(90)),
        uniqueness: Uniqueness::Keep,
        admit_undecided: true,
    };
    assert_eq!(template.upkeep, upkeep);
    assert!(template.allow_any_route);
    let dpd = template.dpd.unwrap();
    assert_eq!((dpd.mode, dpd.retries), (DpdMode::Periodic, 1));
    assert_eq!((dpd.interval.as_secs(), dpd.retry.as_secs()), (10, 9));
    let retransmission = Retransmission {
        initial: Duration::from_millis(250),
        backoff_percent: 100,
        max: Duration::from_secs(2),
        tries: 20,
    };
    assert_eq!(template.retransmission, retransmission);
    let begin = template.initiate.as_ref().unwrap();
    assert_eq!(begin.remote, "198.51.100.1:500".parse().unwrap());
    assert_eq!(begin.secret.expose(), b"test");
    let child = &template.children[0];
    assert_eq!(child.remote[0].to_string(), "172.16.0.0/12[6/443]");
    assert_eq!(
        (child.lifetimes.bytes, child.replay_window),
        (Some(10_000_000_000), 64)
    );
    assert_eq!(child.lifetimes.margin, Duration::from_secs(60));
}

#[test]
fn the_defaults_are_strong() {
    let loaded = toml(SMALL).unwrap();
    assert!(loaded.notes.is_empty(), "{:?}", loaded.notes);
    let policy = loaded.policy;
    assert!(
        policy.ike_policies[0]
            .proposals
            .iter()
            .all(|p| !p.is_weak())
    );
    assert_eq!(policy.ike_policies[0].proposals.len(), 2);
    assert_eq!(policy.listen.addresses.len(), 2);
    assert_eq!(policy.tenants[0].interface, "hawser0");
    assert_eq!(policy.templates[0].dpd, None);
    assert_eq!(policy.templates[0].children[0].lifetimes.bytes, None);
}

/// Every leaf of the schema: its path and whether tables in it are arrays.
fn leaves(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    for (name, value) in schema["properties"].as_object().unwrap() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let inner = if value["type"] == "array" {
            &value["items"]
        } else {
            value
        };
        if inner["properties"].is_object() {
            leaves(inner, &path, found);
        } else {
            found.push((path, value.clone()));
        }
    }
}

#[test]
fn every_key_of_the_schema_is_read_with_its_bounds() {
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    let mut keys = Vec::new();
    leaves(&schema, "", &mut keys);
    assert!(keys.len() > 50, "{}", keys.len());
    for (path, value) in keys {
        let (table, key) = path.rsplit_once('.').unwrap_or(("", &path));
        let header = header(table);
        for wrong in wrong_values(&value) {
            let shown = problems(toml(&format!("{header}\n{key} = {wrong}\n")));
            assert!(
                shown.contains(&format!(": {path}: ")),
                "{path} = {wrong}: {shown}"
            );
        }
    }
}

#[test]
fn every_key_is_in_the_outline() {
    let ask = |_: &str| Some("0123456789abcdef".to_owned());
    let loaded = hawser_config::load(EVERYTHING, hawser_config::Format::Toml, &ask).unwrap();
    let lines = loaded.outline.lines();
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    let mut keys = Vec::new();
    leaves(&schema, "", &mut keys);
    // Of the three places of a secret each has one.
    for (path, _) in keys
        .iter()
        .filter(|(path, _)| !path.contains("secret_") || path.contains("revive"))
    {
        let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
        let first = table.split('.').next().unwrap_or_default();
        let (ends, inside) = (format!(".{key}"), format!(".{key}."));
        let there = |line: &&String| {
            line.starts_with(first)
                && (*line == path || line.ends_with(&ends) || line.contains(&inside))
        };
        assert!(
            lines.keys().any(|line| there(&line)) || path == "secrets.secret",
            "{path}: {lines:#?}"
        );
    }
}

fn header(table: &str) -> String {
    let arrays = [
        "tenants",
        "ike_policies",
        "templates",
        "templates.children",
        "secrets",
        "plugins",
    ];
    match table {
        "" => String::new(),
        t if arrays.contains(&t) && t.contains('.') => format!("[[templates]]\n[[{t}]]"),
        t if arrays.contains(&t) => format!("[[{t}]]"),
        t if t.starts_with("templates.") => format!("[[templates]]\n[{t}]"),
        t => format!("[{t}]"),
    }
}

fn wrong_values(value: &Value) -> Vec<String> {
    let mut wrong = vec!["1979-05-27".to_owned()];
    let integer = value["anyOf"].as_array().map_or(value, |any| &any[0]);
    if let (Some(min), Some(max)) = (integer["minimum"].as_i64(), integer["maximum"].as_i64()) {
        wrong.extend([
            (min - 1).to_string(),
            (max + 1).to_string(),
            "1.5".to_owned(),
        ]);
    }
    if value["type"] == "array" {
        wrong.push("[1]".to_owned());
    }
    wrong
}

#[test]
fn the_edges_that_are_allowed() {
    let small = |from: &str, to: &str| toml(&with(SMALL, from, to));
    let name = "name = \"branches\"";
    for line in [
        "ike_lifetime = 120",
        "ike_lifetime = \"30d\"",
        "nat_keepalive = 5",
        "nat_keepalive = 3600",
        "fragment_size = 576",
        "fragment_size = 1280",
        "dpd = { mode = \"on-demand\", interval = 10 }",
        "dpd = { mode = \"periodic\", interval = 3600, retry = 60, retries = 10 }",
        "retransmission = { initial = \"100ms\", max = \"100ms\" }",
        "retransmission = { initial = \"60s\" }",
    ] {
        let loaded = small(name, &format!("{name}\n{line}"));
        assert!(loaded.is_ok(), "{line}: {}", show(&loaded.unwrap_err()));
    }
    for window in [0, 64, 65_536] {
        assert!(
            small(
                "name = \"lan\"",
                &format!("name = \"lan\"\nreplay_window = {window}")
            )
            .is_ok()
        );
    }
}
