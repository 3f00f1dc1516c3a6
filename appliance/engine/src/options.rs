//! What the engine is told beside the policy.

use hawser_plugin::Plugins;
use hawser_policy::TenantId;
use hawser_shard::io::ShardId;
use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// How the engine is run; [`Default`] is a gateway with TUN interfaces.
#[derive(Debug, Default)]
pub struct EngineOptions {
    /// Where inner packets come from and go to.
    pub inner: InnerDevices,
    /// Key-exchange workers; `None`: one a core.
    pub workers: Option<usize>,
    /// Plugins may be loaded, under these limits; `None`: the built-in rules decide. Its sink is
    /// replaced: what happens to plugins comes out as events.
    pub plugins: Option<hawser_plugin::Options>,
    /// What is done with the plugins before the first shard runs.
    pub prepare: Option<Prepare>,
    /// The file that keeps drops; `None`: nothing is kept beyond the devices' recorders.
    pub incidents: Option<std::path::PathBuf>,
    /// The file that says which devices are up, so that the next run can call them back; `None`: it cannot.
    pub devices: Option<std::path::PathBuf>,
    /// Write the log that the policy asks for; without it events go to subscribers alone.
    pub log: bool,
    /// Do not pin the shards' threads to cores (several engines on one machine, tests).
    pub unpinned: bool,
    /// One packet at a time: no super-packets from and to the TUNs, no GSO trains. For drivers that get them wrong, and to measure without.
    pub no_offload: bool,
}

/// Loads plugins that must decide from the first packet on.
pub struct Prepare(pub(crate) Box<PrepareFn>);

type PrepareFn = dyn FnOnce(&Arc<Plugins>) -> Result<(), String> + Send;

impl Prepare {
    /// Where `prepare` fails, the engine does not start, and says what it says.
    pub fn new(prepare: impl FnOnce(&Arc<Plugins>) -> Result<(), String> + Send + 'static) -> Self {
        Self(Box::new(prepare))
    }
}

impl fmt::Debug for Prepare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepare")
    }
}

/// Where inner packets come from and go to.
#[derive(Debug)]
pub enum InnerDevices {
    /// A multi-queue TUN interface for each tenant, with routes. Takes CAP_NET_ADMIN.
    Tun(Routing),
    /// Datagram descriptors of the caller, each of which behaves as a TUN: one read or write is
    /// one IP packet. One for each tenant and shard ([`hawser_policy::Policy::shards`] says how
    /// many there are); a tenant without one delivers nothing. Takes no rights: no interface is
    /// made, no route installed, no socket marked.
    Fds(HashMap<(TenantId, ShardId), OwnedFd>),
}

impl Default for InnerDevices {
    fn default() -> Self {
        Self::Tun(Routing::default())
    }
}

/// How routes to the branches' networks are installed: in a table of their own, which a rule
/// consults for everything but what carries the mark of the outer sockets. So a tunnel can never
/// swallow the packets that carry it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Routing {
    /// Number of the routing table.
    pub table: u32,
    /// Priority of the rule.
    pub priority: u32,
    /// Mark of the outer sockets.
    pub mark: u32,
}

impl Default for Routing {
    /// Table 220, priority 220, mark 0x4857 (`HW`).
    fn default() -> Self {
        Self {
            table: 220,
            priority: 220,
            mark: 0x4857,
        }
    }
}
