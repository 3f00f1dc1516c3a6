//! Pings, once and without a break, with every lost one counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::command::eventually;
use crate::netns::Namespace;

/// Echo requests not yet answered when a ping is stopped are not lost.
const IN_FLIGHT: u64 = 10;

/// A running ping.
#[derive(Debug)]
pub struct Ping {
    child: Child,
    log: PathBuf,
    route: String,
    interval: Duration,
}

/// What became of a [`Ping`].
#[derive(Debug)]
pub struct Report {
    /// From where to where.
    pub route: String,
    /// Echo requests sent, less those still in flight.
    pub sent: u64,
    /// The sequence numbers that were never answered.
    pub lost: Vec<u64>,
    /// The sequence numbers that were answered more than once.
    pub duplicates: usize,
}

/// One echo request of a [`Ping`].
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// When it was sent.
    pub sent: SystemTime,
    /// Whether an answer came, however late.
    pub answered: bool,
}

/// One echo request is answered within a second.
pub fn once(ns: &Namespace, from: &str, to: &str) -> Result<()> {
    ns.run(&format!("ping -n -q -c 1 -W 1 -I {from} {to}"))
        .map(drop)
}

/// Both hosts answer each other, within `within` seconds; returns the time it took.
pub fn both_ways(
    a: (&Namespace, &str),
    b: (&Namespace, &str),
    within: Duration,
) -> Result<Duration> {
    let there = eventually(&format!("ping {} -> {}", a.1, b.1), within, || {
        once(a.0, a.1, b.1).map(|()| true)
    })?;
    let back = eventually(&format!("ping {} -> {}", b.1, a.1), within, || {
        once(b.0, b.1, a.1).map(|()| true)
    })?;
    Ok(there + back)
}

/// Nothing comes back within a second.
pub fn expect_silence(ns: &Namespace, from: &str, to: &str) -> Result<()> {
    ensure!(
        once(ns, from, to).is_err(),
        "{to} answered {from}, which it must not"
    );
    Ok(())
}

impl Ping {
    /// Starts pinging every `interval`.
    pub fn start(
        ns: &Namespace,
        from: &str,
        to: &str,
        interval: Duration,
        dir: &Path,
    ) -> Result<Self> {
        let log = dir.join(format!("ping-{from}-{to}.txt").replace(':', "."));
        let mut command = ns.command("ping");
        command.args([
            "-n",
            "-D",
            "-i",
            &interval.as_secs_f64().to_string(),
            "-I",
            from,
            to,
        ]);
        let child = ns.spawn(&mut command, &log)?;
        Ok(Self {
            child,
            log,
            route: format!("{from} -> {to}"),
            interval,
        })
    }

    /// From where to where.
    pub fn route(&self) -> &str {
        &self.route
    }

    /// Stops and counts.
    pub fn stop(self) -> Result<Report> {
        let route = self.route.clone();
        report(&route, &self.end()?)
    }

    /// Stops and lists every echo request.
    pub fn stop_and_list(self) -> Result<Vec<Echo>> {
        let (route, interval) = (self.route.clone(), self.interval);
        let text = self.end()?;
        let sent = report(&route, &text)?.sent;
        list(&text, sent, interval).with_context(|| format!("ping {route} was never answered"))
    }

    /// Stops and returns what it printed.
    fn end(mut self) -> Result<String> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("ping's process id")?;
        kill_process(pid, Signal::INT).context("stopping ping")?;
        self.child.wait().context("waiting for ping")?;
        fs::read_to_string(&self.log).with_context(|| format!("reading {}", self.log.display()))
    }
}

impl Report {
    /// Fails unless every echo request was answered, and there were some.
    pub fn expect_no_loss(&self) -> Result<()> {
        self.expect_loss_of_at_most(0)
    }

    /// Fails when more echo requests than `most` were not answered, when one was answered twice, or when none was sent.
    pub fn expect_loss_of_at_most(&self, most: usize) -> Result<()> {
        let Self {
            route, sent, lost, ..
        } = self;
        ensure!(*sent > 0, "{route}: not one ping was sent");
        ensure!(
            lost.len() <= most,
            "{route}: {} of {sent} pings lost: {lost:?}",
            lost.len()
        );
        ensure!(
            self.duplicates == 0,
            "{}: {} duplicate answers",
            self.route,
            self.duplicates
        );
        Ok(())
    }
}

fn report(route: &str, text: &str) -> Result<Report> {
    let transmitted: u64 = text
        .lines()
        .find_map(|line| {
            line.split_once(" packets transmitted")
                .map(|(count, _)| count)
        })
        .with_context(|| format!("ping {route} left no summary:\n{text}"))?
        .trim()
        .parse()
        .context("the count of transmitted pings")?;
    let mut answered = BTreeSet::new();
    let mut duplicates = 0;
    for line in text.lines().filter(|line| line.contains("bytes from")) {
        let sequence = line
            .split_once("icmp_seq=")
            .and_then(|(_, rest)| rest.split(' ').next());
        let sequence: u64 = sequence
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("a ping line: {line}"))?;
        duplicates += usize::from(!answered.insert(sequence));
    }
    let sent = transmitted.saturating_sub(IN_FLIGHT);
    let lost = (1..=sent)
        .filter(|sequence| !answered.contains(sequence))
        .collect();
    Ok(Report {
        route: route.to_owned(),
        sent,
        lost,
        duplicates,
    })
}

/// Every echo request up to number `sent`. When one that was not answered was sent follows from its nearest answered
/// neighbour; `None` where there is none.
fn list(text: &str, sent: u64, interval: Duration) -> Option<Vec<Echo>> {
    let answered: BTreeMap<u64, SystemTime> = text.lines().filter_map(answer).collect();
    let at = |sequence: u64| {
        let before = answered.range(..=sequence).next_back();
        let after = answered.range(sequence..).next();
        let distance = |found: &(&u64, &SystemTime)| found.0.abs_diff(sequence);
        let (near, time) = before.into_iter().chain(after).min_by_key(distance)?;
        let steps = interval.mul_f64(near.abs_diff(sequence) as f64);
        Some(if *near > sequence {
            *time - steps
        } else {
            *time + steps
        })
    };
    let echo = |sequence| {
        Some(Echo {
            sent: at(sequence)?,
            answered: answered.contains_key(&sequence),
        })
    };
    (1..=sent).map(echo).collect()
}

/// The number of an echo request and when it was sent, from a line such as
/// `[1700000000.25] 64 bytes from 172.16.1.1: icmp_seq=7 ttl=64 time=0.5 ms`.
fn answer(line: &str) -> Option<(u64, SystemTime)> {
    let (stamp, rest) = line.strip_prefix('[')?.split_once(']')?;
    let word = |name: &str| rest.split_once(name)?.1.split(' ').next();
    let came = Duration::try_from_secs_f64(stamp.parse().ok()?).ok()?;
    let took = word(" time=")?.parse::<f64>().ok()? / 1000.0;
    let sent = came.checked_sub(Duration::try_from_secs_f64(took).ok()?)?;
    Some((
        word("icmp_seq=")?.parse().ok()?,
        SystemTime::UNIX_EPOCH + sent,
    ))
}
