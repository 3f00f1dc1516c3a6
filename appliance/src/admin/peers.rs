//! What is asked of one peer: `show`, `reset`, `rekey`, `ping`.

use super::Admin;
use super::answer::Refusal;
use super::api::{Done, PeerRow, VERSION};
use super::{resolve, status};
use axum::Json;
use axum::extract::{Query, State};
use hawser_shard::io::{Command, DeviceId, PeerFilter, RekeyWhat, Reply};
use hawser_shard::view::PeerView;
use serde::Deserialize;
use serde_json::{Value, json};

/// Who is meant.
#[derive(Debug, Deserialize)]
pub(super) struct Who {
    peer: String,
}

/// `GET /v1/peer`.
pub(super) async fn show(
    State(admin): State<Admin>,
    Query(who): Query<Who>,
) -> Result<Json<Value>, Refusal> {
    let row = resolve::one(status::peers(&admin).await, &who.peer)?;
    if row.device.is_none() {
        return Ok(Json(json!({ "version": VERSION, "peer": row })));
    }
    let peer = detail(&admin, &row).await;
    let peer = peer.ok_or_else(|| Refusal::not_found(format!("{} is gone", label(&row))))?;
    Ok(Json(json!({ "version": VERSION, "peer": peer })))
}

/// A peer with its SAs; `None` where it is gone, or never came.
pub(super) async fn detail(admin: &Admin, row: &PeerRow) -> Option<PeerView> {
    let device = DeviceId(row.device?);
    let show = Command::Show(PeerFilter::Device(device));
    let replies = admin.engine.command(show).await;
    replies.into_iter().find_map(|(_, reply)| match reply {
        Reply::Show(peers) => peers.into_iter().find(|p| p.line.device == device),
        _ => None,
    })
}

/// `POST /v1/peer/reset`.
pub(super) async fn reset(
    State(admin): State<Admin>,
    Query(who): Query<Who>,
) -> Result<Json<Done>, Refusal> {
    act(&admin, &who, Command::Reset).await
}

/// What is meant: `what=all`, `ike` or `children`.
#[derive(Debug, Deserialize)]
pub(super) struct What {
    #[serde(default)]
    what: RekeyWhat,
}

/// `POST /v1/peer/rekey`.
pub(super) async fn rekey(
    State(admin): State<Admin>,
    Query(who): Query<Who>,
    Query(What { what }): Query<What>,
) -> Result<Json<Done>, Refusal> {
    act(&admin, &who, |device| Command::Rekey(device, what)).await
}

/// `POST /v1/peer/ping`.
pub(super) async fn ping(
    State(admin): State<Admin>,
    Query(who): Query<Who>,
) -> Result<Json<Done>, Refusal> {
    act(&admin, &who, Command::Ping).await
}

async fn act(
    admin: &Admin,
    who: &Who,
    command: impl FnOnce(DeviceId) -> Command,
) -> Result<Json<Done>, Refusal> {
    let row = resolve::one(status::peers(admin).await, &who.peer)?;
    let device = row.device.ok_or_else(|| {
        Refusal::impossible(format!(
            "{} is configured and has not come yet",
            label(&row)
        ))
    })?;
    let command = command(DeviceId(device));
    let is_ping = matches!(command, Command::Ping(_));
    let done = |rtt_us| {
        Ok(Json(Done {
            version: VERSION,
            peer: label(&row),
            rtt_us,
        }))
    };
    for (_, reply) in admin.engine.command(command).await {
        match reply {
            Reply::Done => return done(None),
            Reply::Pong { rtt_us } => return done(Some(rtt_us)),
            // A ping that is not answered is an answer: the peer is degraded.
            Reply::Failed(_) if is_ping => return done(None),
            Reply::Failed(why) => return Err(Refusal::impossible(why)),
            Reply::NotFound
            | Reply::Status(_)
            | Reply::Show(_)
            | Reply::Recall(_)
            | Reply::Standings(_) => {}
        }
    }
    Err(Refusal::not_found(format!("{} is gone", label(&row))))
}

/// How a peer is called in an answer: `test (120.208.142.17/8192)`.
pub(super) fn label(row: &PeerRow) -> String {
    match row.endpoint.as_str() {
        "" => row.identity.clone(),
        endpoint => format!("{} ({endpoint})", row.identity),
    }
}
