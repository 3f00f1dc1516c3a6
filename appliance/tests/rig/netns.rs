//! Network namespaces and the veth pairs between them. Names carry the process id, so that rigs run side by side, and a
//! namespace whose process died is swept by the next run.

use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, thread};

use anyhow::{Context as _, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::{run, run_with_input};

const PREFIX: &str = "hwr";
const DIRECTORY: &str = "/run/netns";

/// One network namespace; dropped, it takes its processes and interfaces with it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A new namespace with `lo` up and forwarding on; `label` is for people.
    pub fn new(label: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{number}-{label}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        for family in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
            namespace.run(&format!("sysctl -qw {family}=1"))?;
        }
        Ok(namespace)
    }

    /// The name that `ip netns` knows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `program` inside this namespace, not yet started; the process id of the child is the program's own.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs `line` (words separated by blanks, no quoting) inside this namespace and returns what it printed.
    pub fn run(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let program = words.next().context("an empty command line")?;
        run(self.command(program).args(words))
    }

    /// Runs `ip LINE` on this namespace.
    pub fn ip(&self, line: &str) -> Result<String> {
        run(Command::new("ip")
            .args(["-n", &self.name])
            .args(line.split_whitespace()))
    }

    /// Loads an nftables ruleset.
    pub fn nft(&self, rules: &str) -> Result<()> {
        run_with_input(self.command("nft").args(["-f", "-"]), rules)
            .with_context(|| rules.to_owned())?;
        Ok(())
    }

    /// Adds `address` (with its prefix length) to `interface`; an IPv6 address is usable at once.
    pub fn address(&self, interface: &str, address: &str) -> Result<()> {
        let nodad = if address.contains(':') { "nodad" } else { "" };
        self.ip(&format!("addr add {address} dev {interface} {nodad}"))?;
        Ok(())
    }

    /// Starts `command` (made by [`Namespace::command`]) with both outputs in the file `log`.
    pub fn spawn(&self, command: &mut Command, log: &std::path::Path) -> Result<Child> {
        let file = fs::File::create(log).with_context(|| format!("creating {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {command:?} in {}", self.name))
    }

    /// Does `work` on a thread of its own that has moved into this namespace: sockets made there belong here.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = format!("{DIRECTORY}/{}", self.name);
        let inside = || {
            let handle = fs::File::open(&path).with_context(|| format!("opening {path}"))?;
            move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))
                .with_context(|| format!("entering {path}"))?;
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join())
            .map_err(|_| anyhow!("a thread inside {} panicked", self.name))?
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.name) {
            eprintln!("rig: namespace {} stays behind: {error:#}", self.name);
        }
    }
}

/// Joins two namespaces by a veth pair, both ends up.
pub fn veth(a: &Namespace, a_interface: &str, b: &Namespace, b_interface: &str) -> Result<()> {
    a.ip(&format!(
        "link add name {a_interface} type veth peer name {b_interface} netns {}",
        b.name
    ))?;
    a.ip(&format!("link set {a_interface} up"))?;
    b.ip(&format!("link set {b_interface} up"))?;
    Ok(())
}

/// Removes the namespaces of rigs whose process has ended without doing so.
pub fn sweep() {
    let Ok(entries) = fs::read_dir(DIRECTORY) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').nth(1));
        let dead = |pid: &str| !fs::exists(format!("/proc/{pid}")).unwrap_or(true);
        if owner.is_some_and(dead) {
            let _ = remove(&name);
        }
    }
}

fn remove(name: &str) -> Result<()> {
    for line in run(Command::new("ip").args(["netns", "pids", name]))?.lines() {
        if let Some(pid) = line.trim().parse().ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    run(Command::new("ip").args(["netns", "del", name])).map(drop)
}
