//! The topology of every scenario: `hq -- inet -- nat K -- branch K`, IPv4 and IPv6, and the directory of its logs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::nat::Nat;
use crate::netns::{Namespace, veth};

/// The headquarters' outer addresses, as in `configs/hq.cfg`.
pub const HQ: &str = "192.0.2.1";
/// The headquarters' outer IPv6 address.
pub const HQ_V6: &str = "2001:db8::1";
/// The headquarters' host on its LAN.
pub const HQ_LAN: &str = "192.168.100.1";
/// The headquarters' host on its IPv6 LAN.
pub const HQ_LAN_V6: &str = "fd00:100::1";

/// One scenario's headquarters and Internet; branches are added with [`Rig::branch`].
#[derive(Debug)]
pub struct Rig {
    /// The headquarters.
    pub hq: Namespace,
    /// The router between everybody.
    pub inet: Arc<Namespace>,
    dir: tempfile::TempDir,
}

/// A branch and the NAT it stands behind.
#[derive(Debug)]
pub struct Branch {
    /// The branch itself.
    pub ns: Namespace,
    /// Its gateway.
    pub nat: Nat,
    /// Its number, from 1; part of its addresses.
    pub number: u8,
    /// Its outer IPv4 address as it sees it.
    pub outer: String,
    /// Its way out, over IPv4.
    gateway: String,
    /// Its host on its LAN.
    pub lan: String,
    /// Its host on its IPv6 LAN.
    pub lan_v6: String,
}

impl Rig {
    /// Builds the headquarters and the Internet.
    pub fn new() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("hawser-rig-")
            .tempdir()
            .context("a directory for the rig")?;
        let (hq, inet) = (Namespace::new("hq")?, Arc::new(Namespace::new("inet")?));
        veth(&hq, "wan", &inet, "hq")?;
        inet.address("hq", "192.0.2.254/24")?;
        inet.address("hq", "2001:db8::fe/64")?;
        hq.address("wan", &format!("{HQ}/24"))?;
        hq.address("wan", &format!("{HQ_V6}/64"))?;
        hq.address("lo", &format!("{HQ_LAN}/24"))?;
        hq.address("lo", &format!("{HQ_LAN_V6}/64"))?;
        hq.ip("route add default via 192.0.2.254")?;
        hq.ip("-6 route add default via 2001:db8::fe")?;
        Ok(Self { hq, inet, dir })
    }

    /// Adds branch `number` (1 to 60) behind a NAT, with the private outer address of the case.
    pub fn branch(&self, number: u8) -> Result<Branch> {
        let branch = self.attach(number, "192.168.1.100", "192.168.1.1")?;
        branch.nat.masquerade()?;
        Ok(branch)
    }

    /// Adds branch `number` behind the NAT of another one: outside both have its address.
    pub fn neighbour(&self, of: &Branch, number: u8) -> Result<Branch> {
        let ns = Namespace::new(&format!("branch{number}"))?;
        let lan = format!("lan{number}");
        veth(&of.nat.ns, &lan, &ns, "wan")?;
        let (outer, gateway) = (
            format!("192.168.{number}.100"),
            format!("192.168.{number}.1"),
        );
        of.nat.ns.address(&lan, &format!("{gateway}/24"))?;
        ns.address("wan", &format!("{outer}/24"))?;
        let nat = Nat {
            ns: Arc::clone(&of.nat.ns),
            number: of.nat.number,
            host: outer.clone(),
        };
        nat.masquerade()?;
        Branch::new(ns, nat, number, &outer, gateway)
    }

    /// Adds branch `number` with a public outer address and a plain router in place of the NAT.
    pub fn public_branch(&self, number: u8) -> Result<Branch> {
        let net = number * 4;
        let branch = self.attach(
            number,
            &format!("203.0.113.{}", net + 2),
            &format!("203.0.113.{}", net + 1),
        )?;
        self.inet.ip(&format!(
            "route add 203.0.113.{net}/30 via 198.51.100.{}",
            net + 2
        ))?;
        Ok(branch)
    }

    /// A second outer address of the NAT of `branch`, for [`Nat::move_to`].
    pub fn second_outer(&self, branch: &Branch) -> Result<String> {
        let address = branch.second_outer();
        branch.nat.ns.address("wan", &format!("{address}/32"))?;
        let via = branch.nat.first_outer();
        self.inet.ip(&format!("route add {address} via {via}"))?;
        Ok(address)
    }

    /// A directory of its own below the rig's; every `*.log` in it is printed when the scenario fails.
    pub fn dir(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(path)
    }

    /// The rig's directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Leaves the logs on disk and says where.
    pub fn keep(self) -> PathBuf {
        self.dir.keep()
    }

    fn attach(&self, number: u8, outer: &str, gateway: &str) -> Result<Branch> {
        let ns = Namespace::new(&format!("branch{number}"))?;
        let nat = Nat {
            ns: Arc::new(Namespace::new(&format!("nat{number}"))?),
            number,
            host: outer.to_owned(),
        };
        let port = format!("nat{number}");
        veth(&nat.ns, "wan", &self.inet, &port)?;
        veth(&nat.ns, "lan", &ns, "wan")?;
        let (up, down) = (number * 4 + 1, number * 4 + 2);
        self.inet.address(&port, &format!("198.51.100.{up}/30"))?;
        self.inet
            .address(&port, &format!("2001:db8:a:{number}::1/64"))?;
        nat.ns.address("wan", &format!("198.51.100.{down}/30"))?;
        nat.ns
            .address("wan", &format!("2001:db8:a:{number}::2/64"))?;
        nat.ns
            .address("lan", &format!("{gateway}/{}", prefix(outer)))?;
        nat.ns
            .address("lan", &format!("2001:db8:b:{number}::1/64"))?;
        ns.address("wan", &format!("{outer}/{}", prefix(outer)))?;
        ns.address("wan", &format!("2001:db8:b:{number}::2/64"))?;
        self.inet.ip(&format!(
            "-6 route add 2001:db8:b:{number}::/64 via 2001:db8:a:{number}::2"
        ))?;
        nat.ns
            .ip(&format!("route add default via 198.51.100.{up}"))?;
        nat.ns
            .ip(&format!("-6 route add default via 2001:db8:a:{number}::1"))?;
        ns.ip(&format!("-6 route add default via 2001:db8:b:{number}::1"))?;
        Branch::new(ns, nat, number, outer, gateway.to_owned())
    }
}

impl Branch {
    /// A branch at `ns`, whose address outside of its tunnel is `outer`.
    fn new(ns: Namespace, nat: Nat, number: u8, outer: &str, gateway: String) -> Result<Self> {
        let (lan, lan_v6) = (format!("172.16.{number}.1"), format!("fd00:{number}::1"));
        ns.address("lo", &format!("{lan}/24"))?;
        ns.address("lo", &format!("{lan_v6}/64"))?;
        let branch = Self {
            ns,
            nat,
            number,
            outer: outer.to_owned(),
            gateway,
            lan,
            lan_v6,
        };
        branch.route_out()?;
        Ok(branch)
    }

    /// What [`Rig::second_outer`] gives it.
    pub fn second_outer(&self) -> String {
        format!("203.0.113.{}", self.number)
    }

    /// Its line is unplugged, or plugged in again.
    pub fn plug(&self, plugged: bool) -> Result<()> {
        if plugged {
            self.ns.ip("link set wan up")?;
            return self.route_out();
        }
        self.ns.ip("link set wan down").map(drop)
    }

    fn route_out(&self) -> Result<()> {
        let route = format!("route replace default via {}", self.gateway);
        self.ns.ip(&route).map(drop)
    }

    /// The subnet behind the branch.
    pub fn subnet(&self) -> String {
        format!("172.16.{}.0/24", self.number)
    }

    /// The IPv6 subnet behind the branch.
    pub fn subnet_v6(&self) -> String {
        format!("fd00:{}::/64", self.number)
    }
}

fn prefix(outer: &str) -> u8 {
    if outer.starts_with("203.") { 30 } else { 24 }
}
