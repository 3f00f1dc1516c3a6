//! A headquarters that keeps nothing for an IKE_SA_INIT before its cookie has come back.

use anyhow::{Result, ensure};

use super::{Scenario, connect, scenario};
use crate::rig::Rig;
use crate::site::Site;

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario("cookie::asked-of-every-branch", asked).hawser_only()]
}

fn asked(rig: &Rig) -> Result<()> {
    let site = Site {
        cookies: true,
        ..Site::strong()
    };
    let branch = rig.branch(1)?;
    let (_headquarters, strongswan) = connect(rig, &site, &branch)?;
    let log = strongswan.log();
    ensure!(
        log.contains("parsed IKE_SA_INIT response 0 [ N(COOKIE) ]"),
        "no cookie was asked for"
    );
    ensure!(
        log.contains("generating IKE_SA_INIT request 0 [ N(COOKIE) "),
        "no cookie was returned"
    );
    Ok(())
}
