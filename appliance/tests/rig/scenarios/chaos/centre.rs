//! The headquarters of a chaos run, and what its plan does to it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::diary::{Diary, Disturbance};
use super::plan::{Common, Plan};
use crate::headquarters::Headquarters;
use crate::rig::Rig;
use crate::site::Site;

/// The headquarters; nothing of it runs between a kill and the start after it.
pub struct Centre<'a> {
    rig: &'a Rig,
    /// What it is set up for; `None`: the case's configuration, unchanged.
    site: Option<Site>,
    headquarters: Option<Headquarters>,
    /// How often it was started.
    starts: usize,
    diary: Diary,
}

impl<'a> Centre<'a> {
    /// Starts it.
    pub fn start(rig: &'a Rig, site: Option<Site>) -> Result<Self> {
        let mut centre = Self {
            rig,
            site,
            headquarters: None,
            starts: 0,
            diary: Diary::open(&rig.dir("hq")?)?,
        };
        centre.begin()?;
        Ok(centre)
    }

    /// Goes through what befalls everybody, from `start`.
    pub fn suffer(&mut self, plan: &Plan, start: Instant) -> Result<Vec<Disturbance>> {
        let mut disturbances = Vec::new();
        for (at, common) in &plan.common {
            thread::sleep((start + *at).saturating_duration_since(Instant::now()));
            let from = SystemTime::now();
            self.diary.note(&format!("begin {common:?}"))?;
            self.inflict(*common)
                .with_context(|| format!("{common:?} at the headquarters"))?;
            self.diary.note("end")?;
            let to = SystemTime::now();
            disturbances.push(Disturbance { from, to });
        }
        Ok(disturbances)
    }

    /// Writes what it says of its peers to a file.
    pub fn write_status(&self) -> Result<()> {
        if let Some(Headquarters::Hawser(hawser)) = &self.headquarters {
            let status = format!("{:#}", hawser.json(&["status"])?);
            fs::write(self.rig.path().join("status.json"), status).context("writing the status")?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        let rig = self.rig;
        let headquarters = match &self.site {
            Some(site) => Headquarters::start(rig, site)?,
            None => Headquarters::start_case(rig)?,
        };
        if let Headquarters::Hawser(hawser) = &headquarters {
            let events = format!("events-{}.json", self.starts);
            hawser.follow_events(&rig.path().join(events))?;
        }
        self.starts += 1;
        self.headquarters = Some(headquarters);
        Ok(())
    }

    fn inflict(&mut self, common: Common) -> Result<()> {
        match common {
            Common::Outage(length) => {
                let table = "table inet outage";
                self.rig.inet.nft(&format!(
                    "{table} {{\nchain through {{ type filter hook forward priority 0; drop; }}\n}}\n"
                ))?;
                thread::sleep(length);
                self.rig.inet.nft(&format!("delete {table}\n"))
            }
            Common::Freeze(length) => {
                self.signal(Signal::STOP)?;
                thread::sleep(length);
                self.signal(Signal::CONT)
            }
            // What is dropped is killed.
            Common::Kill(length) => self.away(length, |_| Ok(())),
            Common::Restart(length) => self.away(length, Headquarters::stop),
        }
    }

    /// It ends in this way, and is started again after `length`.
    fn away(
        &mut self,
        length: Duration,
        end: impl FnOnce(&mut Headquarters) -> Result<()>,
    ) -> Result<()> {
        if let Some(mut headquarters) = self.headquarters.take() {
            end(&mut headquarters)?;
        }
        let dir = self.rig.dir("hq")?;
        let (log, before) = ("hawser.log", format!("hawser-{}.log", self.starts));
        if dir.join(log).exists() {
            fs::rename(dir.join(log), dir.join(before)).context("keeping a log")?;
        }
        thread::sleep(length);
        self.begin()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let headquarters = self.headquarters.as_ref();
        headquarters.map_or(Ok(()), |h| h.signal(signal))
    }
}
