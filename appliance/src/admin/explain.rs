//! `GET /v1/peer/explain`: why a peer dropped, also one that is down now or was long ago.

use super::answer::Refusal;
use super::api::{DropRow, Explanation, PeerRow, VERSION};
use super::{Admin, resolve, status, timeline};
use axum::Json;
use axum::extract::{Query, State};
use hawser_engine::sentence;
use hawser_engine::{Incident, Incidents, PeerName};
use hawser_flight::verdict::{Finding, Situation, judge, judge_living};
use hawser_flight::{Entry, Recording};
use hawser_shard::io::{Command, DeviceId, Reply};
use hawser_shard::recorder::Recall;
use serde::Deserialize;

/// Earlier drops that are listed.
const HISTORY: usize = 5;

/// Who, and which drop.
#[derive(Debug, Deserialize)]
pub(super) struct Question {
    peer: String,
    /// The last drop until then, in milliseconds since 1970.
    at: Option<u64>,
}

/// What there is to know of a drop, wherever it was found.
pub(super) struct Evidence {
    pub(super) row: PeerRow,
    pub(super) recording: Recording,
    /// Which of the entries is the drop; past the last: it has not dropped.
    pub(super) drop: usize,
    pub(super) finding: Option<Finding>,
    pub(super) history: Vec<Incident>,
}

pub(super) async fn explain(
    State(admin): State<Admin>,
    Query(question): Query<Question>,
) -> Result<Json<Explanation>, Refusal> {
    let evidence = evidence(&admin, &question.peer, question.at.unwrap_or(u64::MAX)).await?;
    let dropped = evidence.recording.entries.get(evidence.drop);
    let (timeline, left_out) = timeline::around(&evidence.recording, evidence.drop);
    let at_ms = dropped.map(|e| e.at_ms);
    let earlier = evidence.history.iter().filter(|i| Some(i.at_ms) != at_ms);
    Ok(Json(Explanation {
        version: VERSION,
        peer: evidence.row,
        dropped: at_ms.map(sentence::time),
        finding: evidence.finding,
        timeline,
        left_out,
        gaps: timeline::gaps(&evidence.recording),
        earlier: earlier.take(HISTORY).map(drop_row).collect(),
        kept: admin.engine.incidents().are_kept(),
    }))
}

fn drop_row(incident: &Incident) -> DropRow {
    DropRow {
        time: sentence::time(incident.at_ms),
        verdict: incident.finding.verdict.to_string(),
        cause: incident.cause.map(|c| c.to_string()),
    }
}

/// Finds the peer, and what was recorded of its last drop until a time.
pub(super) async fn evidence(
    admin: &Admin,
    name: &str,
    until_ms: u64,
) -> Result<Evidence, Refusal> {
    let incidents = admin.engine.incidents();
    let row = find(admin, &incidents, name).await?;
    let recall = match row.device {
        Some(device) => recall(admin, DeviceId(device)).await,
        None => None,
    };
    let key = key(&row);
    let read = move || {
        (
            incidents.last(&key, until_ms),
            incidents.of(&key),
            incidents,
        )
    };
    let read = tokio::task::spawn_blocking(read).await;
    let (kept, history, incidents) =
        read.map_err(|_| Refusal::impossible("the file of incidents cannot be read".into()))?;
    let (recording, drop, finding) = match recall {
        Some(recall) => living(&incidents, &row, recall, kept, until_ms),
        None => match kept {
            Some(kept) => from_file(kept),
            None => (Recording::default(), 0, None),
        },
    };
    Ok(Evidence {
        row,
        recording,
        drop,
        finding,
        history,
    })
}

/// What the running gateway knows goes before what is kept, if it knows of that drop at all.
fn living(
    incidents: &Incidents,
    row: &PeerRow,
    recall: Recall,
    kept: Option<Incident>,
    until_ms: u64,
) -> (Recording, usize, Option<Finding>) {
    let mut recording = recall.ring.recording();
    recording.shift(unix_ms().saturating_sub(recall.now_ms));
    let identity = &row.identity;
    let Some(situation) = Situation::last_drop(identity, &recording.entries, until_ms) else {
        return match kept {
            Some(kept) => from_file(kept),
            None => alive(identity, recording, recall),
        };
    };
    let (drop, at_ms) = (situation.drop, situation.at_ms());
    let same = kept.filter(|k| k.at_ms.abs_diff(at_ms) < 1000);
    let mass = incidents.mass_event(&key(row), at_ms);
    let together = mass.as_ref().map_or(1, |m| m.dropped.len());
    let health = match (&same, &mass) {
        (Some(kept), _) => kept.health,
        (None, Some(mass)) => mass.health,
        (None, None) => incidents.health(),
    };
    let finding = judge(&Situation {
        health,
        together: u32::try_from(together).unwrap_or(u32::MAX),
        ..situation
    });
    (recording, drop, Some(finding))
}

/// It has not dropped: what can be seen of how it does.
fn alive(
    identity: &str,
    recording: Recording,
    recall: Recall,
) -> (Recording, usize, Option<Finding>) {
    let mut entries = recording.entries.clone();
    let at_ms = entries.last().map_or(0, |e| e.at_ms);
    entries.push(Entry {
        at_ms,
        event: recall.clocks,
    });
    let finding = judge_living(&Situation::living(identity, &entries));
    let drop = recording.entries.len();
    (recording, drop, finding.filter(|_| recall.up))
}

fn from_file(kept: Incident) -> (Recording, usize, Option<Finding>) {
    let situation = Situation::last_drop("", &kept.recording.entries, kept.at_ms);
    let drop = situation.map_or(kept.recording.entries.len(), |s| s.drop);
    (kept.recording, drop, Some(kept.finding))
}

/// The peer: of those that the shards know, or of those that ever dropped.
pub(super) async fn find(
    admin: &Admin,
    incidents: &Incidents,
    name: &str,
) -> Result<PeerRow, Refusal> {
    let mut rows = resolve::candidates(status::named(admin, name).await, name);
    let incidents = incidents.clone();
    let gone = tokio::task::spawn_blocking(move || incidents.peers()).await;
    let known: std::collections::HashSet<String> = rows.iter().map(key).collect();
    let gone = gone.unwrap_or_default().into_iter().map(row);
    rows.extend(resolve::candidates(
        gone.filter(|row| !known.contains(&key(row))).collect(),
        name,
    ));
    if rows.is_empty() {
        // Configured, and never seen: it says so in its own words.
        rows = status::peers(admin).await;
    }
    resolve::one(rows, name)
}

fn row(peer: PeerName) -> PeerRow {
    PeerRow {
        tenant: peer.tenant,
        template: peer.template,
        identity: peer.identity,
        endpoint: peer.endpoint,
        networks: peer.networks,
        status: "down".to_owned(),
        since_s: Some(unix_ms().saturating_sub(peer.last_ms) / 1000),
        ..PeerRow::default()
    }
}

fn key(row: &PeerRow) -> String {
    let peer = PeerName {
        tenant: row.tenant.clone(),
        identity: row.identity.clone(),
        networks: row.networks.clone(),
        ..PeerName::default()
    };
    peer.key()
}

async fn recall(admin: &Admin, device: DeviceId) -> Option<Recall> {
    let replies = admin.engine.command(Command::Recall(device)).await;
    replies.into_iter().find_map(|(_, reply)| match reply {
        Reply::Recall(recall) => Some(*recall),
        _ => None,
    })
}

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}
