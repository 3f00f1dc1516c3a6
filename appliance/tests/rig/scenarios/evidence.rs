//! Why a branch dropped, asked of the gateway afterwards.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{HANDSHAKE, Scenario, connect, expect_pings, scenario};
use crate::command::{eventually, run};
use crate::hawser::{BINARY, Hawser};
use crate::headquarters::Headquarters;
use crate::ping;
use crate::rig::{Branch, HQ, HQ_LAN, Rig};
use crate::site::{Site, TO_BRANCHES};

/// A secret that nothing else is called by.
const PSK: &str = "zq-the-psk-4711";
/// What dropped is counted, and in the file, after so long.
const WRITTEN: Duration = Duration::from_secs(3);

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("evidence::a-delete-of-the-branch", deleted).hawser_only(),
        scenario("evidence::a-reset-of-ours", reset).hawser_only(),
        scenario("evidence::a-branch-that-dies", dies).hawser_only(),
    ]
}

fn hawser(headquarters: &Headquarters) -> Result<&Hawser> {
    match headquarters {
        Headquarters::Hawser(hawser) => Ok(hawser),
        Headquarters::StrongSwan(_) => bail!("not Hawser"),
    }
}

/// Waits for a verdict on the last drop of `peer`, and gives back what is explained.
fn explained(hawser: &Hawser, peer: &str, verdict: &str) -> Result<Value> {
    let mut told = Value::Null;
    eventually("the drop is explained", Duration::from_secs(5), || {
        told = hawser.json(&["explain", peer])?;
        ensure!(told["finding"]["verdict"] == verdict, "{told:#}");
        Ok(true)
    })?;
    ensure!(told["version"] == 1, "{told:#}");
    ensure!(told["finding"]["confidence"] == "high", "{told:#}");
    let lines = told["timeline"].as_array().map_or(0, Vec::len);
    ensure!(
        (3..=20).contains(&lines),
        "{lines} lines are no screen: {told:#}"
    );
    Ok(told)
}

fn deleted(rig: &Rig) -> Result<()> {
    let branch = rig.branch(1)?;
    let site = Site {
        template: "revive = \"off\"",
        ..Site::default()
    };
    let (mut headquarters, strongswan) = connect(rig, &site, &branch)?;
    strongswan.swanctl("--terminate --ike hq")?;
    // By its inner network as well as by its name, down as it is.
    explained(hawser(&headquarters)?, &branch.lan, "peer_deleted")?;
    eventually("the drop is counted", WRITTEN, || {
        let drops = hawser(&headquarters)?.json(&["drops", "--by", "reason"])?;
        Ok(drops["counts"][0]["name"] == "peer_deleted")
    })?;
    // Another run knows of it, and of the peer, though this one does not end well.
    let Headquarters::Hawser(running) = &mut headquarters else {
        bail!("not Hawser")
    };
    running.kill()?;
    let mut headquarters = Headquarters::start(rig, &site)?;
    explained(hawser(&headquarters)?, "test", "peer_deleted")?;
    // What drops because it ends, and ends well, is in the file too.
    strongswan.initiate(HANDSHAKE)?;
    expect_pings(rig, &site, &branch)?;
    let Headquarters::Hawser(running) = &mut headquarters else {
        bail!("not Hawser")
    };
    running.stop()?;
    let headquarters = Headquarters::start(rig, &site)?;
    explained(hawser(&headquarters)?, "test", "admin")?;
    let drops = hawser(&headquarters)?.json(&["drops"])?;
    ensure!(drops["total"] == 2, "{drops:#}");
    Ok(())
}

fn reset(rig: &Rig) -> Result<()> {
    let branch = rig.branch(1)?;
    let site = Site::default();
    let (headquarters, strongswan) = connect(rig, &site, &branch)?;
    hawser(&headquarters)?.json(&["reset", "test"])?;
    explained(hawser(&headquarters)?, "test", "admin")?;
    // That it is back changes nothing of why it went.
    strongswan.initiate(HANDSHAKE)?;
    expect_pings(rig, &site, &branch)?;
    explained(hawser(&headquarters)?, "test", "admin").map(drop)
}

fn dies(rig: &Rig) -> Result<()> {
    let branch = rig.branch(1)?;
    let site = Site {
        template: "dpd = { mode = \"periodic\", interval = \"10s\", retry = \"2s\" }",
        psk: PSK.to_owned(),
        branch_id: "branch-7.bank.example".to_owned(),
        ..Site::default()
    };
    let (headquarters, mut strongswan) = connect(rig, &site, &branch)?;
    ping::both_ways(
        (&branch.ns, &branch.lan),
        (&rig.hq, HQ_LAN),
        Duration::from_secs(5),
    )?;
    strongswan.kill()?;
    eventually("it is given up", Duration::from_secs(40), || {
        let told = hawser(&headquarters)?.json(&["explain", "branch-7"])?;
        Ok(told["finding"]["verdict"] == "dpd_silent")
    })?;
    explained(hawser(&headquarters)?, "branch-7", "dpd_silent")?;
    reported(rig, hawser(&headquarters)?, &branch)
}

/// What is known of a peer that is down, in an archive that names nobody and that plugins are tried on.
fn reported(rig: &Rig, hawser: &Hawser, branch: &Branch) -> Result<()> {
    let archive = rig.path().join("report.tar.gz");
    let file = archive.to_str().context("the archive's name")?;
    hawser.text(&["bugreport", "branch-7", "-o", file])?;
    let mut unpack = Command::new("tar");
    let text = run(unpack.args(["-xzOf", file]))?;
    for member in ["\"hawser\"", "dpd_silent", "probe_failed", "hawser_peers"] {
        ensure!(text.contains(member), "no {member} in {text}");
    }
    let outer = branch.nat.first_outer();
    for name in [
        PSK,
        "branch-7",
        "bank",
        &branch.lan,
        &outer,
        HQ,
        TO_BRANCHES,
    ] {
        ensure!(!text.contains(name), "{name} is in {text}");
    }
    let played = |plugin| {
        let mut test = Command::new(BINARY);
        run(test.args(["plugin", "test", plugin, "--scenario", file]))
    };
    let decisions = played("dpd-case")?;
    ensure!(
        decisions.contains("Unanswered") && decisions.contains("give up"),
        "{decisions}"
    );
    let lines = played("log-json")?;
    ensure!(lines.contains("identity-1"), "{lines}");
    // As it is where that is wanted, and never over another file.
    let plain = rig.path().join("plain.tar.gz");
    let file = plain.to_str().context("the archive's name")?;
    hawser.text(&["bugreport", "branch-7", "--no-redact", "-o", file])?;
    let text = run(Command::new("tar").args(["-xzOf", file]))?;
    ensure!(
        text.contains("branch-7.bank.example") && text.contains(&outer),
        "{text}"
    );
    ensure!(!text.contains(PSK), "the secret is in {text}");
    ensure!(
        hawser.text(&["bugreport", "branch-7", "-o", file]).is_err(),
        "written over"
    );
    Ok(())
}
