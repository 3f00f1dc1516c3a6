//! Counters as Prometheus sees them.
//!
//! Nothing on the packet path looks a label up: the shards count in plain fields, and a snapshot of
//! those is published here every second and when asked. The number of series is set by the policy
//! (tenants, templates) and by the enums of reasons, never by the number of peers.

mod describe;

use crate::counters::ShardSnapshot;
use crate::error::StartError;
use crate::incidents::Incidents;
use crate::log::{self, Log};
use crate::plugins;
use crate::routes::RouteStatus;
use hawser_flight::{CloseCause, DropReason, HandshakeFailure, MessageError};
use hawser_plugin::Plugins;
use hawser_policy::Policy;
use hawser_shard::counters::Counters;
use hawser_shard::view::PeerStatus;
use metrics::{Label, counter, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

const STATUSES: [(PeerStatus, &str); 4] = [
    (PeerStatus::Up, "up"),
    (PeerStatus::Degraded, "degraded"),
    (PeerStatus::Connecting, "connecting"),
    (PeerStatus::Down, "down"),
];

/// The engine's own recorder: several engines may run in a process.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Metrics {
    /// With a listener, where the policy wants one; must be called in a tokio runtime.
    pub(crate) fn start(listen: Option<SocketAddr>) -> Result<Self, StartError> {
        let builder = PrometheusBuilder::new();
        let recorder = match listen {
            None => builder.build_recorder(),
            Some(address) => {
                let failed = |e: &dyn std::fmt::Display| StartError::Metrics {
                    address,
                    reason: e.to_string(),
                };
                // The exporter would listen on an address that is taken only in part (a wildcard).
                std::net::TcpListener::bind(address).map_err(|e| failed(&e))?;
                let (recorder, exporter) = builder
                    .with_http_listener(address)
                    .build()
                    .map_err(|e| failed(&e))?;
                tokio::spawn(async move {
                    if exporter.await.is_err() {
                        tracing::error!(%address, "metrics listener ended");
                    }
                });
                recorder
            }
        };
        let handle = recorder.handle();
        with_local_recorder(&recorder, || {
            describe::all();
            plugins::describe();
            log::describe();
        });
        Ok(Self { recorder, handle })
    }

    pub(crate) fn render(&self) -> String {
        self.handle.render()
    }

    pub(crate) fn publish(
        &self,
        snapshots: &[ShardSnapshot],
        policy: &Policy,
        routes: &RouteStatus,
        incidents: &Incidents,
        plugins: Option<&Plugins>,
        log: Option<&Log>,
    ) {
        with_local_recorder(&self.recorder, || {
            gauge!("hawser_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            gauge!("hawser_config_revision").set(policy.revision as f64);
            gauge!("hawser_routes").set(routes.installed.load(Ordering::Relaxed) as f64);
            counter!("hawser_route_failures_total")
                .absolute(routes.failures.load(Ordering::Relaxed));
            peers(snapshots, policy);
            totals(snapshots);
            by_reason(snapshots);
            by_shard(snapshots);
            for (verdict, count) in incidents.verdicts() {
                counter!("hawser_drops_total", "verdict" => verdict.label()).absolute(count);
            }
            counter!("hawser_incidents_lost_total").absolute(incidents.lost());
            plugins.into_iter().for_each(plugins::publish);
            log.into_iter().for_each(Log::publish);
        });
    }
}

/// Every template with every status, so that a status that nobody has any more is 0.
fn peers(snapshots: &[ShardSnapshot], policy: &Policy) {
    let mut counts: BTreeMap<(&str, &str, usize), u64> = BTreeMap::new();
    for template in &policy.templates {
        let Some(tenant) = policy.tenants.get(usize::from(template.tenant.0)) else {
            continue;
        };
        for status in 0..STATUSES.len() {
            counts.insert((&tenant.name, &template.name, status), 0);
        }
    }
    for count in snapshots.iter().flat_map(|s| &s.counters.peers) {
        let status = STATUSES
            .iter()
            .position(|(s, _)| *s == count.status)
            .unwrap_or(0);
        *counts
            .entry((&count.tenant, &count.template, status))
            .or_default() += count.count;
    }
    for ((tenant, template, status), count) in counts {
        let labels = vec![
            Label::new("tenant", tenant.to_owned()),
            Label::new("template", template.to_owned()),
            Label::new("status", STATUSES[status].1),
        ];
        gauge!("hawser_peers", labels).set(count as f64);
    }
}

/// Sums over the shards.
fn totals(snapshots: &[ShardSnapshot]) {
    let sum = |of: fn(&Counters) -> u64| snapshots.iter().map(|s| of(&s.counters)).sum::<u64>();
    let gauge = |name: &'static str, of: fn(&Counters) -> u64| gauge!(name).set(sum(of) as f64);
    gauge("hawser_half_open_sas", |c| c.half_open);
    gauge("hawser_ike_sas", |c| c.ike_sas);
    gauge("hawser_child_sas", |c| c.child_sas);

    let total = |name: &'static str, of: fn(&Counters) -> u64| counter!(name).absolute(sum(of));
    total("hawser_handshakes_total", |c| c.handshakes);
    total("hawser_ike_retransmits_total", |c| c.retransmits);
    total("hawser_cookies_total", |c| c.cookies);
    total("hawser_dpd_probes_sent_total", |c| c.probes_sent);
    total("hawser_dpd_probes_answered_total", |c| c.probes_answered);
    total("hawser_dpd_probes_failed_total", |c| c.probes_failed);
    total("hawser_endpoint_changes_total", |c| c.endpoint_moves);
    total("hawser_plugin_undecided_total", |c| c.hooks_undecided);
    total("hawser_plugin_overtaken_total", |c| c.hooks_overtaken);
    total("hawser_weak_suites_total", |c| c.weak_suites);

    let labelled = |name: &'static str, label: (&'static str, &'static str), of| {
        counter!(name, label.0 => label.1).absolute(sum(of));
    };
    labelled("hawser_rekeys_total", ("kind", "ike"), |c| c.ike_rekeys);
    labelled("hawser_rekeys_total", ("kind", "child"), |c| c.child_rekeys);
    labelled("hawser_ike_messages_total", ("direction", "in"), |c| {
        c.ike_received
    });
    labelled("hawser_ike_messages_total", ("direction", "out"), |c| {
        c.ike_sent
    });
    labelled("hawser_esp_packets_total", ("direction", "in"), |c| {
        c.esp_packets_in
    });
    labelled("hawser_esp_packets_total", ("direction", "out"), |c| {
        c.esp_packets_out
    });
    labelled("hawser_esp_bytes_total", ("direction", "in"), |c| {
        c.esp_bytes_in
    });
    labelled("hawser_esp_bytes_total", ("direction", "out"), |c| {
        c.esp_bytes_out
    });
}

/// Sums over the shards for every reason there is, also those that never came up.
fn by_reason(snapshots: &[ShardSnapshot]) {
    let publish = |name: &'static str, reason: &'static str, count: u64| {
        counter!(name, "reason" => reason).absolute(count);
    };
    for (i, reason) in CloseCause::ALL.iter().enumerate() {
        let count = |s: &ShardSnapshot| s.counters.tunnels_down.iter().nth(i).map_or(0, |r| r.1);
        publish(
            "hawser_tunnel_down_total",
            reason.label(),
            snapshots.iter().map(count).sum(),
        );
    }
    for (i, reason) in HandshakeFailure::ALL.iter().enumerate() {
        let count = |s: &ShardSnapshot| s.counters.failures.iter().nth(i).map_or(0, |r| r.1);
        publish(
            "hawser_handshake_failures_total",
            reason.label(),
            snapshots.iter().map(count).sum(),
        );
    }
    for (i, reason) in MessageError::ALL.iter().enumerate() {
        let count = |s: &ShardSnapshot| s.counters.message_errors.iter().nth(i).map_or(0, |r| r.1);
        publish(
            "hawser_ike_message_errors_total",
            reason.label(),
            snapshots.iter().map(count).sum(),
        );
    }
    for (i, reason) in DropReason::ALL.iter().enumerate() {
        let count = |s: &ShardSnapshot| s.drops().nth(i).map_or(0, |r| r.1);
        publish(
            "hawser_esp_drops_total",
            reason.label(),
            snapshots.iter().map(count).sum(),
        );
    }
}

/// What says how a shard is doing.
fn by_shard(snapshots: &[ShardSnapshot]) {
    for snapshot in snapshots {
        let shard = snapshot.shard.0.to_string();
        let (counters, engine) = (&snapshot.counters, &snapshot.engine);
        let total =
            |name: &'static str, count| counter!(name, "shard" => shard.clone()).absolute(count);
        total("hawser_shard_loop_rounds_total", engine.rounds);
        total("hawser_shard_handed_off_packets_total", counters.handed_off);
        total("hawser_shard_send_errors_total", engine.send_errors);
        total(
            "hawser_shard_unanswerable_datagrams_total",
            engine.unanswerable,
        );
        total(
            "hawser_shard_key_exchanges_refused_total",
            engine.key_exchange_refused,
        );
        let gauge = |name: &'static str, value| gauge!(name, "shard" => shard.clone()).set(value);
        gauge(
            "hawser_shard_loop_lag_seconds",
            engine.loop_lag.as_secs_f64(),
        );
        gauge(
            "hawser_shard_key_exchange_backlog",
            engine.key_exchange_backlog as f64,
        );
    }
}

#[cfg(test)]
mod tests;
