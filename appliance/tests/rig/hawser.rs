//! The product: `hawser run` in the headquarters' namespace, and its verbs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::command::{eventually, run_to};
use crate::netns::Namespace;
use crate::rig::Rig;
use crate::site::Site;
use crate::strongswan::SaCount;

/// The program.
pub const BINARY: &str = env!("CARGO_BIN_EXE_hawser");
const HEALTHY: i32 = 0;
const DEGRADED: i32 = 2;

/// A running gateway.
#[derive(Debug)]
pub struct Hawser {
    child: Child,
    socket: PathBuf,
}

impl Hawser {
    /// Starts Hawser at the headquarters for `site`.
    pub fn start(rig: &Rig, site: &Site) -> Result<Self> {
        Self::start_text(&rig.hq, &rig.dir("hq")?, "hq.toml", &site.toml())
    }

    /// Starts Hawser at the headquarters with the case's Comware text, unchanged.
    pub fn start_case(rig: &Rig) -> Result<Self> {
        let path = case_config();
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Self::start_text(&rig.hq, &rig.dir("hq")?, "hq.cfg", &text)
    }

    /// Starts Hawser in `ns` with its files in `dir` and the configuration `text` in a file called `name`, whose ending
    /// says how to read it.
    pub fn start_text(ns: &Namespace, dir: &Path, name: &str, text: &str) -> Result<Self> {
        let (config, socket) = (dir.join(name), dir.join("hawser.sock"));
        fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        let mut command = ns.command(BINARY);
        command
            .arg("run")
            .arg("--config")
            .arg(&config)
            .arg("--socket")
            .arg(&socket)
            .arg("--state")
            .arg(dir);
        let child = ns.spawn(&mut command, &dir.join("hawser.log"))?;
        let mut hawser = Self { child, socket };
        eventually(
            "hawser answers `status` or ends",
            Duration::from_secs(10),
            || Ok(hawser.child.try_wait()?.is_some() || hawser.json(&["status"]).is_ok()),
        )?;
        hawser.expect_alive()?;
        Ok(hawser)
    }

    /// Runs a verb and returns its JSON.
    pub fn json(&self, words: &[&str]) -> Result<Value> {
        let mut command = Command::new(BINARY);
        command
            .args(words)
            .arg("--json")
            .arg("--socket")
            .arg(&self.socket);
        let text = run_to(&mut command, &[HEALTHY, DEGRADED])?;
        serde_json::from_str(&text)
            .with_context(|| format!("`hawser {}` printed {text}", words.join(" ")))
    }

    /// Runs a verb to its end and returns what it printed for people.
    pub fn text(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(BINARY);
        command.args(words).arg("--socket").arg(&self.socket);
        run_to(&mut command, &[HEALTHY, DEGRADED])
    }

    /// Begins a verb that takes its time; what it prints goes into `log`.
    pub fn begin(&self, words: &[&str], log: &Path) -> Result<Child> {
        let file = fs::File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let mut command = Command::new(BINARY);
        command.args(words).arg("--socket").arg(&self.socket);
        command.stdout(file.try_clone()?).stderr(file);
        command.spawn().with_context(|| words.join(" "))
    }

    /// Writes every event from now on to `log`, a line each, until the gateway ends.
    pub fn follow_events(&self, log: &Path) -> Result<Child> {
        let file = fs::File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let mut command = Command::new(BINARY);
        command
            .args(["events", "-f", "--json", "--socket"])
            .arg(&self.socket);
        command.stdout(file).spawn().context("following the events")
    }

    /// How many SAs `hawser status` counts.
    pub fn count(&self) -> Result<SaCount> {
        let status = self.json(&["status"])?;
        let number = |name: &str| {
            let value = status[name]
                .as_u64()
                .with_context(|| format!("`{name}` in {status}"))?;
            usize::try_from(value).context("a count")
        };
        Ok(SaCount {
            ike: number("ike_sas")?,
            child: number("child_sas")?,
        })
    }

    /// Where its admin API is.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The gateway's process.
    pub fn pid(&self) -> Result<Pid> {
        i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("hawser's process id")
    }

    /// Fails when the process has ended.
    pub fn expect_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("hawser ended with {status}"),
            None => Ok(()),
        }
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("VmRSS")?;
        line.trim().trim_end_matches(" kB").parse().context("VmRSS")
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        kill_process(self.pid()?, Signal::TERM).context("stopping hawser")?;
        eventually("hawser ends after SIGTERM", Duration::from_secs(10), || {
            Ok(self.child.try_wait()?.is_some())
        })?;
        self.child.wait().context("waiting for hawser")
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("killing hawser")?;
        self.child.wait().map(drop).context("waiting for hawser")
    }
}

impl Drop for Hawser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The case's configuration.
pub fn case_config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/hq.cfg")
}
