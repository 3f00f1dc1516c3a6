//! A bad line: the tunnel comes up and lives through rekeys.

use std::time::Duration;

use anyhow::Result;

use super::{Rekey, Scenario, expect_one_each, expect_pings, scenario, start_branch};
use crate::command::eventually;
use crate::headquarters::Headquarters;
use crate::rig::Rig;
use crate::site::{Site, TO_HQ};

/// Retransmissions take their time.
const PATIENCE: Duration = Duration::from_secs(60);
/// charon retransmits every second, so that it also gives up a lost answer to a DELETE soon.
const CHARON: [&str; 3] = [
    "retransmit_timeout = 1.0",
    "retransmit_base = 1.0",
    "retransmit_tries = 20",
];

/// The same for Hawser.
const RETRANSMISSION: &str =
    "retransmission = { initial = \"1s\", backoff_percent = 100, tries = 20 }";
/// Each kind from either end.
const REKEYS: [Rekey; 3] = [
    |_, strongswan| strongswan.rekey_child(),
    |_, strongswan| strongswan.rekey_ike(TO_HQ),
    |headquarters, _| headquarters.rekey(),
];

pub fn scenarios() -> Vec<Scenario> {
    [20, 30]
        .map(|percent| {
            scenario(format!("loss::{percent}-percent"), move |rig| {
                lossy(rig, percent)
            })
        })
        .into()
}

fn lossy(rig: &Rig, percent: u32) -> Result<()> {
    let site = Site {
        charon: CHARON.map(str::to_owned).into(),
        template: RETRANSMISSION,
        ..Site::strong()
    };
    let branch = rig.branch(1)?;
    branch.nat.loss(percent)?;
    let headquarters = Headquarters::start(rig, &site)?;
    let strongswan = start_branch(rig, &site, &branch)?;
    strongswan.initiate(PATIENCE)?;
    for _ in 0..2 {
        for rekey in REKEYS {
            let before = strongswan.spis()?;
            rekey(&headquarters, &strongswan)?;
            eventually("the rekeyed SA", PATIENCE, || {
                Ok(strongswan.spis()? != before)
            })?;
            expect_one_each(&headquarters, &strongswan, PATIENCE)?;
        }
    }
    branch.nat.heal("loss")?;
    expect_pings(rig, &site, &branch)
}
