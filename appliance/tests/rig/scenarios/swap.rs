//! Plugins are swapped a thousand times each while strongSwan branches ping, renew keys and come anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;

use super::{HANDSHAKE, Scenario, expect_pings, scenario, start_branch};
use crate::hawser::Hawser;
use crate::http::{get, post};
use crate::ping::Ping;
use crate::rig::{Branch, HQ_LAN, Rig};
use crate::site::{METRICS, Site, TO_HQ};
use crate::strongswan::StrongSwan;

const SWAPS: usize = 1000;
/// Of each hook what takes turns: a plugin and its settings.
const SWAPPED: [(&str, [(&str, &str); 2]); 3] = [
    ("dpd-policy", [("dpd-case", "{}"), ("dpd-adaptive", "{}")]),
    (
        "peer-authorization",
        [
            ("authorize-quarantine", r#"{"flapping-ups":100000}"#),
            ("authorize-quarantine", r#"{"flapping-ups":100001}"#),
        ],
    ),
    ("log-format", [("log-json", "{}"), ("log-syslog", "{}")]),
];
/// What stands before an event's number in a line of either log plugin.
const NUMBERED: [(&str, &str); 2] = [
    ("log-json", "\"hawser.sequence\":"),
    ("log-syslog", " sequence=\""),
];
/// Branches that stay, and the one that comes and goes.
const STAYING: [u8; 2] = [1, 2];
const GUEST: u8 = 3;
/// Between two rekeys of a branch: time for the exchanges and the DELETEs.
const PAUSE: Duration = Duration::from_millis(700);
const PING_EVERY: Duration = Duration::from_millis(20);

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario("swap::plugins-under-load", under_load).hawser_only()]
}

fn under_load(rig: &Rig) -> Result<()> {
    let site = Site::strong();
    let dir = rig.dir("hq")?;
    let log = dir.join("log");
    let mut gateway = Hawser::start_text(&rig.hq, &dir, "hq.toml", &logging(&site, &log))?;
    let hawser = &gateway;
    let events = rig.path().join("events.jsonl");
    let mut following = hawser.follow_events(&events)?;
    let mut loaded = BTreeMap::new();
    swap_once(hawser, 0, &mut loaded)?;

    let mut pings = Vec::new();
    let mut staying = Vec::new();
    for number in STAYING {
        let branch = rig.branch(number)?;
        let strongswan = start_branch(rig, &site, &branch)?;
        strongswan.initiate(HANDSHAKE)?;
        expect_pings(rig, &site, &branch)?;
        pings.push(Ping::start(
            &rig.hq,
            HQ_LAN,
            &branch.lan,
            PING_EVERY,
            rig.path(),
        )?);
        pings.push(Ping::start(
            &branch.ns,
            &branch.lan,
            HQ_LAN,
            PING_EVERY,
            rig.path(),
        )?);
        staying.push((branch, strongswan));
    }
    let place = rig.branch(GUEST)?;
    let guest = start_branch(rig, &site, &place)?;

    let over = AtomicBool::new(false);
    let (rekeys, visits) = thread::scope(|scope| {
        let rekeys = scope.spawn(|| rekey(&staying, hawser, &over));
        let visits = scope.spawn(|| visit(&guest, &over));
        let swapped = (1..=SWAPS).try_for_each(|round| swap_once(hawser, round, &mut loaded));
        over.store(true, Ordering::Relaxed);
        let panicked = |_| anyhow!("a thread panicked");
        let (rekeys, visits) = (
            rekeys.join().map_err(panicked)?,
            visits.join().map_err(panicked)?,
        );
        swapped?;
        Ok::<_, anyhow::Error>((rekeys?, visits?))
    })?;
    // What is under way ends.
    thread::sleep(PAUSE);
    let mut sent = 0;
    for ping in pings {
        let report = ping.stop()?;
        report.expect_no_loss()?;
        sent += report.sent;
    }
    following.kill()?;
    following.wait()?;
    let generations = decided(&events, &loaded)?;
    println!(
        "{sent} pings, {rekeys} rekeys, {visits} visits, decisions of {generations} generations"
    );
    ensure!(
        rekeys > 2 && visits > 2 && generations > 5,
        "too little happened"
    );
    nothing_undecided(rig, hawser)?;
    gateway.stop()?;
    let (lines, turns) = written(&log)?;
    println!("{lines} events in the log, which changed its format {turns} times");
    ensure!(turns > 100, "the log plugins took {turns} turns");
    Ok(())
}

/// The site's configuration, with a log plugin from the first event on.
fn logging(site: &Site, log: &Path) -> String {
    let (hook, [(plugin, _), _]) = SWAPPED[2];
    format!(
        "{}\n[log]\nlevel = \"debug\"\noutputs = [\"file:{}\"]\nfile_size = 1073741824\n\
         [[plugins]]\nhook = \"{hook}\"\nplugin = \"{plugin}\"\n",
        site.toml(),
        log.display()
    )
}

/// Every event is in the log, once and in order, in a line of one of the log plugins: how many there are, and how often
/// the other plugin went on.
fn written(log: &Path) -> Result<(u64, usize)> {
    let text = std::fs::read_to_string(log)?;
    let (mut last, mut turns, mut of) = (0, 0, None);
    for line in text.lines() {
        let (plugin, rest) = NUMBERED
            .iter()
            .find_map(|(plugin, before)| Some((*plugin, line.split_once(before)?.1)))
            .with_context(|| format!("no line of a plugin: {line}"))?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
        let number: u64 = digits.unwrap_or_default().parse()?;
        ensure!(number == last + 1, "{number} comes after {last}: {line}");
        turns += usize::from(of.replace(plugin).is_some_and(|of| of != plugin));
        last = number;
    }
    Ok((last, turns))
}

/// Loads the next plugin of each hook, and keeps which generation is which plugin.
fn swap_once(hawser: &Hawser, round: usize, loaded: &mut BTreeMap<u64, String>) -> Result<()> {
    for (hook, plugins) in SWAPPED {
        let (plugin, settings) = plugins[round % plugins.len()];
        let settings = settings
            .replace('"', "%22")
            .replace('{', "%7B")
            .replace('}', "%7D");
        let target = format!("/v1/plugins/load?hook={hook}&plugin={plugin}&settings={settings}");
        let done: Value = serde_json::from_str(&post(hawser.socket(), &target)?)?;
        let text = done["plugin"].as_str().context("what is loaded")?;
        let generation = text
            .rsplit_once("(generation ")
            .and_then(|(_, rest)| rest.trim_end_matches(')').parse().ok());
        let generation = generation.with_context(|| text.to_owned())?;
        ensure!(text.starts_with(plugin), "{text} in place of {plugin}");
        loaded.insert(generation, plugin.to_owned());
    }
    Ok(())
}

/// New keys for every branch that stays, begun by it and by the headquarters in turn.
fn rekey(branches: &[(Branch, StrongSwan)], hawser: &Hawser, over: &AtomicBool) -> Result<usize> {
    let mut rekeys = 0;
    while !over.load(Ordering::Relaxed) {
        for (_, strongswan) in branches {
            strongswan.rekey_child()?;
            strongswan.rekey_ike(TO_HQ)?;
        }
        thread::sleep(PAUSE);
        for (branch, _) in branches {
            hawser.json(&["rekey", branch.lan.as_str()])?;
        }
        thread::sleep(PAUSE);
        rekeys += 2;
    }
    Ok(rekeys)
}

/// A branch that comes and goes, and is authorized each time.
fn visit(guest: &StrongSwan, over: &AtomicBool) -> Result<usize> {
    let mut visits = 0;
    while !over.load(Ordering::Relaxed) {
        guest.initiate(HANDSHAKE)?;
        guest.swanctl(&format!("--terminate --ike {TO_HQ}"))?;
        visits += 1;
    }
    Ok(visits)
}

/// Every decision is of the plugin that its generation was loaded as; of how many generations there are some.
fn decided(events: &Path, loaded: &BTreeMap<u64, String>) -> Result<usize> {
    let text = std::fs::read_to_string(events)?;
    let mut generations = BTreeSet::new();
    for line in text.lines() {
        // The last line may be cut off.
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let event = &record["event"];
        if event["event"] != "plugin_decided" {
            continue;
        }
        let generation = event["generation"].as_u64().context("a generation")?;
        let plugin = loaded.get(&generation).with_context(|| line.to_owned())?;
        ensure!(
            event["plugin"] == plugin.as_str(),
            "{line}: {plugin} was loaded"
        );
        generations.insert(generation);
    }
    Ok(generations.len())
}

fn nothing_undecided(rig: &Rig, hawser: &Hawser) -> Result<()> {
    let metrics = get(&rig.hq, METRICS, "/metrics")?;
    let undecided = metrics
        .lines()
        .find(|line| line.starts_with("hawser_plugin_undecided_total"));
    ensure!(
        undecided == Some("hawser_plugin_undecided_total 0"),
        "{undecided:?}"
    );
    let list = hawser.json(&["plugin", "list"])?;
    for plugin in list["plugins"].as_array().context("the plugins")? {
        let faults = plugin["faults"].as_object().context("faults")?;
        ensure!(
            faults.is_empty() && plugin["disabled"].is_null(),
            "{plugin:#}"
        );
        ensure!(plugin["answers"].as_u64() > Some(0), "{plugin:#}");
    }
    Ok(())
}
