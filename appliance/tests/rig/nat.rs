//! A NAT gateway between a branch and the Internet, with the ways in which real ones misbehave.

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

    /// Drops `percent` of the packets in each direction.
    pub fn loss(&self, percent: u32) -> Result<()> {
        self.forward(&format!("numgen random mod 100 < {percent} drop"))
    }

    /// Ends the loss.
    pub fn heal(&self) -> Result<()> {
        self.forward("accept")
    }

    fn forward(&self, verdict: &str) -> Result<()> {
        self.ns.nft(&format!(
            "table inet fault {{}}
            delete table inet fault
            table inet fault {{
                chain through {{ type filter hook forward priority 0; {verdict}; }}
            }}\n"
        ))
    }
}
