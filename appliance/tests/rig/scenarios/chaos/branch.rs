//! One branch of a chaos run: its charon, and what its plan does to it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::plan::{BranchPlan, Fault, Habits};
use crate::rig::{Branch, Rig};
use crate::site::Site;
use crate::strongswan::{Connection, StrongSwan};

/// charon's longest wait between two retransmissions: so long it may be silent behind an expired mapping, where nobody
/// can reach it.
const SILENT: Duration = Duration::from_secs(80);

/// A branch with its charon.
pub struct Sufferer<'a> {
    branch: &'a Branch,
    plan: &'a BranchPlan,
    dir: PathBuf,
    options: Vec<String>,
    connection: Connection,
    charon: StrongSwan,
    /// The outer addresses of its NAT; the first is in use.
    outer: [String; 2],
    diary: File,
}

/// From when to when a branch was disturbed.
#[derive(Clone, Copy, Debug)]
pub struct Disturbance {
    /// The fault began.
    pub from: SystemTime,
    /// It was over.
    pub to: SystemTime,
}

impl<'a> Sufferer<'a> {
    /// Starts the branch's charon, which initiates by itself whenever it is started.
    pub fn start(rig: &Rig, site: &Site, branch: &'a Branch, plan: &'a BranchPlan) -> Result<Self> {
        let dir = rig.dir(&format!("branch{}", branch.number))?;
        let (options, connection) = (
            plan.habits.options(),
            plan.habits.apply(site.at_branch(branch)),
        );
        let charon = StrongSwan::start(&branch.ns, &dir, &options)?;
        charon.load(std::slice::from_ref(&connection))?;
        let diary = OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join("faults.log"))
            .context("the branch's diary")?;
        let outer = [branch.first_outer(), rig.second_outer(branch)?];
        let mut sufferer = Self {
            branch,
            plan,
            dir,
            options,
            connection,
            charon,
            outer,
            diary,
        };
        sufferer.note(&format!("{:?}", plan.habits))?;
        Ok(sufferer)
    }

    /// Goes through the plan, which began at `start`.
    pub fn suffer(&mut self, start: Instant) -> Result<Vec<Disturbance>> {
        let mut disturbances = Vec::new();
        for (at, fault) in &self.plan.faults {
            thread::sleep((start + *at).saturating_duration_since(Instant::now()));
            let from = SystemTime::now();
            self.note(&format!("begin {fault}"))?;
            self.inflict(*fault)
                .with_context(|| format!("{fault} at branch {}", self.branch.number))?;
            self.note("end")?;
            disturbances.push(Disturbance {
                from,
                to: SystemTime::now(),
            });
        }
        Ok(disturbances)
    }

    /// What charon holds, in its words.
    pub fn sas(&self) -> String {
        self.charon
            .swanctl("--list-sas")
            .unwrap_or_else(|error| format!("{error:#}"))
    }

    fn inflict(&mut self, fault: Fault) -> Result<()> {
        let nat = &self.branch.nat;
        let drop = |rules: &str, length: Duration| -> Result<()> {
            nat.disturb(rules)?;
            thread::sleep(length);
            nat.heal()
        };
        match fault {
            Fault::Rebind => nat.rebind(),
            Fault::Move => {
                self.outer.rotate_left(1);
                nat.move_to(&self.outer[0])
            }
            Fault::Outage(length) => drop("drop", length),
            Fault::Expiry(length) => {
                nat.outlive_mappings(length)?;
                nat.await_mapping(SILENT)
            }
            Fault::Loss(percent, length) => {
                drop(&format!("numgen random mod 100 < {percent} drop"), length)
            }
            Fault::OneWayLoss(percent, up, length) => {
                let way = if up { "oifname" } else { "iifname" };
                drop(
                    &format!("{way} wan numgen random mod 100 < {percent} drop"),
                    length,
                )
            }
            Fault::NoIke(length) => drop(
                "udp dport { 500 } drop; udp sport { 500 } drop; \
                 udp dport 4500 @th,64,32 0 drop; udp sport 4500 @th,64,32 0 drop",
                length,
            ),
            Fault::NoEsp(length) => drop(
                "udp dport 4500 @th,64,32 != 0 drop; udp sport 4500 @th,64,32 != 0 drop",
                length,
            ),
            Fault::NoPort500(length) => drop("udp dport 500 drop; udp sport 500 drop", length),
            Fault::Kill(length) => self.die(length),
            Fault::Freeze(length) => {
                self.charon.signal(Signal::STOP)?;
                thread::sleep(length);
                self.charon.signal(Signal::CONT)
            }
        }
    }

    fn die(&mut self, length: Duration) -> Result<()> {
        self.charon.kill()?;
        thread::sleep(length);
        self.charon = StrongSwan::start(&self.branch.ns, &self.dir, &self.options)?;
        self.charon.load(std::slice::from_ref(&self.connection))
    }

    fn note(&mut self, text: &str) -> Result<()> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let day = since.as_secs() % 86_400;
        let (hour, minute, second) = (day / 3600, day / 60 % 60, day % 60);
        let milli = since.subsec_millis();
        writeln!(
            self.diary,
            "{hour:02}:{minute:02}:{second:02}.{milli:03} {text}"
        )
        .context("writing the branch's diary")
    }
}

impl Habits {
    /// Options of charon itself.
    fn options(&self) -> Vec<String> {
        let mut options = vec![format!(
            "make_before_break = {}",
            if self.passive == Some(true) {
                "yes"
            } else {
                "no"
            }
        )];
        if self.hasty {
            options.extend(["retransmit_timeout = 1.0", "retransmit_tries = 5"].map(str::to_owned));
        }
        options
    }

    fn apply(&self, connection: Connection) -> Connection {
        let cycle = self.ike_cycle;
        let mut settings = match self.passive {
            Some(_) => vec![
                format!("reauth_time = {cycle}s"),
                "rekey_time = 0s".to_owned(),
            ],
            None => vec![
                format!("rekey_time = {cycle}s"),
                "keyingtries = 0".to_owned(),
            ],
        };
        settings.push("rand_time = 5s".to_owned());
        if self.dpd {
            settings.push("dpd_delay = 10s".to_owned());
        }
        if self.patient {
            settings.push("over_time = 120s".to_owned());
        }
        let mut child = vec![
            "start_action = start".to_owned(),
            format!("rekey_time = {}s", self.child_cycle),
            "rand_time = 5s".to_owned(),
        ];
        if self.patient {
            child.push(format!("life_time = {}s", self.child_cycle + 120));
        }
        if self.passive.is_none() {
            child.extend(["dpd_action = restart", "close_action = start"].map(str::to_owned));
        }
        let connection = settings.iter().fold(connection, |c, line| c.with(line));
        child.iter().fold(connection, |c, line| c.with_child(line))
    }
}
