//! Both ends rekey at the same moment, again and again: the tunnel stays and no SA is left over.

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::{Scenario, connect, expect_one_each, expect_pings, scenario};
use crate::delay::Delay;
use crate::rig::Rig;
use crate::site::{Site, TO_HQ};
use crate::strongswan::StrongSwan;

const TIMES: usize = 200;
/// On this line either end's request is on its way before the other's arrives.
const DELAY: Duration = Duration::from_millis(25);
/// Time for the collision to resolve before the next.
const PAUSE: Duration = Duration::from_millis(300);
/// The winner of a collision waits 30 s for the loser's DELETE before it sends its own, and that may be unanswered.
const SETTLE: Duration = Duration::from_secs(50);
const CHARON: [&str; 2] = ["retransmit_timeout = 1.0", "retransmit_tries = 3"];

/// The branch's command; the headquarters rekeys everything.
type FromBranch = fn(&StrongSwan) -> Result<()>;

pub fn scenarios() -> Vec<Scenario> {
    let kinds: [(&str, FromBranch); 2] = [
        ("child", StrongSwan::rekey_child),
        ("ike", |strongswan| strongswan.rekey_ike(TO_HQ)),
    ];
    kinds
        .map(|(name, from_branch)| {
            scenario(format!("collision::{name}"), move |rig| {
                collide(rig, from_branch)
            })
        })
        .into()
}

fn collide(rig: &Rig, from_branch: FromBranch) -> Result<()> {
    let site = Site {
        charon: CHARON.map(str::to_owned).into(),
        ..Site::strong()
    };
    let branch = rig.branch(1)?;
    let _delay = Delay::start(rig, &branch, DELAY)?;
    let (headquarters, strongswan) = connect(rig, &site, &branch)?;
    for round in 0..TIMES {
        let both = thread::scope(|scope| {
            let hq = scope.spawn(|| headquarters.rekey(&branch));
            // A command may find its SA just replaced by the other end's; what counts is what remains.
            let refused = from_branch(&strongswan).err();
            hq.join()
                .map_err(|_| anyhow!("a thread panicked"))
                .map(|hq| (hq.err(), refused))
        })?;
        if let (Some(hq), Some(branch)) = both {
            return Err(hq
                .context(branch)
                .context(format!("neither end could rekey in round {round}")));
        }
        thread::sleep(PAUSE);
    }
    let collisions = strongswan.log().matches(" collision with ").count();
    println!("charon saw {collisions} collisions in {TIMES} rounds");
    expect_pings(rig, &site, &branch)?;
    expect_one_each(&headquarters, &strongswan, SETTLE)?;
    expect_pings(rig, &site, &branch)
}
