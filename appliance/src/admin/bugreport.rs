//! `GET /v1/peer/bugreport`: everything that is known of one peer, in an archive.

use super::answer::Refusal;
use super::api::PeerRow;
use super::explain::{Evidence, evidence, unix_ms};
use super::{Admin, peers};
use crate::report::{self, Redactor, Report};
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hawser_flight::{Entry, Event};
use hawser_policy::{ChildTemplate, IdentityPattern, PeerTemplate, Policy};
use hawser_shard::view::PeerView;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::Arc;

/// Who, and whether names and addresses are replaced.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    peer: String,
    redact: bool,
}

/// What goes into the archive.
struct Material {
    evidence: Evidence,
    detail: Option<PeerView>,
    template: Option<Arc<PeerTemplate>>,
    outline: BTreeMap<String, String>,
    health: hawser_flight::verdict::NodeHealth,
    metrics: String,
    revision: u64,
    now_ms: u64,
}

/// `GET /v1/peer/bugreport`.
pub(super) async fn bugreport(
    State(admin): State<Admin>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Refusal> {
    let evidence = evidence(&admin, &wanted.peer, u64::MAX).await?;
    let policy = admin.engine.policy();
    let redactor = wanted.redact.then(|| redactor(&policy, &evidence));
    let material = Material {
        detail: peers::detail(&admin, &evidence.row).await,
        template: template(&policy, &evidence.row),
        evidence,
        outline: admin.reloader.outline().await,
        health: admin.engine.incidents().health(),
        metrics: admin.engine.render_metrics().await,
        revision: policy.revision,
        now_ms: unix_ms(),
    };
    let packed = tokio::task::spawn_blocking(move || material.pack(redactor)).await;
    let archive = packed
        .map_err(io::Error::other)
        .flatten()
        .map_err(|error| Refusal::impossible(format!("the report cannot be made: {error}")))?;
    Ok(([(CONTENT_TYPE, "application/gzip")], archive).into_response())
}

impl Material {
    fn pack(&self, redactor: Option<Redactor>) -> io::Result<Vec<u8>> {
        let redacted = redactor.is_some();
        let mut report = Report::new(self.now_ms / 1000, redactor);
        let (row, evidence) = (&self.evidence.row, &self.evidence);
        let entries = &evidence.recording.entries;
        let dpd = self.template.as_ref().and_then(|t| t.dpd);
        let device = row.device.unwrap_or(0);
        report.json("report.json", &self.head(redacted))?;
        report.json(
            "peer.json",
            &self.detail.as_ref().map_or(json!(row), |p| json!(p)),
        )?;
        report.json("recording.json", &evidence.recording)?;
        report.json("finding.json", &evidence.finding)?;
        report.json("incidents.json", &evidence.history)?;
        report.json("template.json", &self.template.as_deref().map(settings))?;
        report.json("configuration.json", &self.outline_list())?;
        report.text("metrics.prom", &self.metrics)?;
        let pieces = report::pieces(device, &row.identity, dpd, entries);
        report.lines(report::DPD, &pieces)?;
        report.lines(report::EVENTS, &report::told(row, entries))?;
        report.finish()
    }

    fn head(&self, redacted: bool) -> Value {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        json!({
            "version": report::VERSION,
            "hawser": env!("CARGO_PKG_VERSION"),
            "made_ms": self.now_ms,
            "redacted": redacted,
            "revision": self.revision,
            "kernel": kernel.trim(),
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "health": self.health,
        })
    }

    /// Keys hold names too: as values they are redacted like the rest.
    fn outline_list(&self) -> Vec<String> {
        let lines = self.outline.iter();
        lines
            .map(|(key, value)| format!("{key} = {value}"))
            .collect()
    }
}

fn template(policy: &Policy, row: &PeerRow) -> Option<Arc<PeerTemplate>> {
    let meant = |t: &&Arc<PeerTemplate>| {
        *t.name == *row.template && *policy.tenant(t.tenant).name == *row.tenant
    };
    policy.templates.iter().find(meant).map(Arc::clone)
}

/// A template as it is in force, defaults included. A secret is not among this.
fn settings(template: &PeerTemplate) -> Value {
    let strings = |list: Vec<String>| json!(list);
    let texts =
        |list: &[hawser_policy::TrafficSelector]| list.iter().map(ToString::to_string).collect();
    let child = |child: &ChildTemplate| {
        json!({
            "child": child.name,
            "proposals": strings(child.proposals.iter().map(ToString::to_string).collect()),
            "local": strings(texts(&child.local)),
            "remote": strings(texts(&child.remote)),
            "lifetimes": child.lifetimes,
            "replay_window": child.replay_window,
        })
    };
    json!({
        "template": template.name,
        "local_identity": template.local_identity.as_ref().map(ToString::to_string),
        "ike_proposals": strings(template.ike_proposals.iter().map(ToString::to_string).collect()),
        "ike_lifetimes": template.ike_lifetimes,
        "children": template.children.iter().map(child).collect::<Vec<_>>(),
        "dpd": template.dpd,
        "nat_keepalive": template.nat_keepalive,
        "retransmission": format!("{:?}", template.retransmission),
        "upkeep": format!("{:?}", template.upkeep),
        "allow_any_route": template.allow_any_route,
        "fragment_size": template.fragment_size,
        "initiates_to": template.initiate.as_ref().map(|i| i.remote.to_string()),
    })
}

/// Knows every name that may be in the archive.
fn redactor(policy: &Policy, evidence: &Evidence) -> Redactor {
    let mut redactor = Redactor::default();
    let identity = "identity";
    redactor.name(identity, &evidence.row.identity);
    for entry in policy.pad.entries() {
        if !matches!(entry.remote, IdentityPattern::Any) {
            redactor.name(identity, &entry.remote.to_string());
        }
    }
    for template in &policy.templates {
        redactor.name("template", &template.name);
        let initiate = template.initiate.as_ref();
        let identities = [
            template.local_identity.as_ref(),
            initiate.map(|i| &i.remote_identity),
        ];
        for own in identities.into_iter().flatten() {
            redactor.name(identity, &own.to_string());
        }
    }
    for tenant in &policy.tenants {
        redactor.name("tenant", &tenant.name);
    }
    let incidents = evidence.history.iter().map(|i| &i.recording);
    for recording in incidents.chain([&evidence.recording]) {
        names(&recording.entries).for_each(|name| redactor.name(identity, name));
    }
    redactor
}

/// Identities that events tell of.
fn names(entries: &[Entry]) -> impl Iterator<Item = &str> {
    entries.iter().filter_map(|entry| match &entry.event {
        Event::SelectorConflict { holder, .. } => Some(holder.as_str()),
        Event::HandshakeFailed {
            claimed_identity, ..
        } => claimed_identity.as_deref(),
        _ => None,
    })
}
