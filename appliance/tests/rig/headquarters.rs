//! The headquarters' end: Hawser, or with `RIG_HEADQUARTERS=strongswan` strongSwan in its place, which tells whether a
//! scenario that fails is the rig's fault.

use anyhow::{Context as _, Result, bail};
use rustix::process::{Signal, kill_process};

use crate::hawser::Hawser;
use crate::rig::Rig;
use crate::site::{BRANCH_ID, Site, TO_BRANCHES};
use crate::strongswan::{SaCount, StrongSwan};

/// A running gateway at the headquarters.
#[derive(Debug)]
pub enum Headquarters {
    /// The product.
    Hawser(Hawser),
    /// The stand-in.
    StrongSwan(StrongSwan),
}

/// Whether strongSwan stands in for Hawser.
pub fn is_stand_in() -> bool {
    std::env::var("RIG_HEADQUARTERS").is_ok_and(|value| value == "strongswan")
}

impl Headquarters {
    /// Starts the gateway for `site`.
    pub fn start(rig: &Rig, site: &Site) -> Result<Self> {
        if !is_stand_in() {
            return Ok(Self::Hawser(Hawser::start(rig, site)?));
        }
        let strongswan = StrongSwan::start(&rig.hq, &rig.dir("hq")?, &site.charon_options())?;
        strongswan.load(&[site.at_hq()])?;
        Ok(Self::StrongSwan(strongswan))
    }

    /// Starts the gateway with the case's configuration, unchanged.
    pub fn start_case(rig: &Rig) -> Result<Self> {
        if !is_stand_in() {
            return Ok(Self::Hawser(Hawser::start_case(rig)?));
        }
        let charon = ["retransmit_timeout = 1.0", "retransmit_tries = 3"]
            .map(str::to_owned)
            .into();
        Self::start(
            rig,
            &Site {
                charon,
                ..Site::default()
            },
        )
    }

    /// Sends `signal` to its process.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        match self {
            Self::Hawser(hawser) => {
                kill_process(hawser.pid()?, signal).context("a signal to hawser")
            }
            Self::StrongSwan(strongswan) => strongswan.signal(signal),
        }
    }

    /// Asks it to end, and waits for that.
    pub fn stop(&mut self) -> Result<()> {
        match self {
            Self::Hawser(hawser) => hawser.stop().map(drop),
            Self::StrongSwan(strongswan) => strongswan.stop(),
        }
    }

    /// Rekeys the IKE SA with the only branch and its Child SAs.
    pub fn rekey(&self) -> Result<()> {
        match self {
            Self::Hawser(hawser) => hawser.json(&["rekey", BRANCH_ID]).map(drop),
            Self::StrongSwan(strongswan) => {
                strongswan.rekey_child()?;
                strongswan.rekey_ike(TO_BRANCHES)
            }
        }
    }

    /// How many SAs there are.
    pub fn count(&self) -> Result<SaCount> {
        match self {
            Self::Hawser(hawser) => hawser.count(),
            Self::StrongSwan(strongswan) => strongswan.count(),
        }
    }

    /// The product; an error where a stand-in runs.
    pub fn hawser(&self) -> Result<&Hawser> {
        match self {
            Self::Hawser(hawser) => Ok(hawser),
            Self::StrongSwan(_) => bail!("this scenario is about Hawser alone"),
        }
    }
}
