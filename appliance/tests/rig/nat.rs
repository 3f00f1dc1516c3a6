//! A NAT gateway between a branch and the Internet, with the ways in which real ones misbehave.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::netns::Namespace;

/// The gateway of one branch, in a namespace of its own: `wan` towards the Internet. Where two branches share it, what is
/// done to it by one of them is done to that one alone.
#[derive(Debug)]
pub struct Nat {
    /// Where it lives; for routes and captures.
    pub ns: Arc<Namespace>,
    /// Its number, that of the branch it was made for; part of its addresses.
    pub number: u8,
    /// The branch's address behind it.
    pub host: String,
}

impl Nat {
    /// Masquerades IPv4 behind a random port, and like a real NAT says nothing to what no mapping knows.
    pub fn masquerade(&self) -> Result<()> {
        let host = &self.host;
        self.ns.nft(&format!(
            "table ip nat-{host} {{
                chain post {{ type nat hook postrouting priority 100; ip saddr {host} oifname wan masquerade fully-random; }}
                chain unknown {{ type filter hook input priority 0; iifname wan meta l4proto udp drop; }}
            }}\n"
        ))
    }

    /// Its first outer address.
    pub fn first_outer(&self) -> String {
        format!("198.51.100.{}", self.number * 4 + 2)
    }

    /// The router's address towards it.
    pub fn router(&self) -> String {
        format!("198.51.100.{}", self.number * 4 + 1)
    }

    /// Forgets every mapping: what the branch sends next leaves from another port.
    pub fn rebind(&self) -> Result<()> {
        let forgotten = self.ns.run(&format!("conntrack -D -s {}", self.host));
        match forgotten {
            Err(error) if !format!("{error:#}").contains(" 0 flow entries") => Err(error),
            _ => Ok(()),
        }
    }

    /// From now on the branch is seen from `outer`, one of the gateway's addresses. Needs [`Nat::masquerade`] before.
    pub fn move_to(&self, outer: &str) -> Result<()> {
        self.map(&format!("snat to {outer} fully-random"))?;
        self.rebind()
    }

    /// Two branches behind one gateway get each other's port on its address `outer`: what is sent to one of them where it was
    /// seen last reaches the other.
    pub fn swap_ports(&self, neighbour: &Self, outer: &str) -> Result<()> {
        let both = [self, neighbour];
        for nat in both {
            nat.disturb("swap", "drop")?;
        }
        let ports = [self.port()?, neighbour.port()?];
        for (nat, port) in both.into_iter().zip(ports.into_iter().rev()) {
            if let Some(port) = port {
                nat.map(&format!("udp sport 4500 snat to {outer}:{port}"))?;
            }
        }
        for nat in both {
            nat.rebind()?;
        }
        both.into_iter().try_for_each(|nat| nat.heal("swap"))
    }

    /// Waits until the branch has a mapping again, `patience` at most: before it has sent something nobody can reach it.
    pub fn await_mapping(&self, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        while Instant::now() < end && !self.has_mapping()? {
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Whether anything from outside could reach the branch.
    pub fn has_mapping(&self) -> Result<bool> {
        Ok(!self.mappings()?.trim().is_empty())
    }

    /// Drops `percent` of the packets in each direction.
    pub fn loss(&self, percent: u32) -> Result<()> {
        self.disturb("loss", &format!("numgen random mod 100 < {percent} drop"))
    }

    /// Does `rules`, nftables rules separated by `;`, to what passes from and to the branch until [`Nat::heal`] is called with the
    /// same `name`.
    pub fn disturb(&self, name: &str, rules: &str) -> Result<()> {
        let host = &self.host;
        let both = |rule: &str| format!("ip saddr {host} {rule}; ip daddr {host} {rule};\n");
        let rules: String = rules.split(';').map(|rule| both(rule.trim())).collect();
        self.ns.nft(&format!(
            "table inet {name}-{host} {{
                chain through {{ type filter hook forward priority 0; {rules} }}
            }}\n"
        ))
    }

    /// Ends what [`Nat::disturb`] did under this name, if it did anything.
    pub fn heal(&self, name: &str) -> Result<()> {
        let table = format!("table inet {name}-{}", self.host);
        self.ns.nft(&format!("{table} {{\n}}\ndelete {table}\n"))
    }

    /// How new mappings are made from now on.
    fn map(&self, how: &str) -> Result<()> {
        let chain = format!("nat-{} post", self.host);
        self.ns.nft(&format!(
            "flush chain ip {chain}\nadd rule ip {chain} ip saddr {} oifname wan {how}\n",
            self.host
        ))
    }

    fn mappings(&self) -> Result<String> {
        self.ns
            .run(&format!("conntrack -L -p udp -s {}", self.host))
    }

    /// The port outside that port 4500 of the branch has, if it has one.
    fn port(&self) -> Result<Option<u16>> {
        let mappings = self.mappings()?;
        let line = mappings.lines().find(|line| line.contains(" sport=4500 "));
        let port = line.and_then(|line| line.rsplit_once("dport=")?.1.split(' ').next());
        port.map(|port| port.parse().context("a mapping's port"))
            .transpose()
    }
}
