//! One file per behaviour.

mod case;
mod chaos;
mod collision;
mod cookie;
mod evidence;
mod fragmentation;
mod hostile;
mod ipv6;
mod logs;
mod loss;
mod metrics;
mod mtu;
mod native;
mod negotiation;
mod onlooker;
mod openiked;
mod overlap;
mod recording;
mod rekey;
mod reload;
mod renewal;
mod restart;
mod shutdown;
mod spoof;
mod suites;
mod swap;

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::command::eventually;
use crate::headquarters::Headquarters;
use crate::ping;
use crate::rig::{Branch, HQ_LAN, HQ_LAN_V6, Rig};
use crate::site::Site;
use crate::strongswan::{SaCount, StrongSwan};

/// Time for a handshake on a machine that runs several scenarios.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// What a scenario does on a fresh rig.
type Run = dyn Fn(&Rig) -> Result<()> + Send;

/// One trial.
pub struct Scenario {
    /// Its name, `file::case`.
    pub name: String,
    /// What it does.
    pub run: Box<Run>,
    /// It says nothing with strongSwan in place of Hawser.
    pub hawser_only: bool,
}

impl Scenario {
    fn hawser_only(mut self) -> Self {
        self.hawser_only = true;
        self
    }
}

/// One rekeying, begun by either end.
type Rekey = fn(&Headquarters, &StrongSwan) -> Result<()>;

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    let files = [
        case::scenarios(),
        chaos::scenarios(),
        collision::scenarios(),
        cookie::scenarios(),
        evidence::scenarios(),
        fragmentation::scenarios(),
        hostile::scenarios(),
        ipv6::scenarios(),
        logs::scenarios(),
        loss::scenarios(),
        metrics::scenarios(),
        mtu::scenarios(),
        native::scenarios(),
        negotiation::scenarios(),
        onlooker::scenarios(),
        openiked::scenarios(),
        overlap::scenarios(),
        recording::scenarios(),
        rekey::scenarios(),
        renewal::scenarios(),
        reload::scenarios(),
        restart::scenarios(),
        shutdown::scenarios(),
        spoof::scenarios(),
        suites::scenarios(),
        swap::scenarios(),
    ];
    files.into_iter().flatten().collect()
}

fn scenario(
    name: impl Into<String>,
    run: impl Fn(&Rig) -> Result<()> + Send + 'static,
) -> Scenario {
    Scenario {
        name: name.into(),
        run: Box::new(run),
        hawser_only: false,
    }
}

/// Starts strongSwan at `branch`.
fn start_branch(rig: &Rig, site: &Site, branch: &Branch) -> Result<StrongSwan> {
    let dir = rig.dir(&format!("branch{}", branch.number))?;
    let strongswan = StrongSwan::start(&branch.ns, &dir, &site.charon_options())?;
    strongswan.load(&[site.at_branch(branch)])?;
    Ok(strongswan)
}

/// Both ends up, the branch has initiated, and pings go both ways.
fn connect(rig: &Rig, site: &Site, branch: &Branch) -> Result<(Headquarters, StrongSwan)> {
    let headquarters = Headquarters::start(rig, site)?;
    let strongswan = start_branch(rig, site, branch)?;
    strongswan.initiate(HANDSHAKE)?;
    expect_pings(rig, site, branch)?;
    Ok((headquarters, strongswan))
}

/// The headquarters and the branch answer each other within five seconds.
fn expect_pings(rig: &Rig, site: &Site, branch: &Branch) -> Result<()> {
    let (hq, lan) = inner(site, branch);
    ping::both_ways((&branch.ns, lan), (&rig.hq, hq), Duration::from_secs(5)).map(drop)
}

/// Both ends are left with one IKE SA and one Child SA; charon keeps a deleted one for five seconds.
fn expect_one_each(
    headquarters: &Headquarters,
    strongswan: &StrongSwan,
    within: Duration,
) -> Result<()> {
    let one = SaCount { ike: 1, child: 1 };
    eventually(
        "one IKE SA and one Child SA remain at either end",
        within,
        || {
            let (hq, branch) = (headquarters.count()?, strongswan.count()?);
            ensure!(
                hq == one && branch == one,
                "headquarters {hq:?}, branch {branch:?}"
            );
            Ok(true)
        },
    )?;
    Ok(())
}

/// The two hosts that talk through the tunnel: the headquarters' and the branch's.
fn inner<'a>(site: &Site, branch: &'a Branch) -> (&'static str, &'a str) {
    if site.hq_networks.contains(':') {
        (HQ_LAN_V6, &branch.lan_v6)
    } else {
        (HQ_LAN, &branch.lan)
    }
}
