//! `GET /v1/peer/capture`: one peer's outer packets as pcapng, and `/v1/peer/capture/keys`: the keys
//! of the SAs that it makes meanwhile, for who may read what is in them.

use super::answer::Refusal;
use super::api::{KeyLine, VERSION};
use super::asker::Asker;
use super::{Admin, peers, stream, trace};
use crate::capture::pcapng::Capture;
use crate::capture::wireshark;
use axum::extract::{ConnectInfo, Query, State};
use axum::response::Response;
use hawser_engine::Watched;
use hawser_flight::Event;
use hawser_shard::io::Command;
use hawser_shard::trace::{Sight, Target, What};
use hyper::body::Bytes;
use serde::Deserialize;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How long packets may be captured, and keys told.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
const LONGEST_WITH_KEYS: Duration = Duration::from_secs(3600);

/// Octets of a piece of the file that is sent before its packets are more.
const PIECE: usize = 64 << 10;

/// Who, and how much.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    peer: String,
    seconds: u64,
    /// Octets of the file at most.
    #[serde(default = "no_limit")]
    octets: u64,
}

fn no_limit() -> u64 {
    u64::MAX
}

/// `GET /v1/peer/capture`.
pub(super) async fn packets(
    State(admin): State<Admin>,
    ConnectInfo(asker): ConnectInfo<Asker>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Refusal> {
    let permit = admin.may_look_on()?;
    let period = period(&wanted, LONGEST)?;
    let (row, target) = trace::target(&admin, &wanted.peer).await?;
    let of = match target.device {
        Some(_) => peers::label(&row),
        None => format!("whoever comes from {}", target.address),
    };
    audit(&admin, &wanted, target, asker, false).await;
    let seen = admin.engine.trace(target, What::Packets, period);
    let failed = |error| Refusal::impossible(format!("no capture can be written: {error}"));
    let capture = Capture::begin(&of).map_err(failed)?;
    let (sender, body) = stream::body();
    let until = Instant::now() + period;
    tokio::spawn(async move {
        write(seen, capture, wanted.octets, until, &sender).await;
        drop(permit);
    });
    Ok(stream::response("application/x-pcapng", body))
}

/// Until its time is over, the file is full, or nobody reads it any more.
async fn write(
    mut seen: Watched<Sight>,
    mut capture: Capture,
    limit: u64,
    until: Instant,
    to: &mpsc::Sender<Bytes>,
) {
    let (mut packets, mut lost) = (0, 0);
    let mut more = true;
    while more {
        let piece = capture.take();
        if !piece.is_empty() && to.send(piece).await.is_err() {
            return;
        }
        let first = tokio::select! {
            () = sleep_until(until) => None,
            () = to.closed() => return,
            seen = seen.next() => seen,
        };
        more = first.is_some();
        let mut next = first;
        while let Some((at, sight)) = next.take() {
            if let Sight::Packet(packet) = sight {
                packets += 1 + packet.left_out;
                lost += packet.left_out;
                if capture.packet(at, &packet).is_err() {
                    return;
                }
            }
            more &= capture.octets() < limit;
            if more && capture.pending() < PIECE {
                next = seen.ready();
            }
        }
    }
    let unread = seen.take_lost();
    let (packets, lost) = (packets + unread, lost + unread);
    if capture.end(SystemTime::now(), packets, lost).is_ok() {
        let _ = to.send(capture.take()).await;
    }
}

/// `GET /v1/peer/capture/keys`: JSON lines. Of SAs that are there already nobody has the keys: what
/// is to be read has to be rekeyed.
pub(super) async fn keys(
    State(admin): State<Admin>,
    ConnectInfo(asker): ConnectInfo<Asker>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Refusal> {
    if !admin.engine.policy().observability.capture_keys {
        let why = "keys are not told: `[observability] capture_keys = true` allows it";
        return Err(Refusal::forbidden(why.to_owned()));
    }
    let permit = admin.may_look_on()?;
    let period = period(&wanted, LONGEST_WITH_KEYS)?;
    let (_, target) = trace::target(&admin, &wanted.peer).await?;
    audit(&admin, &wanted, target, asker, true).await;
    let seen = admin.engine.trace(target, What::Keys, period);
    let (sender, body) = stream::body();
    let until = Instant::now() + period;
    tokio::spawn(async move {
        tell_keys(seen, until, &sender).await;
        drop(permit);
    });
    Ok(stream::response("application/jsonl", body))
}

async fn tell_keys(mut seen: Watched<Sight>, until: Instant, to: &mpsc::Sender<Bytes>) {
    let mut told = KeyLine::Begun { version: VERSION };
    loop {
        let Ok(mut line) = serde_json::to_vec(&told) else {
            return;
        };
        line.push(b'\n');
        if to.send(Bytes::from(line)).await.is_err() {
            return;
        }
        let next = tokio::select! {
            () = sleep_until(until) => return,
            () = to.closed() => return,
            seen = seen.next() => seen,
        };
        let line = match next {
            Some((_, Sight::Keys(keys))) => wireshark::line(&keys),
            _ => return,
        };
        told = match line {
            Some((table, line)) => KeyLine::Line { table, line },
            None => KeyLine::Unknown {},
        };
    }
}

fn period(wanted: &Wanted, longest: Duration) -> Result<Duration, Refusal> {
    let period = Duration::from_secs(wanted.seconds);
    if period > longest {
        let hours = longest.as_secs() / 3600;
        return Err(Refusal::impossible(format!("{hours} h at most")));
    }
    Ok(period)
}

/// Who captures what goes into the log and into the recorder of the peer, before anything is told.
async fn audit(admin: &Admin, wanted: &Wanted, target: Target, asker: Asker, keys: bool) {
    let event = Event::CaptureBegun {
        target: wanted.peer.clone(),
        seconds: u32::try_from(wanted.seconds).unwrap_or(u32::MAX),
        keys,
        uid: asker.uid,
        pid: asker.pid,
    };
    let audit = Command::Audit(target.device, event);
    let _ = admin.engine.command(audit).await;
}
