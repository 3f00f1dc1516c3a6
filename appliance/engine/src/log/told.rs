//! Events as log-format plugins get them, and back.

use super::level;
use hawser_flight::{Event, Path, PeerLabel, Record};
use hawser_plugin::log::{Event as Told, Severity, Value};
use serde_json::{Map, Value as Json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// A record as plugins are told of it, under its number.
pub fn event(record: &Record, sequence: u64) -> Told {
    let (name, fields) = fields(&record.event);
    let peer = record.peer.as_deref();
    let endpoint = |address: SocketAddr| format!("{}/{}", address.ip(), address.port());
    Told {
        time_unix_ns: record.unix_ms.saturating_mul(1_000_000),
        sequence,
        shard: record.shard,
        severity: severity(&record.event),
        name,
        tenant: peer.map(|peer| peer.tenant.to_string()),
        template: peer.map(|peer| peer.template.to_string()),
        identity: peer.map(|peer| peer.identity.to_string()),
        device: peer.map(|peer| peer.instance),
        local: peer.map(|peer| endpoint(peer.path.local)),
        remote: peer.map(|peer| endpoint(peer.path.remote)),
        fields,
    }
}

/// How grave a plugin is told that an event is.
pub fn severity(event: &Event) -> Severity {
    level::severity(level::of(event))
}

/// The name of an event and its own fields as plugins get them: those of an object with a dot between the names, none
/// that has no value.
pub fn fields(event: &Event) -> (String, Vec<(String, Value)>) {
    let mut all = Vec::new();
    let mut name = String::new();
    if let Ok(Json::Object(fields)) = serde_json::to_value(event) {
        for (key, value) in fields {
            match value {
                Json::String(text) if key == "event" => name = text,
                value => flatten(key, value, &mut all),
            }
        }
    }
    (name, all)
}

fn flatten(key: String, value: Json, all: &mut Vec<(String, Value)>) {
    let value = match value {
        Json::Null => return,
        Json::Bool(value) => Value::Boolean(value),
        Json::String(text) => Value::Text(text),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => Value::Unsigned(value),
            (None, Some(value)) => Value::Integer(value),
            (None, None) => Value::Number(number.as_f64().unwrap_or_default()),
        },
        Json::Object(members) => {
            for (name, member) in members {
                flatten(format!("{key}.{name}"), member, all);
            }
            return;
        }
        list @ Json::Array(_) => Value::Text(list.to_string()),
    };
    all.push((key, value));
}

/// The record that plugins were told of; `None`: the gateway has no event of this name with these fields. It is about a
/// peer where the endpoint of one is told.
pub fn record(told: &Told) -> Option<Record> {
    let mut event = Map::new();
    for (key, value) in &told.fields {
        let value = serde_json::to_value(value).ok()?;
        match key.split_once('.') {
            None => event.insert(key.clone(), value),
            Some((object, member)) => {
                let object = event.entry(object).or_insert_with(|| Map::new().into());
                object.as_object_mut()?.insert(member.to_owned(), value)
            }
        };
    }
    event.insert("event".to_owned(), told.name.clone().into());
    Some(Record {
        unix_ms: told.time_unix_ns / 1_000_000,
        shard: told.shard,
        peer: peer(told).map(Arc::new),
        event: serde_json::from_value(event.into()).ok()?,
    })
}

fn peer(told: &Told) -> Option<PeerLabel> {
    let text = |text: &Option<String>| Arc::from(text.as_deref().unwrap_or_default());
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    Some(PeerLabel {
        instance: told.device.unwrap_or(0),
        tenant: text(&told.tenant),
        template: text(&told.template),
        identity: text(&told.identity),
        path: Path {
            local: told.local.as_deref().and_then(endpoint).unwrap_or(unknown),
            remote: told.remote.as_deref().and_then(endpoint)?,
            encapsulated: false,
        },
    })
}

/// `192.0.2.7/4500`.
fn endpoint(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once('/')?;
    Some((host.parse::<IpAddr>().ok()?, port.parse().ok()?).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use hawser_flight::{Lineage, Role};

    #[test]
    fn a_device_is_told_with_its_endpoints_and_objects_as_their_members() {
        let path = Path {
            local: "[2001:db8::1]:4500".parse().unwrap(),
            remote: "120.208.142.17:8192".parse().unwrap(),
            encapsulated: false,
        };
        let peer = PeerLabel {
            instance: 7,
            tenant: "default".into(),
            template: "1".into(),
            identity: "test".into(),
            path,
        };
        let established = Event::IkeSaEstablished {
            role: Role::Responder,
            spi_i: u64::MAX,
            spi_r: 2,
            suite: "aes128-sha1-modp1024".into(),
            peer_behind_nat: true,
            local_behind_nat: false,
            lineage: Lineage::Rekey(5),
            endpoint: path.remote,
        };
        let record = Record {
            unix_ms: 3,
            shard: 1,
            peer: Some(Arc::new(peer)),
            event: established,
        };
        let told = event(&record, 9);
        assert_eq!(
            (told.name.as_str(), told.time_unix_ns),
            ("ike_sa_established", 3_000_000)
        );
        assert_eq!(told.local.as_deref(), Some("2001:db8::1/4500"));
        assert_eq!(told.remote.as_deref(), Some("120.208.142.17/8192"));
        assert_eq!((told.device, told.sequence, told.shard), (Some(7), 9, 1));
        assert_eq!(told.severity, Severity::Info);
        let field = |name: &str| {
            told.fields
                .iter()
                .find(|(n, _)| n == name)
                .unwrap()
                .1
                .clone()
        };
        assert_eq!(field("spi_i"), Value::Unsigned(u64::MAX));
        assert_eq!(field("lineage.kind"), Value::Text("rekey".into()));
        assert_eq!(field("lineage.parent"), Value::Unsigned(5));
        assert_eq!(field("peer_behind_nat"), Value::Boolean(true));
        assert_eq!(super::record(&told), Some(record));
    }

    #[test]
    fn an_event_that_nobody_here_tells_is_no_record() {
        let odd = hawser_plugin::log::sample_events().remove(0);
        assert_eq!(record(&odd), None);
    }
}
