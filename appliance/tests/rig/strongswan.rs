//! strongSwan's `charon-systemd` in a namespace, with ESP in its own process (`kernel-libipsec`), driven by `swanctl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::command::{eventually, run};
use crate::netns::Namespace;

const PLUGINS: &str = "random nonce aes sha1 sha2 hmac pem pkcs1 pkcs8 x509 pubkey openssl gmp curve25519 gcm chapoly kdf \
                       kernel-libipsec kernel-netlink socket-default vici updown counters";

/// An option with which charon logs every key.
pub const LOG_KEYS: &str = "# keys";

/// The one child of every [`Connection`].
pub const CHILD: &str = "net";

/// A running charon.
#[derive(Debug)]
pub struct StrongSwan {
    child: Child,
    dir: PathBuf,
}

/// One `connections` entry of swanctl.conf with one child, [`CHILD`], and its secret.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its name.
    pub name: String,
    /// `local_addrs`.
    pub local: String,
    /// `remote_addrs`.
    pub remote: String,
    /// Our identity.
    pub local_id: String,
    /// The other end's identity.
    pub remote_id: String,
    /// The pre-shared key.
    pub psk: String,
    /// IKE proposals, as strongSwan writes them.
    pub ike: String,
    /// ESP proposals; with a group, Child SAs are rekeyed with a key exchange.
    pub esp: String,
    /// The subnets behind us.
    pub local_ts: String,
    /// The subnets behind the other end.
    pub remote_ts: String,
    /// Further lines of the connection, such as `dpd_delay = 2s`.
    pub settings: Vec<String>,
    /// Further lines of the child.
    pub child_settings: Vec<String>,
}

/// The SAs that one end holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SaCount {
    /// IKE SAs.
    pub ike: usize,
    /// Child SAs.
    pub child: usize,
}

impl StrongSwan {
    /// Starts charon in `ns` with its files in `dir`; `options` are further lines of its `charon-systemd` section.
    pub fn start(ns: &Namespace, dir: &Path, options: &[String]) -> Result<Self> {
        fs::write(dir.join("strongswan.conf"), daemon_conf(dir, options))
            .context("writing strongswan.conf")?;
        let mut command = ns.command("charon-systemd");
        command
            .env("STRONGSWAN_CONF", dir.join("strongswan.conf"))
            .current_dir(dir);
        let child = ns.spawn(&mut command, &dir.join("stderr.txt"))?;
        let strongswan = Self {
            child,
            dir: dir.to_owned(),
        };
        eventually("charon answers swanctl", Duration::from_secs(10), || {
            strongswan.swanctl("--stats").map(|_| true)
        })?;
        Ok(strongswan)
    }

    /// Replaces what is loaded by `connections`.
    pub fn load(&self, connections: &[Connection]) -> Result<()> {
        let path = self.dir.join("swanctl.conf");
        fs::write(&path, swanctl_conf(connections)).context("writing swanctl.conf")?;
        self.swanctl(&format!("--load-all --file {}", path.display()))
            .map(drop)
    }

    /// Runs `swanctl LINE` against this daemon.
    pub fn swanctl(&self, line: &str) -> Result<String> {
        let mut command = Command::new("swanctl");
        command.env("STRONGSWAN_CONF", self.dir.join("strongswan.conf"));
        command
            .args(line.split_whitespace())
            .arg("--uri")
            .arg(vici(&self.dir));
        run(&mut command)
    }

    /// Brings up the child, waiting at most `within`.
    pub fn initiate(&self, within: Duration) -> Result<()> {
        self.swanctl(&format!(
            "--initiate --child {CHILD} --timeout {}",
            within.as_secs()
        ))
        .map(drop)
    }

    /// Rekeys the Child SAs.
    pub fn rekey_child(&self) -> Result<()> {
        self.swanctl(&format!("--rekey --child {CHILD}")).map(drop)
    }

    /// Rekeys the IKE SAs of `connection`.
    pub fn rekey_ike(&self, connection: &str) -> Result<()> {
        self.swanctl(&format!("--rekey --ike {connection}"))
            .map(drop)
    }

    /// Reauthenticates the IKE SAs of `connection`.
    pub fn reauthenticate(&self, connection: &str) -> Result<()> {
        self.swanctl(&format!("--rekey --ike {connection} --reauth"))
            .map(drop)
    }

    /// How many SAs there are. A Child SA that is deleted and kept only for late packets does not count.
    pub fn count(&self) -> Result<SaCount> {
        let raw = self.swanctl("--list-sas --raw")?;
        let late = raw.matches(" state=DELETED ").count();
        Ok(SaCount {
            ike: raw.matches(" responder-spi=").count(),
            child: raw.matches(" reqid=").count() - late,
        })
    }

    /// The SPIs of every SA: another value after a rekey.
    pub fn spis(&self) -> Result<Vec<String>> {
        let raw = self.swanctl("--list-sas --raw")?;
        let words = raw
            .split_whitespace()
            .filter(|word| word.starts_with("initiator-spi=") || word.starts_with("spi-in="));
        Ok(words.map(str::to_owned).collect())
    }

    /// What the daemon has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("charon.log")).unwrap_or_default()
    }

    /// Sends `signal` to charon.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("charon's process id")?;
        kill_process(pid, signal).with_context(|| format!("sending {signal:?} to charon"))
    }

    /// Kills charon without a word.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("killing charon")?;
        self.child.wait().context("waiting for charon")?;
        Ok(())
    }

    /// Asks charon to end (it deletes its SAs) and waits for it.
    pub fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        self.child.wait().context("waiting for charon")?;
        Ok(())
    }
}

impl Drop for StrongSwan {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn vici(dir: &Path) -> String {
    format!("unix://{}/vici", dir.display())
}

fn daemon_conf(dir: &Path, options: &[String]) -> String {
    format!(
        "charon-systemd {{\n load = {PLUGINS}\n {}\n plugins {{\n vici {{\n socket = {}\n }}\n }}\n \
         filelog {{\n charon {{\n path = {}/charon.log\n time_format = %T\n time_add_ms = yes\n default = 1\n {}\n \
         flush_line = yes\n }}\n }}\n}}\n",
        options.join("\n "),
        vici(dir),
        dir.display(),
        if options.iter().any(|option| option == LOG_KEYS) {
            "ike = 4\n chd = 4"
        } else {
            "ike = 2\n chd = 2"
        },
    )
}

fn swanctl_conf(connections: &[Connection]) -> String {
    let sections: String = connections.iter().map(Connection::section).collect();
    let secrets: String = connections
        .iter()
        .map(|one| {
            format!(
                " ike-{} {{\n id = {}\n secret = \"{}\"\n }}\n",
                one.name, one.remote_id, one.psk
            )
        })
        .collect();
    format!("connections {{\n{sections}}}\nsecrets {{\n{secrets}}}\n")
}

impl Connection {
    /// The same connection with one more line, such as `dpd_delay = 2s`.
    pub fn with(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// The same connection with one more line in its child, such as `start_action = start`.
    pub fn with_child(mut self, setting: &str) -> Self {
        self.child_settings.push(setting.to_owned());
        self
    }

    fn section(&self) -> String {
        let Self {
            name,
            local,
            remote,
            local_id,
            remote_id,
            ike,
            esp,
            local_ts,
            remote_ts,
            ..
        } = self;
        format!(
            " {name} {{\n version = 2\n local_addrs = {local}\n remote_addrs = {remote}\n proposals = {ike}\n {}\n \
             local {{\n auth = psk\n id = {local_id}\n }}\n remote {{\n auth = psk\n id = {remote_id}\n }}\n \
             children {{\n {CHILD} {{\n local_ts = {local_ts}\n remote_ts = {remote_ts}\n esp_proposals = {esp}\n \
             {}\n }}\n }}\n }}\n",
            self.settings.join("\n "),
            self.child_settings.join("\n "),
        )
    }
}
