//! The branch reauthenticates and the headquarters rekeys: at the same moment, which is the case itself, and without a
//! second IKE SA between.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use rustix::time::{ClockId, clock_gettime};

use super::{
    HANDSHAKE, Scenario, connect, expect_one_each, expect_pings, inner, scenario, start_branch,
};
use crate::command::eventually;
use crate::hawser::Hawser;
use crate::headquarters::Headquarters;
use crate::ping::{Echo, Ping};
use crate::rig::{Branch, HQ_LAN, Rig};
use crate::site::{Site, TO_HQ};
use crate::strongswan::{Connection, StrongSwan};

/// When the branch reauthenticates, and how long after that an IKE SA that did not ends.
const REAUTHENTICATION: Duration = Duration::from_secs(12);
const OVER_TIME: Duration = Duration::from_secs(5);
/// The cycle of a branch that is made to reauthenticate.
const CYCLE: Duration = Duration::from_secs(20);
/// How long the tunnel may be down after the branch has deleted its IKE SA.
const BACK: Duration = Duration::from_secs(5);
/// charon reckons in whole seconds: with this much of a second behind it an IKE SA is made when the moment between
/// "due" and "begun" is long enough to meet.
const MOMENT: std::ops::Range<f64> = 0.3..0.95;
const EVERY: Duration = Duration::from_millis(100);
const TRIES: usize = 8;
const REAUTHENTICATIONS: usize = 5;
const SETTLE: Duration = Duration::from_secs(20);

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("renewal::the-case", the_case).hawser_only(),
        scenario("renewal::what-the-case-ends-with", deleted_and_passive).hawser_only(),
        scenario("renewal::break-before-make", break_before_make).hawser_only(),
    ]
}

/// The headquarters rekeys the IKE SA in the second in which the branch's reauthentication is due: charon begins that
/// on an IKE SA that is still being made, or loses it, deletes the new IKE SA a while later and stays down, as it is set
/// up by default. Whichever it is, the tunnel is not down for longer than [`BACK`].
fn the_case(rig: &Rig) -> Result<()> {
    let headquarters = Headquarters::start_case(rig)?;
    let branch = rig.branch(1)?;
    let (strongswan, made) = connect_at_the_right_moment(rig, &branch)?;
    let ping = Ping::start(&rig.hq, HQ_LAN, &branch.lan, EVERY, rig.path())?;
    let fraction = made - made.floor();
    sleep_until(made + REAUTHENTICATION.as_secs_f64() - fraction / 2.0);
    headquarters
        .hawser()?
        .json(&["rekey", "test", "--ike"])
        .map(drop)?;
    let lost = |log: &str| log.contains("rescheduling reauthentication in 0s after rekeying");
    eventually("the rekey meets the reauthentication", SETTLE, || {
        Ok(lost(&strongswan.log()))
    })?;
    let deletes = || {
        strongswan
            .log()
            .matches("sending DELETE for IKE_SA")
            .count()
    };
    let before = deletes();
    eventually("the branch deletes the IKE SA", OVER_TIME + SETTLE, || {
        Ok(deletes() > before)
    })?;
    thread::sleep(2 * BACK);
    expect_short_silence(ping)
}

/// The case's end for sure, as charon does it when it loses its reauthentication: the headquarters has rekeyed the IKE SA
/// when the branch was to reauthenticate, the branch deletes the new one a tenth of that time later and stays down, as it is
/// set up by default. The headquarters brings it back, through the NAT, and knows why it went.
fn deleted_and_passive(rig: &Rig) -> Result<()> {
    let headquarters = Headquarters::start_case(rig)?;
    let branch = rig.branch(1)?;
    let strongswan = start_branch(rig, &Site::default(), &branch)?;
    strongswan.initiate(HANDSHAKE)?;
    let ping = Ping::start(&rig.hq, HQ_LAN, &branch.lan, EVERY, rig.path())?;
    thread::sleep(CYCLE);
    strongswan.reauthenticate(TO_HQ)?;
    thread::sleep(CYCLE);
    let spis = strongswan.spis()?;
    let rekey = ["rekey", "test", "--ike"];
    headquarters.hawser()?.json(&rekey).map(drop)?;
    eventually("the IKE SA is rekeyed", SETTLE, || {
        Ok(strongswan.spis()? != spis)
    })?;
    thread::sleep(CYCLE / 8);
    strongswan.swanctl(&format!("--terminate --ike {TO_HQ}"))?;
    thread::sleep(3 * BACK);
    expect_short_silence(ping)?;
    expect_explanation(headquarters.hawser()?)?;
    expect_pings(rig, &Site::default(), &branch)
}

/// What the case is called, for sure, and what either side is to change.
fn expect_explanation(hawser: &Hawser) -> Result<()> {
    let told = hawser.json(&["explain", "test"])?;
    let finding = &told["finding"];
    let says = |name: &str, text: &str| finding[name].as_str().is_some_and(|s| s.contains(text));
    ensure!(
        finding["verdict"] == "reauth_rekey_collision"
            && finding["confidence"] == "high"
            && says("advice_branch", "reauth_time = 0")
            && says("advice_headquarters", "sa duration"),
        "{told:#}"
    );
    println!("{}", hawser.text(&["explain", "test"])?);
    Ok(())
}

/// No longer without an answer than the tunnel may be down.
fn expect_short_silence(ping: Ping) -> Result<()> {
    let echoes = ping.stop_and_list()?;
    let silent = echoes.split(|echo| echo.answered).map(<[Echo]>::len).max();
    let down = EVERY * u32::try_from(silent.unwrap_or_default())?;
    println!("the tunnel was down for {down:?} at most");
    ensure!(down <= BACK, "the tunnel was down for {down:?}");
    Ok(())
}

/// A branch, passive and with charon's defaults, and when its IKE SA was made, in seconds of the monotonic clock.
fn connect_at_the_right_moment(rig: &Rig, branch: &Branch) -> Result<(StrongSwan, f64)> {
    let seconds = |d: Duration| format!("{}s", d.as_secs());
    let settings = [
        format!("reauth_time = {}", seconds(REAUTHENTICATION)),
        format!("over_time = {}", seconds(OVER_TIME)),
        "rand_time = 0s".to_owned(),
    ];
    for _ in 0..TRIES {
        let mut strongswan = StrongSwan::start(&branch.ns, &rig.dir("branch1")?, &[])?;
        let connection = Site::default().at_branch(branch);
        let connection = settings
            .iter()
            .fold(connection, |c, setting| Connection::with(c, setting));
        strongswan.load(&[connection])?;
        sleep_until(monotonic().ceil() + 0.45);
        strongswan.initiate(HANDSHAKE)?;
        let made = monotonic() - age_of(&strongswan.log(), "scheduling reauthentication in")?;
        if MOMENT.contains(&(made - made.floor())) {
            return Ok((strongswan, made));
        }
        strongswan.kill()?;
    }
    anyhow::bail!("no IKE SA was made at the right moment")
}

/// How many seconds ago the last line of a log with this text was written; its lines begin with the time of day in UTC.
fn age_of(log: &str, text: &str) -> Result<f64> {
    let line = log.lines().rfind(|line| line.contains(text));
    let line = line.with_context(|| format!("no line with `{text}`"))?;
    let time = line.split_whitespace().next().unwrap_or_default();
    let parts: Vec<f64> = time.split(':').filter_map(|p| p.parse().ok()).collect();
    let [hours, minutes, seconds] = parts[..] else {
        anyhow::bail!("no time in `{line}`");
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let now = now.as_secs_f64() % 86_400.0;
    Ok((now - (hours * 3600.0 + minutes * 60.0 + seconds)).rem_euclid(86_400.0))
}

fn monotonic() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn sleep_until(at: f64) {
    thread::sleep(Duration::from_secs_f64((at - monotonic()).max(0.0)));
}

/// The branch deletes its IKE SA and makes another: the route to it is there all the while.
fn break_before_make(rig: &Rig) -> Result<()> {
    let site = Site::default();
    let branch = rig.branch(1)?;
    let (headquarters, strongswan) = connect(rig, &site, &branch)?;
    let (hq, lan) = inner(&site, &branch);
    let ping = Ping::start(&rig.hq, hq, lan, Duration::from_millis(50), rig.path())?;
    let over = AtomicBool::new(false);
    let gone = thread::scope(|scope| {
        let watch = scope.spawn(|| -> Result<usize> {
            let mut gone = 0;
            while !over.load(Ordering::Relaxed) {
                let routes = rig.hq.ip("route show table 220")?;
                gone += usize::from(!routes.contains(&branch.subnet()));
                thread::sleep(Duration::from_millis(20));
            }
            Ok(gone)
        });
        for _ in 0..REAUTHENTICATIONS {
            strongswan.reauthenticate(TO_HQ)?;
            thread::sleep(Duration::from_secs(2));
        }
        over.store(true, Ordering::Relaxed);
        watch
            .join()
            .map_err(|_| anyhow::anyhow!("the watch panicked"))?
    })?;
    ensure!(gone == 0, "the route was away {gone} times");
    // Between the DELETE and the new Child SA, a good round trip and two key exchanges each time.
    ping.stop()?
        .expect_loss_of_at_most(REAUTHENTICATIONS * 10)?;
    expect_one_each(&headquarters, &strongswan, SETTLE)?;
    expect_pings(rig, &site, &branch)
}
