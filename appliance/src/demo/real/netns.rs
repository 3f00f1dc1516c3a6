//! Network namespaces. Their names carry our process id: what a killed demo left is found.

use super::command::{command, run, search_path};
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command as Plain, Output};
use std::{fs, io, process};
use tokio::process::Command;

const PREFIX: &str = "hawser-demo";
const DIRECTORY: &str = "/run/netns";

/// A network namespace; dropped, it takes its processes and interfaces with it.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    /// A new one that forwards; `label` is for people.
    pub(super) async fn new(label: &str) -> anyhow::Result<Self> {
        // The guard comes first: an interrupted command may have done its work.
        let namespace = Self {
            name: format!("{PREFIX}-{}-{label}", process::id()),
        };
        run(command("ip").args(["netns", "add", &namespace.name])).await?;
        namespace.ip("link set lo up").await?;
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        run(namespace.command("sh").args(["-c", forward])).await?;
        Ok(namespace)
    }

    /// A program to be started in it.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = command("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// `ip LINE` on it.
    pub(super) async fn ip(&self, line: &str) -> anyhow::Result<String> {
        let words = line.split_whitespace();
        run(command("ip").args(["-n", &self.name]).args(words)).await
    }

    /// Joins it with another one by a cable; both ends have addresses.
    pub(super) async fn join(
        &self,
        (ours, address): (&str, &str),
        other: &Self,
        (theirs, their_address): (&str, &str),
    ) -> anyhow::Result<()> {
        let far = &other.name;
        self.ip(&format!(
            "link add {ours} type veth peer name {theirs} netns {far}"
        ))
        .await?;
        for (namespace, interface, address) in
            [(self, ours, address), (other, theirs, their_address)]
        {
            namespace
                .ip(&format!("addr add {address} dev {interface}"))
                .await?;
            namespace.ip(&format!("link set {interface} up")).await?;
        }
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Removes what demos have left whose process was killed.
pub(super) fn sweep() {
    for entry in fs::read_dir(DIRECTORY).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').nth(1));
        if owner.is_some_and(|pid| !fs::exists(format!("/proc/{pid}")).unwrap_or(true)) {
            remove(&name);
        }
    }
}

/// Without a runtime: it works also where one ends. What was never made needs no removing.
fn remove(name: &str) {
    let ip = |words: &[&str]| -> io::Result<Output> {
        let mut ip = Plain::new("ip");
        ip.env("PATH", search_path()).args(words).output()
    };
    let pids = ip(&["netns", "pids", name]).map_or_else(|_| Vec::new(), |o| o.stdout);
    for pid in String::from_utf8_lossy(&pids).lines() {
        if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let _ = ip(&["netns", "del", name]);
}
