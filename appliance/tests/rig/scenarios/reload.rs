//! Another configuration while a tunnel carries traffic: it costs no packet, and one that is wrong changes nothing.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    HANDSHAKE, Scenario, connect, expect_one_each, expect_pings, inner, scenario, start_branch,
};
use crate::command::eventually;
use crate::hawser::Hawser;
use crate::headquarters::Headquarters;
use crate::ping::Ping;
use crate::rig::Rig;
use crate::site::{BRANCH_ID, Site, TO_BRANCHES};

const PING_EVERY: Duration = Duration::from_millis(50);

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("reload::tells-applies-and-refuses", reload).hawser_only(),
        scenario("reload::tunnels-that-are-up-follow", follow).hawser_only(),
    ]
}

fn reload(rig: &Rig) -> Result<()> {
    let (site, branch) = (Site::default(), rig.branch(1)?);
    let (headquarters, strongswan) = connect(rig, &site, &branch)?;
    let hawser = headquarters.hawser()?;
    let (hq, lan) = inner(&site, &branch);
    let ping = Ping::start(&branch.ns, lan, hq, PING_EVERY, &rig.dir("pings")?)?;

    let next = Site {
        template: "nat_keepalive = \"30s\"",
        ..site.clone()
    };
    let file = rig.dir("hq")?.join("next.toml");
    let name = file.to_str().context("a name in UTF-8")?;
    fs::write(&file, next.toml())?;
    let key = format!("templates.{TO_BRANCHES}.nat_keepalive");
    ensure!(
        differing(hawser, name)? == [key.clone()],
        "before it is applied"
    );
    let applied = hawser.json(&["config", "apply", name])?;
    ensure!(applied["revision"] == 2, "{applied}");
    ensure!(differing(hawser, name)?.is_empty(), "after it was applied");

    fs::write(&file, next.toml().replace("nat_keepalive", "nat_keepalife"))?;
    let refused = hawser.json(&["config", "apply", name]).err();
    let refused = refused.context("a wrong configuration was applied")?;
    let refused = format!("{refused:#}");
    ensure!(
        refused.contains("next.toml:") && refused.contains("nat_keepalive"),
        "line and suggestion are missing in: {refused}"
    );
    ensure!(
        hawser.json(&["status"])?["revision"] == 2,
        "it changed something"
    );

    let spis = strongswan.spis()?;
    hawser.json(&["rekey", "test"])?;
    eventually(
        "the tunnel is rekeyed under it",
        Duration::from_secs(10),
        || Ok(strongswan.spis()? != spis),
    )?;
    // What is still in flight is not counted: there has to be more.
    thread::sleep(Duration::from_secs(1));
    ping.stop()?.expect_no_loss()
}

/// The keys that applying `file` would change.
fn differing(hawser: &Hawser, file: &str) -> Result<Vec<String>> {
    let found = hawser.json(&["config", "diff", file])?;
    let found = found["differences"].as_array().context("differences")?;
    let keys = found.iter().map(|d| d["key"].as_str().map(str::to_owned));
    keys.collect::<Option<_>>().context("a key")
}

/// Writes what the headquarters is to be, says what that will do to the one peer, and applies it.
fn change(rig: &Rig, hawser: &Hawser, site: &Site, consequence: &str) -> Result<()> {
    let file = rig.dir("hq")?.join("next.toml");
    let name = file.to_str().context("a name in UTF-8")?;
    fs::write(&file, site.toml())?;
    let found = hawser.json(&["config", "diff", name])?;
    let peers = &found["peers"];
    ensure!(
        peers[0]["consequence"] == consequence && peers[0]["peers"] == 1,
        "{found:#}"
    );
    hawser.json(&["config", "apply", name])?;
    eventually("the peer follows", Duration::from_secs(30), || {
        let events = hawser.json(&["events"])?;
        let told = |e: &Value| {
            let e = e.to_string();
            e.contains("config_affects") && e.contains(consequence)
        };
        Ok(events["events"]
            .as_array()
            .is_some_and(|all| all.iter().any(told)))
    })
    .map(drop)
}

/// Other proposals, another secret: the tunnel that is up follows, and loses nothing. Then it is not allowed any more.
fn follow(rig: &Rig) -> Result<()> {
    let (site, branch) = (Site::default(), rig.branch(1)?);
    let headquarters = Headquarters::start(rig, &site)?;
    let hawser = headquarters.hawser()?;
    let (ike, esp) = ("aes256-sha1-x25519", "aes256gcm16");
    let willing = Site {
        ike: format!("{},{ike}", site.ike),
        esp: format!("{},{esp}", site.esp),
        ..site.clone()
    };
    let strongswan = start_branch(rig, &willing, &branch)?;
    strongswan.initiate(HANDSHAKE)?;
    expect_pings(rig, &site, &branch)?;
    let (hq, lan) = inner(&site, &branch);
    let ping = Ping::start(&branch.ns, lan, hq, PING_EVERY, &rig.dir("pings")?)?;

    let next = Site {
        ike: ike.to_owned(),
        esp: esp.to_owned(),
        ..site
    };
    change(rig, hawser, &next, "rekey")?;
    eventually(
        "the new proposals are in use",
        Duration::from_secs(20),
        || {
            let peer = hawser.json(&["show", BRANCH_ID])?;
            let sa = &peer["peer"]["ike_sas"][0];
            ensure!(
                sa["suite"] == ike && sa["children"][0]["suite"] == esp,
                "{peer:#}"
            );
            Ok(true)
        },
    )?;

    // Another secret, and a PRF that strongSwan would derive other keys with, were it a rekey.
    let (psk, ike) = ("another-secret-0815-4711", "aes256-sha256-x25519");
    let willing = Site {
        ike: format!("{},{ike}", willing.ike),
        psk: psk.to_owned(),
        ..willing
    };
    strongswan.load(&[willing.at_branch(&branch)])?;
    let next = Site {
        ike: ike.to_owned(),
        psk: psk.to_owned(),
        ..next
    };
    change(rig, hawser, &next, "reauthenticate")?;
    eventually("a new IKE SA, begun by us", Duration::from_secs(30), || {
        let peer = hawser.json(&["show", BRANCH_ID])?;
        let sas = peer["peer"]["ike_sas"].as_array().context("IKE SAs")?;
        ensure!(sas.len() == 1 && sas[0]["role"] == "initiator", "{peer:#}");
        Ok(true)
    })?;
    expect_one_each(&headquarters, &strongswan, Duration::from_secs(20))?;
    // What is still in flight is not counted: there has to be more.
    thread::sleep(Duration::from_secs(1));
    ping.stop()?.expect_no_loss()?;

    let nobody = Site {
        branch_id: "nobody".to_owned(),
        ..next
    };
    change(rig, hawser, &nobody, "close")?;
    eventually("it is down, and why", Duration::from_secs(10), || {
        let told = hawser.json(&["explain", BRANCH_ID])?;
        Ok(told["finding"]["verdict"] == "authz_revoked")
    })?;
    eventually("the branch was told", Duration::from_secs(15), || {
        Ok(strongswan.count()?.ike == 0)
    })
    .map(drop)
}
