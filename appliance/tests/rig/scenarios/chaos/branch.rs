//! One branch of a chaos run: its charon, and what its plan does to it.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::diary::{Diary, Disturbance};
use super::plan::{BranchPlan, Fault, Habits};
use crate::relay::{Line, Relay};
use crate::rig::{Branch, Rig};
use crate::site::Site;
use crate::strongswan::{Connection, StrongSwan};

/// charon's longest wait between two retransmissions: so long it may be silent behind an expired mapping, where nobody
/// can reach it.
const SILENT: Duration = Duration::from_secs(80);

/// A line on which datagrams overtake each other.
const MUDDLED: Line = Line {
    delay: Duration::from_millis(20),
    jitter: Duration::from_millis(250),
    twice: 30,
};

/// A branch with its charon.
pub struct Sufferer<'a> {
    rig: &'a Rig,
    branch: &'a Branch,
    /// The one behind the same NAT.
    neighbour: Option<&'a Branch>,
    plan: &'a BranchPlan,
    dir: PathBuf,
    options: Vec<String>,
    connection: Connection,
    /// While it is killed there is none.
    charon: Option<StrongSwan>,
    /// The outer addresses of its NAT; the first is in use.
    outer: [String; 2],
    relay: Option<Relay>,
    /// Faults that want the relay now: they may overlap.
    muddles: u32,
    diary: Diary,
}

/// What happens in a plan.
#[derive(Clone, Copy)]
enum Turn {
    Begins,
    Ends,
}

impl<'a> Sufferer<'a> {
    /// Starts the branch's charon, which initiates by itself whenever it is started.
    pub fn start(
        rig: &'a Rig,
        site: &Site,
        branch: &'a Branch,
        neighbour: Option<&'a Branch>,
        plan: &'a BranchPlan,
    ) -> Result<Self> {
        let dir = rig.dir(&format!("branch{}", branch.number))?;
        let mut sufferer = Self {
            rig,
            branch,
            neighbour,
            plan,
            options: plan.habits.options(),
            connection: plan.habits.apply(site.at_branch(branch)),
            charon: None,
            outer: [branch.nat.first_outer(), rig.second_outer(branch)?],
            relay: None,
            muddles: 0,
            diary: Diary::open(&dir)?,
            dir,
        };
        sufferer.start_charon()?;
        sufferer.diary.note(&format!("{:?}", plan.habits))?;
        Ok(sufferer)
    }

    /// Goes through the plan, which began at `start`.
    pub fn suffer(&mut self, start: Instant) -> Result<Vec<Disturbance>> {
        let faults = || self.plan.faults.iter().enumerate();
        let begins = faults().map(|(n, (at, _))| (*at, n, Turn::Begins));
        let ends = faults().map(|(n, (at, fault))| (*at + fault.length(), n, Turn::Ends));
        let mut turns: Vec<_> = begins.chain(ends).collect();
        turns.sort_by_key(|(at, ..)| *at);
        let mut begun = vec![SystemTime::now(); self.plan.faults.len()];
        let mut disturbances = Vec::new();
        for (at, n, turn) in turns {
            thread::sleep((start + at).saturating_duration_since(Instant::now()));
            let (_, fault) = self.plan.faults[n];
            match turn {
                Turn::Begins => {
                    begun[n] = SystemTime::now();
                    self.diary.note(&format!("begin {fault}"))?;
                    self.begin(fault)
                }
                Turn::Ends => self.end(fault),
            }
            .with_context(|| format!("{fault} at branch {}", self.branch.number))?;
            if let Turn::Ends = turn {
                self.diary.note(&format!("end {fault}"))?;
                let (from, to) = (begun[n], SystemTime::now());
                disturbances.push(Disturbance { from, to });
            }
        }
        Ok(disturbances)
    }

    /// What charon holds, in its words.
    pub fn sas(&self) -> String {
        let list = |charon: &StrongSwan| charon.swanctl("--list-sas");
        let sas = self.charon.as_ref().map(list);
        match sas {
            Some(Ok(sas)) => sas,
            Some(Err(error)) => format!("{error:#}"),
            None => String::new(),
        }
    }

    fn begin(&mut self, fault: Fault) -> Result<()> {
        let nat = &self.branch.nat;
        if let Some(rules) = fault.rules() {
            return nat.disturb(fault.name(), &rules);
        }
        match fault {
            Fault::Rebind => nat.move_to(&self.outer[0]),
            Fault::Move => {
                self.outer.rotate_left(1);
                nat.move_to(&self.outer[0])
            }
            Fault::SwapPorts => match self.neighbour {
                Some(other) => nat.swap_ports(&other.nat, &nat.first_outer()),
                None => Ok(()),
            },
            Fault::Unplugged(_) => self.branch.plug(false),
            Fault::Muddled(_) => {
                self.muddles += 1;
                if self.relay.is_none() {
                    self.relay = Some(Relay::start(self.rig, self.branch, MUDDLED)?);
                }
                Ok(())
            }
            Fault::Kill(_) => self.charon.take().map_or(Ok(()), |mut c| c.kill()),
            _ => self.signal(Signal::STOP),
        }
    }

    fn end(&mut self, fault: Fault) -> Result<()> {
        let nat = &self.branch.nat;
        match fault {
            Fault::Expiry(_) => {
                nat.rebind()?;
                nat.heal(fault.name())?;
                nat.await_mapping(SILENT)
            }
            Fault::Unplugged(_) => self.branch.plug(true),
            Fault::Muddled(_) => {
                self.muddles -= 1;
                if self.muddles == 0 {
                    self.relay = None;
                }
                Ok(())
            }
            Fault::Kill(_) => self.start_charon(),
            Fault::Freeze(_) => self.signal(Signal::CONT),
            Fault::Rebind | Fault::Move | Fault::SwapPorts => Ok(()),
            _ => nat.heal(fault.name()),
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.charon.as_ref().map_or(Ok(()), |c| c.signal(signal))
    }

    fn start_charon(&mut self) -> Result<()> {
        // Another kill may have ended meanwhile.
        self.charon = None;
        let charon = StrongSwan::start(&self.branch.ns, &self.dir, &self.options)?;
        charon.load(std::slice::from_ref(&self.connection))?;
        self.charon = Some(charon);
        Ok(())
    }
}

impl Fault {
    /// What the NAT does to what passes, as nftables rules.
    fn rules(self) -> Option<String> {
        let rules = match self {
            Self::Outage(_) | Self::Expiry(_) => "drop".to_owned(),
            Self::Rejected(_) => "reject with icmpx type host-unreachable".to_owned(),
            Self::Loss(percent, _) => format!("numgen random mod 100 < {percent} drop"),
            Self::OneWayLoss(percent, up, _) => {
                let way = if up { "oifname" } else { "iifname" };
                format!("{way} wan numgen random mod 100 < {percent} drop")
            }
            Self::NoIke(_) => "udp dport { 500 } drop; udp sport { 500 } drop; \
                 udp dport 4500 @th,64,32 0 drop; udp sport 4500 @th,64,32 0 drop"
                .to_owned(),
            Self::NoEsp(_) => {
                "udp dport 4500 @th,64,32 != 0 drop; udp sport 4500 @th,64,32 != 0 drop".to_owned()
            }
            Self::NoPort500(_) => "udp dport 500 drop; udp sport 500 drop".to_owned(),
            _ => return None,
        };
        Some(rules)
    }

    /// What its rules are kept under.
    fn name(self) -> &'static str {
        match self {
            Self::Expiry(_) => "expiry",
            Self::Rejected(_) => "rejected",
            Self::Loss(..) => "loss",
            Self::OneWayLoss(..) => "one-way",
            Self::NoIke(_) => "no-ike",
            Self::NoEsp(_) => "no-esp",
            Self::NoPort500(_) => "no-port",
            _ => "outage",
        }
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
