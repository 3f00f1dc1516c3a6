//! The gateway of the demo and the host behind it that answers pings.

use super::policy;
use anyhow::Context as _;
use hawser_engine::ShardSnapshot;
use hawser_engine::{Engine, EngineHandle, EngineOptions, InnerDevices};
use hawser_flight::DropReason;
use hawser_policy::TenantId;
use hawser_shard::io::ShardId;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

/// The gateway that runs.
pub(super) struct Headquarters {
    pub(super) engine: EngineHandle,
    /// Its NAT traversal port.
    pub(super) address: SocketAddr,
}

impl Headquarters {
    pub(super) fn start(metrics: Option<SocketAddr>) -> anyhow::Result<Self> {
        let mut policy = policy::gateway();
        policy.observability.metrics = metrics;
        let mut fds = HashMap::new();
        for shard in 0..policy.shards.unwrap_or(1) {
            let (device, lan) = UnixDatagram::pair()?;
            device.set_nonblocking(true)?;
            lan.set_nonblocking(true)?;
            tokio::spawn(answer_pings(tokio::net::UnixDatagram::from_std(lan)?));
            fds.insert((TenantId(0), ShardId(shard)), device.into());
        }
        let inner = InnerDevices::Fds(fds);
        let options = EngineOptions {
            inner,
            unpinned: true,
            ..EngineOptions::default()
        };
        let engine = Engine::start(Arc::new(policy), options)?;
        let nat = engine.bound().iter().find(|b| b.nat);
        let address = nat
            .context("the gateway has no NAT traversal port")?
            .address;
        Ok(Self { engine, address })
    }

    /// What the gateway counted.
    pub(super) async fn totals(&self) -> Totals {
        Totals::of(&self.engine.snapshots().await)
    }

    /// Ends it: every branch gets a DELETE.
    pub(super) async fn stop(&self) {
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

/// What all shards of the gateway counted, by name where there are reasons; zeros are left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) handshakes: u64,
    pub(super) moves: u64,
    pub(super) ike_rekeys: u64,
    pub(super) child_rekeys: u64,
    pub(super) esp_in: u64,
    pub(super) esp_out: u64,
    pub(super) failures: BTreeMap<&'static str, u64>,
    pub(super) downs: BTreeMap<&'static str, u64>,
    pub(super) drops: BTreeMap<&'static str, u64>,
    /// Keepalives of the branches' NATs, which are counted with the drops and are none.
    pub(super) keepalives: u64,
}

impl Totals {
    fn of(snapshots: &[ShardSnapshot]) -> Self {
        let mut totals = Self::default();
        for snapshot in snapshots {
            let counters = &snapshot.counters;
            totals.handshakes += counters.handshakes;
            totals.moves += counters.endpoint_moves;
            totals.ike_rekeys += counters.ike_rekeys;
            totals.child_rekeys += counters.child_rekeys;
            totals.esp_in += counters.esp_packets_in;
            totals.esp_out += counters.esp_packets_out;
            add(
                &mut totals.failures,
                counters.failures.iter().map(|(r, n)| (r.label(), n)),
            );
            add(
                &mut totals.downs,
                counters.tunnels_down.iter().map(|(r, n)| (r.label(), n)),
            );
            add(
                &mut totals.drops,
                snapshot.drops().map(|(r, n)| (r.label(), n)),
            );
        }
        totals.keepalives = totals
            .drops
            .remove(DropReason::NatKeepalive.label())
            .unwrap_or(0);
        totals
    }
}

fn add(sums: &mut BTreeMap<&'static str, u64>, more: impl Iterator<Item = (&'static str, u64)>) {
    for (name, count) in more.filter(|(_, n)| *n > 0) {
        *sums.entry(name).or_default() += count;
    }
}
