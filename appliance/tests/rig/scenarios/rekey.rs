//! New keys under traffic: not one ping is lost, whoever begins.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::{Rekey, Scenario, connect, expect_one_each, inner, scenario};
use crate::ping::{Ping, Report};
use crate::relay::{Line, Relay};
use crate::rig::{Branch, Rig};
use crate::site::{Site, TO_HQ};

/// Rekeys of a scenario.
const TIMES: usize = 10;
/// Between two of them: time for the exchange and the DELETE.
const PAUSE: Duration = Duration::from_millis(700);
const PING_EVERY: Duration = Duration::from_millis(20);
const SETTLE: Duration = Duration::from_secs(15);
/// charon throws an IKE_SA_INIT response away that comes before it has filed the reauthentication's new IKE SA.
const LINE: Duration = Duration::from_millis(5);

pub fn scenarios() -> Vec<Scenario> {
    let kinds: [(&str, Rekey); 3] = [
        ("child-from-branch", |_, strongswan| {
            strongswan.rekey_child()
        }),
        ("ike-from-branch", |_, strongswan| {
            strongswan.rekey_ike(TO_HQ)
        }),
        ("ike-and-child-from-hq", |headquarters, _| {
            headquarters.rekey()
        }),
    ];
    let kinds = kinds
        .map(|(name, rekey)| scenario(format!("rekey::{name}"), move |rig| under_ping(rig, rekey)));
    kinds
        .into_iter()
        .chain([scenario(
            "rekey::reauthentication-from-branch",
            reauthentication,
        )])
        .collect()
}

fn under_ping(rig: &Rig, rekey: Rekey) -> Result<()> {
    let site = Site {
        esp: "aes128-sha1-modp1024".to_owned(),
        ..Site::default()
    };
    let branch = rig.branch(1)?;
    let (headquarters, strongswan) = connect(rig, &site, &branch)?;
    for report in pinged(rig, &site, &branch, || rekey(&headquarters, &strongswan))? {
        report.expect_no_loss()?;
    }
    expect_one_each(&headquarters, &strongswan, SETTLE)
}

/// A new IKE SA beside the old one (`make_before_break`), then the DELETE of the old one. charon itself drops what comes
/// on the old Child SA while it changes over: a ping each time at most.
fn reauthentication(rig: &Rig) -> Result<()> {
    let site = Site {
        charon: vec!["make_before_break = yes".to_owned()],
        ..Site::default()
    };
    let branch = rig.branch(1)?;
    let _relay = Relay::start(rig, &branch, Line::long(LINE))?;
    let (headquarters, strongswan) = connect(rig, &site, &branch)?;
    for report in pinged(rig, &site, &branch, || strongswan.reauthenticate(TO_HQ))? {
        report.expect_loss_of_at_most(TIMES)?;
    }
    expect_one_each(&headquarters, &strongswan, SETTLE)
}

/// Does it again and again while both ends ping each other.
fn pinged(
    rig: &Rig,
    site: &Site,
    branch: &Branch,
    rekey: impl Fn() -> Result<()>,
) -> Result<[Report; 2]> {
    let (hq, lan) = inner(site, branch);
    let from_branch = Ping::start(&branch.ns, lan, hq, PING_EVERY, rig.path())?;
    let from_hq = Ping::start(&rig.hq, hq, lan, PING_EVERY, rig.path())?;
    for _ in 0..TIMES {
        rekey()?;
        thread::sleep(PAUSE);
    }
    Ok([from_branch.stop()?, from_hq.stop()?])
}
