//! `GET /v1/status`, and the list of peers that every other handler resolves names in.

use super::Admin;
use super::api::{Counts, Offloads, PeerRow, StatusReport, VERSION};
use axum::Json;
use axum::extract::{Query, State};
use hawser_engine::EngineHandle;
use hawser_policy::{Identity, IdentityPattern, Policy, TemplateId};
use hawser_shard::io::{Command, PeerFilter, Reply};
use hawser_shard::view::{PeerLine, PeerStatus, StatusView};
use serde::Deserialize;

/// What `status` may be narrowed by.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    tenant: Option<String>,
    #[serde(default)]
    down: bool,
}

/// `GET /v1/status`.
pub(super) async fn status(
    State(admin): State<Admin>,
    Query(filter): Query<Filter>,
) -> Json<StatusReport> {
    let policy = admin.engine.policy();
    let view = view(&admin.engine).await;
    let (ike_sas, child_sas, half_open) = (view.ike_sas, view.child_sas, view.half_open);
    let mut peers = rows(view, &policy);
    if let Some(tenant) = &filter.tenant {
        peers.retain(|p| p.tenant == *tenant);
    }
    let counts = count(&peers);
    if filter.down {
        peers.retain(|p| p.status != "up");
    }
    Json(StatusReport {
        version: VERSION,
        healthy: counts.degraded + counts.connecting + counts.down == 0,
        revision: policy.revision,
        ike_sas,
        child_sas,
        half_open,
        counts,
        peers,
    })
}

/// `GET /v1/offloads`.
pub(super) async fn offloads(State(admin): State<Admin>) -> Json<Offloads> {
    let mut all = Offloads {
        version: VERSION,
        notes: admin.engine.notes().to_vec(),
        ..Offloads::default()
    };
    for snapshot in admin.engine.snapshots().await {
        let engine = snapshot.engine;
        all.trains += engine.trains;
        all.trains_refused += engine.trains_refused;
        all.inner_gone += engine.inner_gone;
        for (sum, count) in all.inner.iter_mut().zip(engine.inner) {
            *sum += count;
        }
    }
    Json(all)
}

/// Every peer: those that the shards know, and the configured ones that were never seen.
pub(super) async fn peers(admin: &Admin) -> Vec<PeerRow> {
    rows(view(&admin.engine).await, &admin.engine.policy())
}

/// The peers that a name may mean, of those that the shards know.
pub(super) async fn named(admin: &Admin, name: &str) -> Vec<PeerRow> {
    let filter = PeerFilter::Name(name.trim().to_owned());
    let view = view_of(&admin.engine, filter).await;
    view.peers.into_iter().map(PeerRow::from).collect()
}

async fn view(engine: &EngineHandle) -> StatusView {
    view_of(engine, PeerFilter::All).await
}

async fn view_of(engine: &EngineHandle, filter: PeerFilter) -> StatusView {
    let mut all = StatusView::default();
    for (_, reply) in engine.command(Command::Status(filter)).await {
        if let Reply::Status(view) = reply {
            all.peers.extend(view.peers);
            all.ike_sas += view.ike_sas;
            all.child_sas += view.child_sas;
            all.half_open += view.half_open;
        }
    }
    all
}

fn rows(view: StatusView, policy: &Policy) -> Vec<PeerRow> {
    let mut rows: Vec<PeerRow> = view.peers.into_iter().map(PeerRow::from).collect();
    let never_seen: Vec<PeerRow> = configured(policy)
        .filter(|row| !rows.iter().any(|r| is_same(r, row)))
        .collect();
    rows.extend(never_seen);
    let key = |r: &PeerRow| {
        (
            r.tenant.clone(),
            r.identity.clone(),
            r.networks.clone(),
            r.device,
        )
    };
    rows.sort_by_cached_key(key);
    rows.dedup_by(|a, b| a.device.is_none() && b.device.is_none() && is_same(a, b));
    rows
}

fn is_same(a: &PeerRow, b: &PeerRow) -> bool {
    a.tenant == b.tenant && a.identity.eq_ignore_ascii_case(&b.identity)
}

/// The peers that the configuration names one by one.
fn configured(policy: &Policy) -> impl Iterator<Item = PeerRow> {
    let row = |template: TemplateId, identity: &Identity| {
        let template = policy.template(template);
        PeerRow {
            tenant: policy.tenant(template.tenant).name.to_string(),
            template: template.name.to_string(),
            identity: identity.to_string(),
            status: word(PeerStatus::Down).to_owned(),
            ..PeerRow::default()
        }
    };
    let accepted = policy
        .pad
        .entries()
        .iter()
        .filter_map(move |entry| match &entry.remote {
            IdentityPattern::Exact(identity) => Some(row(entry.template, identity)),
            _ => None,
        });
    let called = policy.templates.iter().filter_map(move |template| {
        template
            .initiate
            .as_ref()
            .map(|i| row(template.id, &i.remote_identity))
    });
    accepted.chain(called)
}

fn count(peers: &[PeerRow]) -> Counts {
    let of = |status| peers.iter().filter(|p| p.status == word(status)).count();
    Counts {
        up: of(PeerStatus::Up),
        degraded: of(PeerStatus::Degraded),
        connecting: of(PeerStatus::Connecting),
        down: of(PeerStatus::Down),
    }
}

/// A status as JSON has it.
fn word(status: PeerStatus) -> &'static str {
    match status {
        PeerStatus::Up => "up",
        PeerStatus::Degraded => "degraded",
        PeerStatus::Connecting => "connecting",
        PeerStatus::Down => "down",
    }
}

impl From<PeerLine> for PeerRow {
    fn from(line: PeerLine) -> Self {
        Self {
            device: Some(line.device.0),
            shard: Some(line.shard.0),
            tenant: line.tenant.to_string(),
            template: line.template.to_string(),
            identity: line.identity.to_string(),
            endpoint: line.endpoint,
            status: word(line.status).to_owned(),
            since_s: Some(line.since_s),
            networks: line.networks,
            bytes_in: line.bytes_in,
            bytes_out: line.bytes_out,
            down_cause: line.down_cause.map(|c| c.label().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_configured_peer_that_never_came_is_listed_once_and_down() {
        let policy = crate::demo::policy::gateway();
        let listed = rows(StatusView::default(), &policy);
        let test: Vec<_> = listed.iter().filter(|r| r.identity == "test").collect();
        assert_eq!(test.len(), 1);
        assert_eq!((test[0].status.as_str(), test[0].device), ("down", None));
    }
}
