//! `GET /v1/drops`: what dropped, counted by verdict, peer or tenant.

use super::Admin;
use super::answer::Refusal;
use super::api::{DropCount, Drops, VERSION};
use axum::Json;
use axum::extract::{Query, State};
use hawser_engine::Summary;
use hawser_engine::sentence;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Since when, and by what.
#[derive(Debug, Deserialize)]
pub(super) struct Since {
    /// Milliseconds since 1970.
    since: u64,
    by: By,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    Reason,
    Peer,
    Tenant,
}

pub(super) async fn drops(
    State(admin): State<Admin>,
    Query(since): Query<Since>,
) -> Result<Json<Drops>, Refusal> {
    let incidents = admin.engine.incidents();
    if !incidents.are_kept() {
        let why = "drops are not kept: the log said why when the gateway began";
        return Err(Refusal::impossible(why.to_owned()));
    }
    let lost = incidents.lost();
    let read = tokio::task::spawn_blocking(move || incidents.since(since.since)).await;
    let dropped =
        read.map_err(|_| Refusal::impossible("the file of incidents cannot be read".into()))?;
    Ok(Json(Drops {
        version: VERSION,
        since: sentence::time(since.since),
        total: dropped.len(),
        counts: counted(&dropped, since.by),
        lost,
    }))
}

/// The most frequent first.
fn counted(dropped: &[Summary], by: By) -> Vec<DropCount> {
    let mut groups: BTreeMap<String, Vec<&Summary>> = BTreeMap::new();
    for summary in dropped {
        let name = match by {
            By::Reason => summary.verdict.to_string(),
            By::Tenant => summary.peer.tenant.clone(),
            By::Peer => {
                let peer = &summary.peer;
                format!("{} {}", peer.identity, peer.networks.join(" "))
            }
        };
        groups.entry(name).or_default().push(summary);
    }
    let mut counts: Vec<DropCount> = groups.into_iter().map(|(n, g)| count(n, &g)).collect();
    counts.sort_by_key(|c| std::cmp::Reverse(c.drops));
    counts
}

fn count(name: String, dropped: &[&Summary]) -> DropCount {
    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    let mut peers: Vec<String> = Vec::new();
    for summary in dropped {
        *verdicts.entry(summary.verdict.to_string()).or_default() += 1;
        peers.push(summary.peer.key());
    }
    peers.sort_unstable();
    peers.dedup();
    let last = dropped.iter().max_by_key(|s| s.at_ms);
    DropCount {
        name,
        drops: dropped.len(),
        peers: peers.len(),
        verdicts,
        last: last.map(|s| sentence::time(s.at_ms)).unwrap_or_default(),
        last_endpoint: last.map(|s| s.peer.endpoint.clone()).unwrap_or_default(),
    }
}
