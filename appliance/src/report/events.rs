//! Recorded events as log-format plugins get them.

use crate::admin::api::PeerRow;
use crate::run::level;
use hawser_flight::Entry;
use hawser_plugin::log::{Event, Severity, Value};
use serde_json::Value as Json;
use tracing::Level;

/// Every entry as an event, in order. What lies deeper than a number or a text is told as JSON.
pub(crate) fn told(peer: &PeerRow, entries: &[Entry]) -> Vec<Event> {
    let endpoint = (!peer.endpoint.is_empty()).then(|| peer.endpoint.clone());
    let event = |(sequence, entry): (u64, &Entry)| {
        let (name, fields) = parts(serde_json::to_value(&entry.event).unwrap_or_default());
        Event {
            time_unix_ns: entry.at_ms.saturating_mul(1_000_000),
            sequence,
            shard: peer.shard.unwrap_or(0).into(),
            severity: severity(&level(&entry.event)),
            name,
            tenant: Some(peer.tenant.clone()),
            template: Some(peer.template.clone()),
            identity: Some(peer.identity.clone()),
            device: peer.device,
            local: None,
            remote: endpoint.clone(),
            fields,
        }
    };
    (1..).zip(entries).map(event).collect()
}

fn severity(level: &Level) -> Severity {
    match *level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warning,
        Level::INFO => Severity::Info,
        _ => Severity::Debug,
    }
}

/// The name of an event, and its own fields.
fn parts(event: Json) -> (String, Vec<(String, Value)>) {
    let Json::Object(mut fields) = event else {
        return (String::new(), Vec::new());
    };
    let name = fields.remove("event");
    let name = name.as_ref().and_then(Json::as_str).unwrap_or_default();
    let fields = fields
        .into_iter()
        .filter_map(|(key, value)| Some((key, field(value)?)));
    (name.to_owned(), fields.collect())
}

fn field(value: Json) -> Option<Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(value) => Value::Boolean(value),
        Json::String(text) => Value::Text(text),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => Value::Unsigned(value),
            (None, Some(value)) => Value::Integer(value),
            (None, None) => Value::Number(number.as_f64()?),
        },
        deeper => Value::Text(deeper.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_flight::CloseCause;

    #[test]
    fn an_event_has_its_name_and_its_fields() {
        let entry = Entry {
            at_ms: 5,
            event: hawser_flight::Event::PeerDown {
                cause: CloseCause::DpdTimeout,
            },
        };
        let events = told(&PeerRow::default(), &[entry]);
        assert_eq!(
            (events[0].name.as_str(), events[0].sequence),
            ("peer_down", 1)
        );
        let cause = Value::Text("dpd_timeout".into());
        assert_eq!(events[0].fields, [("cause".to_owned(), cause)]);
        assert_eq!(events[0].severity, Severity::Warning);
    }
}
