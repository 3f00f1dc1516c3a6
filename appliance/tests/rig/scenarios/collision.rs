//! Both ends rekey at the same moment, again and again: the tunnel stays and no SA is left over.

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use super::{Scenario, connect, expect_one_each, expect_pings, scenario};
use crate::relay::{Line, Relay};
use crate::rig::Rig;
use crate::site::{Site, TO_HQ};
use crate::strongswan::StrongSwan;

const TIMES: usize = 200;
/// On this line either end's request is on its way before the other's arrives.
const DELAY: Duration = Duration::from_millis(25);
/// Time for the collision to resolve before the next.
const PAUSE: Duration = Duration::from_millis(300);
/// What the peer was to delete is waited for 5 s, then asked for, and given up 5 s later.
const SETTLE: Duration = Duration::from_secs(15);
const CHARON: [&str; 2] = ["retransmit_timeout = 1.0", "retransmit_tries = 3"];

/// The headquarters rekeys its Child SA and then the IKE SA; meanwhile the branch begins something.
#[derive(Clone, Copy)]
struct Collision {
    name: &'static str,
    /// How long after the headquarters' command the branch begins.
    after: Duration,
    from_branch: fn(&StrongSwan) -> Result<()>,
    /// What charon says when it has happened.
    sign: &'static str,
}

const COLLISIONS: [Collision; 3] = [
    Collision {
        name: "child-meets-child",
        after: Duration::ZERO,
        from_branch: StrongSwan::rekey_child,
        sign: "detected CHILD_REKEY collision with CHILD_REKEY",
    },
    Collision {
        name: "ike-meets-child",
        after: Duration::ZERO,
        from_branch: |strongswan| strongswan.rekey_ike(TO_HQ),
        sign: "TEMP_FAIL",
    },
    Collision {
        name: "ike-meets-ike",
        after: Duration::from_millis(40),
        from_branch: |strongswan| strongswan.rekey_ike(TO_HQ),
        sign: "detected IKE_REKEY collision with IKE_REKEY",
    },
];

pub fn scenarios() -> Vec<Scenario> {
    let one = |it: Collision| {
        scenario(format!("collision::{}", it.name), move |rig| {
            collide(rig, it)
        })
    };
    COLLISIONS.map(one).into()
}

fn collide(rig: &Rig, collision: Collision) -> Result<()> {
    let site = Site {
        charon: CHARON.map(str::to_owned).into(),
        ..Site::strong()
    };
    let branch = rig.branch(1)?;
    let _relay = Relay::start(rig, &branch, Line::long(DELAY))?;
    let (headquarters, strongswan) = connect(rig, &site, &branch)?;
    for round in 0..TIMES {
        let both = thread::scope(|scope| {
            let hq = scope.spawn(|| headquarters.rekey());
            thread::sleep(collision.after);
            // A command may find its SA just replaced by the other end's; what counts is what remains.
            let refused = (collision.from_branch)(&strongswan).err();
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
    let seen = strongswan.log().matches(collision.sign).count();
    println!("charon saw {seen} collisions in {TIMES} rounds");
    ensure!(
        seen >= TIMES / 4,
        "only {seen} collisions in {TIMES} rounds"
    );
    expect_pings(rig, &site, &branch)?;
    expect_one_each(&headquarters, &strongswan, SETTLE)?;
    expect_pings(rig, &site, &branch)
}
