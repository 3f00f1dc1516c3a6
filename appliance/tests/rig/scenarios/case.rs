//! The case: its configuration unchanged, two strongSwan branches behind two NATs, both named `test`.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::{HANDSHAKE, Scenario, scenario};
use crate::command::eventually;
use crate::headquarters::Headquarters;
use crate::ping::{self, Ping};
use crate::rig::{Branch, HQ_LAN, Rig};
use crate::site::Site;
use crate::strongswan::{Connection, SaCount, StrongSwan};

/// `ikev2 dpd interval 20 on-demand`; retry 5 and 2 retries by default.
const DPD_INTERVAL: Duration = Duration::from_secs(20);
const DPD_RETRY: Duration = Duration::from_secs(5);
const DPD_RETRIES: u32 = 2;
/// What timers and a busy machine may add.
const TOLERANCE: Duration = Duration::from_secs(4);
/// The branch's own dead peer detection and a handshake.
const COMEBACK: Duration = Duration::from_secs(60);
/// How a branch is set up in the field: it notices a dead headquarters within 20 s and begins anew.
const BRANCH_CHARON: [&str; 2] = ["retransmit_timeout = 1.0", "retransmit_tries = 3"];
const BRANCH_DPD: [&str; 1] = ["dpd_delay = 10s"];
const BRANCH_CHILD: [&str; 2] = ["dpd_action = restart", "close_action = start"];

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("case::two-branches-of-one-name", two_branches),
        scenario("case::nat-rebind", nat_rebind).hawser_only(),
        scenario("case::stopped-branch", stopped_branch).hawser_only(),
    ]
}

/// The headquarters of the case with its two branches, connected.
struct Case {
    headquarters: Headquarters,
    branches: [Branch; 2],
    strongswans: [StrongSwan; 2],
}

fn start(rig: &Rig) -> Result<Case> {
    let headquarters = Headquarters::start_case(rig)?;
    let branches = [rig.branch(1)?, rig.branch(2)?];
    let strongswans = [
        start_branch(rig, &branches[0])?,
        start_branch(rig, &branches[1])?,
    ];
    for strongswan in &strongswans {
        strongswan.initiate(HANDSHAKE)?;
    }
    let case = Case {
        headquarters,
        branches,
        strongswans,
    };
    case.expect_pings(rig)?;
    Ok(case)
}

fn start_branch(rig: &Rig, branch: &Branch) -> Result<StrongSwan> {
    let dir = rig.dir(&format!("branch{}", branch.number))?;
    let strongswan = StrongSwan::start(&branch.ns, &dir, &BRANCH_CHARON.map(str::to_owned))?;
    let connection = Site::default().at_branch(branch);
    let connection = BRANCH_DPD.into_iter().fold(connection, Connection::with);
    strongswan.load(&[BRANCH_CHILD
        .into_iter()
        .fold(connection, Connection::with_child)])?;
    Ok(strongswan)
}

impl Case {
    fn expect_pings(&self, rig: &Rig) -> Result<()> {
        for branch in &self.branches {
            ping::both_ways(
                (&branch.ns, &branch.lan),
                (&rig.hq, HQ_LAN),
                Duration::from_secs(5),
            )?;
        }
        Ok(())
    }
}

fn two_branches(rig: &Rig) -> Result<()> {
    let case = start(rig)?;
    ensure!(
        case.headquarters.count()? == SaCount { ike: 2, child: 2 },
        "{:?}",
        case.headquarters.count()?
    );
    // The second of the same name must not shoot the first: both live on, and pings are not lost.
    let pings = case.branches.each_ref().map(|branch| {
        Ping::start(
            &rig.hq,
            HQ_LAN,
            &branch.lan,
            Duration::from_millis(50),
            rig.path(),
        )
    });
    case.strongswans[1].reauthenticate(crate::site::TO_HQ)?;
    thread::sleep(Duration::from_secs(5));
    let [living, broken] = pings;
    living?.stop()?.expect_no_loss()?;
    // It breaks before it makes: what was sent between is gone.
    broken?.stop()?.expect_loss_of_at_most(1)?;
    case.expect_pings(rig)
}

fn nat_rebind(rig: &Rig) -> Result<()> {
    let case = start(rig)?;
    let branch = &case.branches[0];
    for _ in 0..3 {
        branch.nat.rebind()?;
        ping::expect_silence(&rig.hq, HQ_LAN, &branch.lan)?;
        // The branch's next packet, from another port: within a second everything goes both ways again.
        let start = Instant::now();
        let answered = ping::once(&branch.ns, &branch.lan, HQ_LAN);
        ping::once(&rig.hq, HQ_LAN, &branch.lan)?;
        ensure!(
            start.elapsed() < Duration::from_secs(1),
            "moved after {:?}",
            start.elapsed()
        );
        answered?;
        // Moves are rate-limited.
        thread::sleep(Duration::from_secs(3));
    }
    case.expect_pings(rig)
}

fn stopped_branch(rig: &Rig) -> Result<()> {
    let case = start(rig)?;
    let (stopped, other) = (&case.branches[1], &case.branches[0]);
    // On demand: only traffic towards the branch makes the headquarters ask.
    let traffic = Ping::start(
        &rig.hq,
        HQ_LAN,
        &stopped.lan,
        Duration::from_secs(1),
        rig.path(),
    )?;
    let living = Ping::start(
        &rig.hq,
        HQ_LAN,
        &other.lan,
        Duration::from_millis(100),
        rig.path(),
    )?;
    thread::sleep(Duration::from_secs(1));
    case.strongswans[1].signal(Signal::STOP)?;
    let expected = DPD_INTERVAL + DPD_RETRY * (DPD_RETRIES + 1);
    let noticed = eventually(
        "the headquarters gives the stopped branch up",
        expected + TOLERANCE,
        || Ok(case.headquarters.count()? == SaCount { ike: 1, child: 1 }),
    )?;
    ensure!(
        noticed + TOLERANCE > expected,
        "given up after {noticed:?}, which is before the settings say so"
    );
    case.strongswans[1].signal(Signal::CONT)?;
    ping::both_ways((&stopped.ns, &stopped.lan), (&rig.hq, HQ_LAN), COMEBACK)?;
    // What waited in the branch's socket buffers may be answered late: the parked SAs came back whole.
    traffic.stop()?;
    living.stop()?.expect_no_loss()?;
    case.expect_pings(rig)
}
