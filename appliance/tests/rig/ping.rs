//! Pings, once and without a break, with every lost one counted.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

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
        })
    }

    /// Stops and counts.
    pub fn stop(mut self) -> Result<Report> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("ping's process id")?;
        kill_process(pid, Signal::INT).context("stopping ping")?;
        self.child.wait().context("waiting for ping")?;
        let text = fs::read_to_string(&self.log)
            .with_context(|| format!("reading {}", self.log.display()))?;
        report(&self.route, &text)
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
