//! The headquarters ends and begins anew: branches that notice nothing, and would stay down, are called back.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use super::{HANDSHAKE, Scenario, scenario, start_branch};
use crate::headquarters::Headquarters;
use crate::ping;
use crate::rig::{HQ_LAN, Rig};
use crate::site::Site;

/// What the headquarters knows is in its file after so long.
const WRITTEN: Duration = Duration::from_secs(2);
/// How long the tunnels may take after the start.
const BACK: Duration = Duration::from_secs(5);

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("restart::killed", |rig| restart(rig, drop)).hawser_only(),
        scenario("restart::in-good-order", |rig| {
            restart(rig, |mut headquarters| drop(headquarters.stop()))
        })
        .hawser_only(),
    ]
}

/// Two branches, set up by charon's defaults: neither asks for the headquarters, neither begins by itself.
fn restart(rig: &Rig, end: fn(Headquarters)) -> Result<()> {
    let headquarters = Headquarters::start_case(rig)?;
    let branches = [rig.branch(1)?, rig.branch(2)?];
    let mut strongswans = Vec::new();
    for branch in &branches {
        let strongswan = start_branch(rig, &Site::default(), branch)?;
        strongswan.initiate(HANDSHAKE)?;
        strongswans.push(strongswan);
    }
    thread::sleep(WRITTEN);
    end(headquarters);
    let headquarters = Headquarters::start_case(rig)?;
    for branch in &branches {
        let ends = [(&branch.ns, branch.lan.as_str()), (&rig.hq, HQ_LAN)];
        let [there, back] = ends;
        println!("back after {:?}", ping::both_ways(there, back, BACK)?);
    }
    if headquarters.count()?.child != branches.len() {
        bail!("{:?}", headquarters.count()?);
    }
    Ok(())
}
