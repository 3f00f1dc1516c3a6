//! `hawser swarm`.

use super::Health;
use crate::swarm::{self, Options};
use clap::Args;
use hawser_policy::Identity;
use ipnet::IpNet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Load for an IKEv2 gateway: thousands of branches, each behind a NAT port of its own.
#[derive(Debug, Args)]
pub(super) struct Swarm {
    /// The gateway's NAT traversal port.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4500")]
    gateway: SocketAddr,
    /// The identity that the gateway must prove; its address by default.
    #[arg(long, value_name = "IDENTITY", value_parser = identity)]
    gateway_identity: Option<Identity>,
    /// Number of the first branch: with different ones several swarms together make a larger one.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    first: u32,
    /// How many branches, 1 to 60000.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    branches: u32,
    /// Branches that begin in a second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Addresses of this machine that the branches send from, in turn; the system's choice by default.
    #[arg(long, value_name = "NETWORK")]
    sources: Option<IpNet>,
    /// What the branches call themselves; {} is the branch's number.
    #[arg(long, default_value = "branch{}.example")]
    identity: String,
    /// The pre-shared key.
    #[arg(long, default_value = "test")]
    secret: String,
    /// IKE proposal, as strongSwan writes it.
    #[arg(long, default_value = "aes128-sha1-modp1024")]
    ike: String,
    /// ESP proposal.
    #[arg(long, default_value = "aes128-sha1")]
    esp: String,
    /// The network behind the gateway; behind the branches are networks of 10.0.0.0/8.
    #[arg(long, default_value = "192.168.100.0/24")]
    network: IpNet,
    /// Seconds for which the tunnels are kept once all are up.
    #[arg(long, default_value_t = 10)]
    hold: u64,
    /// Each branch pings this host through its tunnel, with packets of 64 to 1,400 octets.
    #[arg(long, value_name = "HOST")]
    ping: Option<Ipv4Addr>,
    /// Milliseconds between two pings of a branch.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    ping_every: u64,
    /// Seconds that an SA lives; the branches rekey it at half of that. Without: for ever.
    #[arg(long)]
    lifetime: Option<u64>,
    /// So many seconds into the hold all branches rekey at once.
    #[arg(long, value_name = "SECONDS")]
    rekey_storm: Option<u64>,
    /// So many seconds into the hold all NATs rebind at once.
    #[arg(long, value_name = "SECONDS")]
    rebind_storm: Option<u64>,
    /// The gateway's process, to measure its CPU time and memory.
    #[arg(long)]
    pid: Option<u32>,
    /// Print JSON ("version": 1) in place of text.
    #[arg(long)]
    json: bool,
}

fn identity(text: &str) -> Result<Identity, String> {
    let kinds = "an address, a name, user@domain or @#hexadecimal";
    Identity::parse(text).ok_or_else(|| format!("not an identity: {kinds}"))
}

impl Swarm {
    pub(super) fn perform(self) -> anyhow::Result<Health> {
        let seconds = |number: Option<u64>| number.map(Duration::from_secs);
        let address = self.gateway.ip();
        swarm::run(&Options {
            gateway: self.gateway,
            gateway_identity: self
                .gateway_identity
                .unwrap_or_else(|| Identity::from_ip(address)),
            first: self.first,
            branches: self.branches,
            rate: f64::from(self.rate),
            sources: self.sources,
            identity: self.identity,
            secret: self.secret,
            ike: self.ike,
            esp: self.esp,
            network: self.network,
            hold: Duration::from_secs(self.hold),
            ping: self
                .ping
                .map(|host| (host, Duration::from_millis(self.ping_every))),
            lifetime: seconds(self.lifetime),
            rekey_storm: seconds(self.rekey_storm),
            rebind_storm: seconds(self.rebind_storm),
            pid: self.pid,
            json: self.json,
        })
    }
}
