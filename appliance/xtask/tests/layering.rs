//! Who may depend on whom (ARCHITECTURE.md), checked against `cargo metadata`.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Every package of the workspace with the packages of the workspace that its code may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("hawser-flight", &[]),
    ("hawser-crypto", &[]),
    ("hawser-policy", &["hawser-crypto"]),
    (
        "hawser-ike",
        &["hawser-crypto", "hawser-flight", "hawser-policy"],
    ),
    (
        "hawser-esp",
        &["hawser-crypto", "hawser-flight", "hawser-policy"],
    ),
    (
        "hawser-shard",
        &[
            "hawser-crypto",
            "hawser-esp",
            "hawser-flight",
            "hawser-ike",
            "hawser-policy",
        ],
    ),
    (
        "hawser-engine",
        &[
            "hawser-crypto",
            "hawser-esp",
            "hawser-flight",
            "hawser-ike",
            "hawser-plugin",
            "hawser-policy",
            "hawser-shard",
        ],
    ),
    (
        "hawser-sim",
        &[
            "hawser-crypto",
            "hawser-esp",
            "hawser-flight",
            "hawser-ike",
            "hawser-policy",
            "hawser-shard",
        ],
    ),
    ("hawser-config", &["hawser-crypto", "hawser-policy"]),
    ("hawser-plugin", &["hawser-flight", "hawser-policy"]),
    (
        "hawser",
        &[
            "hawser-config",
            "hawser-crypto",
            "hawser-engine",
            "hawser-esp",
            "hawser-flight",
            "hawser-ike",
            "hawser-plugin",
            "hawser-policy",
            "hawser-shard",
        ],
    ),
    ("hawser-benches", &[]),
    ("xtask", &[]),
];

/// The packages below the engine: no runtime, socket, file or clock, not even through a dependency.
const PURE: &[&str] = &[
    "hawser-flight",
    "hawser-crypto",
    "hawser-policy",
    "hawser-ike",
    "hawser-esp",
    "hawser-shard",
    "hawser-config",
];

const IMPURE: &[&str] = &[
    "async-std",
    "axum",
    "hyper",
    "mio",
    "nix",
    "notify",
    "polling",
    "quinn-udp",
    "rtnetlink",
    "rustix",
    "smol",
    "socket2",
    "tempfile",
    "tokio",
    "wasmtime",
];

#[test]
fn a_package_depends_only_on_lower_ones() {
    let metadata = metadata();
    let allowed: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let members = members(&metadata);
    for (name, uses) in &members {
        let allowed = allowed
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} has no place in LAYERS"));
        for used in uses.iter().filter(|used| members.contains_key(*used)) {
            assert!(
                allowed.contains(&used.as_str()),
                "{name} must not depend on {used}"
            );
        }
    }
}

#[test]
fn below_the_engine_nothing_reaches_the_outside() {
    let metadata = metadata();
    let graph = graph(&metadata);
    for name in PURE {
        let reached = closure(&graph, name);
        let impure: Vec<&String> = reached
            .iter()
            .filter(|package| IMPURE.contains(&package.as_str()))
            .collect();
        assert!(impure.is_empty(), "{name} reaches {impure:?}");
    }
}

#[test]
fn every_package_takes_the_lints_of_the_workspace() {
    for package in workspace_packages(&metadata()) {
        let manifest = package["manifest_path"].as_str().unwrap();
        let text = std::fs::read_to_string(manifest).unwrap();
        assert!(
            text.contains("[lints]\nworkspace = true"),
            "{manifest} does not"
        );
    }
}

fn metadata() -> Value {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(env!("CARGO"));
    let output = command
        .args([
            "metadata",
            "--format-version",
            "1",
            "--filter-platform",
            &platform,
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn workspace_packages(metadata: &Value) -> Vec<&Value> {
    let members = metadata["workspace_members"].as_array().unwrap();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| members.contains(&package["id"]))
        .collect()
}

/// The packages of the workspace, each with what its code (not its tests) depends on.
fn members(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let uses = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap();
        all.iter()
            .filter(|dependency| dependency["kind"] != "dev")
            .map(name)
            .collect()
    };
    workspace_packages(metadata)
        .into_iter()
        .map(|package| (name(package), uses(package)))
        .collect()
}

/// Every package by name with what it is linked with; what only builds or tests it is left out.
fn graph(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeMap<&str, &str> = packages
        .iter()
        .map(|package| {
            (
                package["id"].as_str().unwrap(),
                package["name"].as_str().unwrap(),
            )
        })
        .collect();
    let linked = |dependency: &&Value| {
        dependency["dep_kinds"]
            .as_array()
            .unwrap()
            .iter()
            .any(|kind| kind["kind"].is_null())
    };
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let uses = node["deps"].as_array().unwrap().iter().filter(linked);
        let uses = uses.map(|dependency| names[dependency["pkg"].as_str().unwrap()].to_owned());
        graph
            .entry(names[node["id"].as_str().unwrap()].to_owned())
            .or_default()
            .extend(uses);
    }
    graph
}

fn closure(graph: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(package) = open.pop() {
        let uses = graph
            .get(&package)
            .unwrap_or_else(|| panic!("no package {package}"));
        open.extend(
            uses.iter()
                .filter(|used| !reached.contains(*used))
                .cloned()
                .collect::<Vec<_>>(),
        );
        reached.extend(uses.iter().cloned());
    }
    reached
}
