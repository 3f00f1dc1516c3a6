//! New keys under traffic: not one ping is lost, whoever begins.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::{Rekey, Scenario, connect, expect_one_each, inner, scenario};
use crate::ping::Ping;
use crate::rig::Rig;
use crate::site::{Site, TO_HQ};

/// Rekeys of a scenario.
const TIMES: usize = 10;
/// Between two of them: time for the exchange and the DELETE.
const PAUSE: Duration = Duration::from_millis(700);
const PING_EVERY: Duration = Duration::from_millis(20);

pub fn scenarios() -> Vec<Scenario> {
    let kinds: [(&str, Rekey); 4] = [
        ("child-from-branch", |_, strongswan| {
            strongswan.rekey_child()
        }),
        ("ike-from-branch", |_, strongswan| {
            strongswan.rekey_ike(TO_HQ)
        }),
        ("ike-and-child-from-hq", |headquarters, _| {
            headquarters.rekey()
        }),
        ("reauthentication-from-branch", |_, strongswan| {
            strongswan.reauthenticate(TO_HQ)
        }),
    ];
    kinds
        .map(|(name, rekey)| scenario(format!("rekey::{name}"), move |rig| under_ping(rig, rekey)))
        .into()
}

fn under_ping(rig: &Rig, rekey: Rekey) -> Result<()> {
    let site = Site {
        esp: "aes128-sha1-modp1024".to_owned(),
        charon: vec!["make_before_break = yes".to_owned()],
        ..Site::default()
    };
    let branch = rig.branch(1)?;
    let (headquarters, strongswan) = connect(rig, &site, &branch)?;
    let (hq, lan) = inner(&site, &branch);
    let from_branch = Ping::start(&branch.ns, lan, hq, PING_EVERY, rig.path())?;
    let from_hq = Ping::start(&rig.hq, hq, lan, PING_EVERY, rig.path())?;
    for _ in 0..TIMES {
        rekey(&headquarters, &strongswan)?;
        thread::sleep(PAUSE);
    }
    from_branch.stop()?.expect_no_loss()?;
    from_hq.stop()?.expect_no_loss()?;
    expect_one_each(&headquarters, &strongswan, Duration::from_secs(15))
}
