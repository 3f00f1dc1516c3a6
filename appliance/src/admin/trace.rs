//! `GET /v1/peer/trace`: everything of one peer while it runs, as JSON lines.

use super::answer::Refusal;
use super::api::{PeerRow, VERSION};
use super::traced::TraceLine;
use super::{Admin, peers, stream};
use axum::extract::{Query, State};
use axum::response::Response;
use hawser_engine::sentence;
use hawser_engine::{EventStream, Feed, Watched};
use hawser_flight::{Event, Record};
use hawser_shard::io::DeviceId;
use hawser_shard::trace::{Sight, Target, What};
use hawser_shard::view::ChildSaView;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// How long somebody may look on.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Who, and for how long.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    peer: String,
    seconds: u64,
}

/// `GET /v1/peer/trace`.
pub(super) async fn trace(
    State(admin): State<Admin>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Refusal> {
    let permit = admin.may_look_on()?;
    let (row, target) = target(&admin, &wanted.peer).await?;
    let period = Duration::from_secs(wanted.seconds).min(LONGEST);
    let (sender, body) = stream::body();
    let trace = Trace {
        messages: admin.engine.trace(target, What::Messages, period),
        events: admin.engine.subscribe_events(),
        admin,
        row,
        target,
        sender,
    };
    let until = Instant::now() + period;
    tokio::spawn(async move {
        trace.run(until).await;
        drop(permit);
    });
    Ok(stream::response("application/jsonl", body))
}

/// Whom a name means: a peer, or where it names none, whoever is at an outer address.
pub(super) async fn target(admin: &Admin, name: &str) -> Result<(PeerRow, Target), Refusal> {
    let found = super::explain::find(admin, &admin.engine.incidents(), name).await;
    let row = match (found, address(name)) {
        (Ok(row), _) if row.device.is_some() || !row.endpoint.is_empty() => row,
        (Err(ambiguous), None) => return Err(ambiguous),
        (Ok(row), None) => {
            return Err(Refusal::impossible(format!(
                "{} has never come: name the outer address that it is to come from",
                peers::label(&row)
            )));
        }
        (_, Some(_)) => PeerRow {
            endpoint: name.to_owned(),
            ..PeerRow::default()
        },
    };
    let address = address(&row.endpoint)
        .ok_or_else(|| Refusal::impossible(format!("{} is nowhere", peers::label(&row))))?;
    let device = row.device.map(DeviceId);
    Ok((row, Target { device, address }))
}

/// `120.208.142.17`, `120.208.142.17/8192`, `120.208.142.17:8192`.
fn address(text: &str) -> Option<IpAddr> {
    let ip = text.rsplit_once('/').map_or(text, |(ip, _)| ip);
    let socket = || text.parse().ok().map(|socket: SocketAddr| socket.ip());
    ip.parse().ok().or_else(socket)
}

struct Trace {
    admin: Admin,
    row: PeerRow,
    target: Target,
    messages: Watched<Sight>,
    events: EventStream,
    sender: mpsc::Sender<Bytes>,
}

impl Trace {
    /// Until its time is over, or nobody reads it any more.
    async fn run(mut self, until: Instant) {
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut left_out = 0;
        let of = self.of();
        if !self
            .tell(line(SystemTime::now(), &TraceLine::Begun { of }))
            .await
        {
            return;
        }
        loop {
            let line = tokio::select! {
                () = sleep_until(until) => return,
                () = self.sender.closed() => return,
                message = self.messages.next() => match message {
                    Some((at, Sight::Message(traced))) => {
                        left_out += traced.left_out;
                        // Who was only an address has become a device.
                        self.row.device = traced.device.map(|d| d.0).or(self.row.device);
                        line(at, &TraceLine::Message(traced))
                    }
                    Some(_) => continue,
                    // Every shard has let go of it: the gateway ends, or too many look on.
                    None => return,
                },
                event = self.events.next() => match event {
                    Some(Feed::Event(record)) if self.is_meant(&record) => event_line(&record),
                    Some(Feed::Event(_)) => continue,
                    Some(Feed::Lost(count)) => {
                        left_out += count;
                        continue;
                    }
                    None => return,
                },
                _ = second.tick() => {
                    left_out += self.messages.take_lost();
                    if left_out > 0 {
                        let lost = TraceLine::LeftOut { count: std::mem::take(&mut left_out) };
                        if !self.tell(line(SystemTime::now(), &lost)).await {
                            return;
                        }
                    }
                    match self.counters().await {
                        Some(children) => line(SystemTime::now(), &TraceLine::Esp { children }),
                        None => continue,
                    }
                }
            };
            if !self.tell(line).await {
                return;
            }
        }
    }

    /// Who is looked at, in words.
    fn of(&self) -> String {
        match self.target.device {
            Some(_) => peers::label(&self.row),
            None => format!("whoever comes from {}", self.target.address),
        }
    }

    async fn tell(&self, line: Bytes) -> bool {
        self.sender.send(line).await.is_ok()
    }

    /// Events of the device; of who is not authenticated yet those from its address.
    fn is_meant(&self, record: &Record) -> bool {
        let owner = record.peer.as_ref().map(|p| DeviceId(p.instance));
        let remote = match (&record.peer, &record.event) {
            (Some(peer), _) => Some(peer.path.remote.ip()),
            (None, Event::HandshakeFailed { path, .. }) => Some(path.remote.ip()),
            (None, Event::MessageRefused { source, .. }) => Some(source.ip()),
            (None, _) => None,
        };
        remote.is_some_and(|remote| self.target.is_meant(owner, remote))
    }

    /// The counters of its Child SAs; nothing where it has none.
    async fn counters(&self) -> Option<Vec<ChildSaView>> {
        let detail = peers::detail(&self.admin, &self.row).await?;
        let children = detail.ike_sas.into_iter().flat_map(|sa| sa.children);
        Some(children.collect()).filter(|c: &Vec<_>| !c.is_empty())
    }
}

fn event_line(record: &Record) -> Bytes {
    let event = TraceLine::Event {
        text: sentence::what(&record.event),
        event: record.event.clone(),
    };
    line(UNIX_EPOCH + Duration::from_millis(record.unix_ms), &event)
}

/// A line with its version and time.
fn line(at: SystemTime, what: &TraceLine) -> Bytes {
    let ms = at
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let mut value = json!(what);
    value["version"] = json!(VERSION);
    value["time"] = json!(sentence::time(u64::try_from(ms).unwrap_or(u64::MAX)));
    Bytes::from(format!("{value}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outer_address_may_have_a_port() {
        let told = |text| address(text).map(|a| a.to_string());
        for text in ["192.0.2.7", "192.0.2.7/4500", "192.0.2.7:4500"] {
            assert_eq!(told(text).as_deref(), Some("192.0.2.7"));
        }
        assert_eq!(told("2001:db8::7/500").as_deref(), Some("2001:db8::7"));
        assert_eq!(told("[2001:db8::7]:500").as_deref(), Some("2001:db8::7"));
        assert_eq!(told("test"), None);
    }
}
