//! Another configuration while a tunnel carries traffic: it costs no packet, and one that is wrong changes nothing.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Scenario, connect, inner, scenario};
use crate::command::eventually;
use crate::hawser::Hawser;
use crate::ping::Ping;
use crate::rig::Rig;
use crate::site::{Site, TO_BRANCHES};

const PING_EVERY: Duration = Duration::from_millis(50);

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario("reload::tells-applies-and-refuses", reload).hawser_only()]
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
