//! SIGTERM leaves nothing behind and tells the branches; what is missing to run is said.

use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Scenario, connect, scenario};
use crate::command::{eventually, run};
use crate::hawser::{BINARY, case_config};
use crate::headquarters::Headquarters;
use crate::rig::{HQ, Rig};
use crate::site::Site;
use crate::strongswan::SaCount;

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("shutdown::leaves-nothing-behind", leaves_nothing).hawser_only(),
        scenario("shutdown::missing-capability-is-named", missing_capability).hawser_only(),
        scenario("shutdown::taken-port-is-named", taken_port).hawser_only(),
    ]
}

fn leaves_nothing(rig: &Rig) -> Result<()> {
    let before = traces(rig)?;
    let branch = rig.branch(1)?;
    let (mut headquarters, strongswan) = connect(rig, &Site::default(), &branch)?;
    ensure!(
        traces(rig)? != before,
        "no interface or route while the tunnel is up?"
    );
    let Headquarters::Hawser(hawser) = &mut headquarters else {
        bail!("not Hawser")
    };
    let status = hawser.stop()?;
    ensure!(status.success(), "hawser ended with {status}");
    ensure!(
        traces(rig)? == before,
        "left behind:\n{}\nbefore:\n{before}",
        traces(rig)?
    );
    let none = SaCount { ike: 0, child: 0 };
    eventually("the branch was told", Duration::from_secs(3), || {
        Ok(strongswan.count()? == none)
    })?;
    ensure!(
        strongswan.log().contains("received DELETE for IKE_SA"),
        "the branch's SAs ended without a DELETE"
    );
    Ok(())
}

/// Interfaces, addresses, routes and rules of the headquarters.
fn traces(rig: &Rig) -> Result<String> {
    let lines = [
        "-br addr show",
        "route show table all",
        "-6 route show table all",
        "rule show",
    ];
    let text: String = lines
        .iter()
        .map(|line| rig.hq.ip(line))
        .collect::<Result<_>>()?;
    // The kernel adds anycast addresses of a router when it finds the time.
    let kept = text.lines().filter(|line| !line.starts_with("anycast"));
    Ok(kept.collect::<Vec<_>>().join("\n"))
}

fn missing_capability(rig: &Rig) -> Result<()> {
    let mut command = rig.hq.command("setpriv");
    command.args([
        "--bounding-set=-net_admin",
        "--inh-caps=-net_admin",
        BINARY,
        "run",
        "--config",
    ]);
    expect_refusal(
        rig,
        command.arg(case_config()),
        &["CAP_NET_ADMIN", "setcap"],
    )
}

fn taken_port(rig: &Rig) -> Result<()> {
    let _taken = rig
        .hq
        .enter(|| UdpSocket::bind((HQ, 500)).context("taking port 500"))?;
    let mut command = rig.hq.command(BINARY);
    expect_refusal(
        rig,
        command.args(["run", "--config"]).arg(case_config()),
        &["500", "in use"],
    )
}

/// Hawser does not start and its words hold each of `words`.
fn expect_refusal(rig: &Rig, command: &mut std::process::Command, words: &[&str]) -> Result<()> {
    command.arg("--socket").arg(rig.path().join("refused.sock"));
    let Err(error) = run(command) else {
        bail!("hawser ran without what it needs")
    };
    let text = format!("{error:#}");
    let absent: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
    ensure!(absent.is_empty(), "the message lacks {absent:?}:\n{text}");
    ensure!(
        !Path::new(&rig.path().join("refused.sock")).exists(),
        "the admin socket stays behind"
    );
    Ok(())
}
