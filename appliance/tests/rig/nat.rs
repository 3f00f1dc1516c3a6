//! A NAT gateway between a branch and the Internet, with the ways in which real ones misbehave.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::netns::Namespace;

/// The gateway's own namespace: `lan` towards the branch, `wan` towards the Internet.
#[derive(Debug)]
pub struct Nat {
    /// Where it lives; for routes and captures.
    pub ns: Namespace,
}

impl Nat {
    /// Masquerades IPv4 behind a random port, and like a real NAT says nothing to what no mapping knows.
    pub fn masquerade(&self) -> Result<()> {
        self.ns.nft(
            "table ip nat {
                chain post { type nat hook postrouting priority 100; oifname wan masquerade fully-random; }
                chain unknown { type filter hook input priority 0; iifname wan meta l4proto udp drop; }
            }\n",
        )
    }

    /// Forgets every mapping: what the branch sends next leaves from another port.
    pub fn rebind(&self) -> Result<()> {
        self.ns.run("conntrack -F").map(drop)
    }

    /// From now on the branch is seen from `outer`, one of the gateway's addresses. Needs [`Nat::masquerade`] before.
    pub fn move_to(&self, outer: &str) -> Result<()> {
        self.ns.nft(&format!(
            "flush chain ip nat post\nadd rule ip nat post oifname wan snat to {outer} fully-random\n"
        ))?;
        self.rebind()
    }

    /// Nothing passes for `length`, and in that time the mappings expire: what arrives does not renew them.
    pub fn outlive_mappings(&self, length: Duration) -> Result<()> {
        self.ns.nft(
            "table inet silence {
                chain early { type filter hook prerouting priority raw; drop; }
            }\n",
        )?;
        thread::sleep(length);
        self.rebind()?;
        self.ns.nft("delete table inet silence\n")
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
        Ok(!self.ns.run("conntrack -L -p udp")?.trim().is_empty())
    }

    /// Drops `percent` of the packets in each direction.
    pub fn loss(&self, percent: u32) -> Result<()> {
        self.disturb(&format!("numgen random mod 100 < {percent} drop"))
    }

    /// Ends what [`Nat::loss`] and [`Nat::disturb`] did.
    pub fn heal(&self) -> Result<()> {
        self.disturb("accept")
    }

    /// Does `rules`, nftables rules separated by `;`, to what passes, in place of those before.
    pub fn disturb(&self, rules: &str) -> Result<()> {
        self.ns.nft(&format!(
            "table inet fault {{}}
            delete table inet fault
            table inet fault {{
                chain through {{ type filter hook forward priority 0; {rules}; }}
            }}\n"
        ))
    }
}
