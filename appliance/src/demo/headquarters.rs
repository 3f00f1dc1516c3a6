//! The gateway of the demo and the host behind it that answers pings.

use super::policy;
use hawser_engine::{Engine, EngineHandle, EngineOptions, Inner, InnerFd};
use hawser_policy::{Policy, TenantId};
use hawser_shard::counters::Counters;
use hawser_shard::io::ShardId;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

/// The gateway that runs.
pub(super) struct Headquarters {
    pub(super) engine: Arc<EngineHandle>,
    pub(super) policy: Arc<Policy>,
    /// Where IKE begins.
    pub(super) ike: SocketAddr,
    /// Where it goes on behind a NAT.
    pub(super) nat: SocketAddr,
}

impl Headquarters {
    pub(super) fn start(metrics: Option<SocketAddr>) -> anyhow::Result<Self> {
        let mut policy = policy::gateway();
        policy.observability.metrics = metrics;
        let policy = Arc::new(policy);
        let mut fds = Vec::new();
        for shard in 0..policy.shards.unwrap_or(1) {
            let (device, lan) = UnixDatagram::pair()?;
            device.set_nonblocking(true)?;
            lan.set_nonblocking(true)?;
            tokio::spawn(answer_pings(tokio::net::UnixDatagram::from_std(lan)?));
            fds.push(InnerFd { tenant: TenantId(0), shard: ShardId(shard), fd: device.into() });
        }
        let options = EngineOptions { inner: Inner::Fds(fds) };
        let engine = Engine::start(Arc::clone(&policy), options)?;
        let bound = engine.bound();
        Ok(Self { engine: Arc::new(engine), policy, ike: bound[0], nat: bound[1] })
    }

    /// What the gateway counted, all shards together.
    pub(super) fn counters(&self) -> Vec<Counters> {
        self.engine.counters()
    }

    /// Ends it: every branch gets a DELETE.
    pub(super) async fn stop(self) {
        self.engine.shutdown().await;
    }
}

/// The host on the LAN.
async fn answer_pings(lan: tokio::net::UnixDatagram) {
    let mut packet = [0; 2048];
    while let Ok(length) = lan.recv(&mut packet).await {
        if hawser_esp::echo::reply(&mut packet[..length]) {
            // A full queue is a lost ping, as on any LAN.
            let _ = lan.send(&packet[..length]).await;
        }
    }
}
