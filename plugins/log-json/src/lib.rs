//! One JSON object a line, with the names of OpenTelemetry's log data model.
//!
//! `Timestamp` is in nanoseconds since 1970, as text, because JSON's numbers lose the last digits.
//! `EventName` is `hawser.` and the event's name. `Attributes` hold what every event has
//! (`hawser.tenant`, `hawser.device`, `network.peer.address`, ...) and the event's own fields under
//! `hawser.event.`; `ext` pairs come under `hawser.ext.`.

use hawser_log_text::{host_port, write_sentence};
use hawser_sdk::log::{Event, LogFormat, Severity, Value};
use hawser_sdk::{About, Plugin, SettingsError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the lines say besides the event.
#[derive(Deserialize, Debug)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    service_name: String,
    resource: BTreeMap<String, String>,
    body: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            service_name: "hawser".to_owned(),
            resource: BTreeMap::new(),
            body: true,
        }
    }
}

/// The format.
#[derive(Debug)]
pub struct Json {
    body: bool,
    /// `"Resource":{...}`: the same in every line.
    resource: Vec<u8>,
    /// The body of the last line; kept for its room.
    sentence: String,
}

impl Plugin for Json {
    type Settings = Settings;
    const ABOUT: About = hawser_sdk::about!(include_str!("../settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, SettingsError> {
        let mut attributes = settings.resource;
        attributes.insert("service.name".to_owned(), settings.service_name);
        let mut resource = b"\"Resource\":".to_vec();
        json(&mut resource, &attributes);
        Ok(Self {
            body: settings.body,
            resource,
            sentence: String::new(),
        })
    }
}

impl LogFormat for Json {
    fn format(&mut self, event: &Event<'_>, lines: &mut Vec<u8>) -> Result<(), String> {
        let (number, severity) = severity(event.severity);
        lines.extend_from_slice(b"{\"Timestamp\":\"");
        json(lines, &event.time_unix_ns);
        lines.extend_from_slice(b"\",\"SeverityNumber\":");
        json(lines, &number);
        lines.extend_from_slice(b",\"SeverityText\":");
        text(lines, "", severity);
        lines.extend_from_slice(b",\"EventName\":");
        text(lines, "hawser.", event.name);
        if self.body {
            lines.extend_from_slice(b",\"Body\":");
            write_sentence(&mut self.sentence, event);
            text(lines, "", &self.sentence);
        }
        lines.push(b',');
        lines.extend_from_slice(&self.resource);
        lines.extend_from_slice(b",\"Attributes\":{\"hawser.sequence\":");
        json(lines, &event.sequence);
        lines.extend_from_slice(b",\"hawser.shard\":");
        json(lines, &event.shard);
        attributes(event, lines);
        lines.extend_from_slice(b"}}\n");
        Ok(())
    }
}

fn attributes(event: &Event<'_>, lines: &mut Vec<u8>) {
    let texts = [
        ("tenant", event.tenant),
        ("template", event.template),
        ("identity", event.identity),
    ];
    for (what, value) in texts {
        if let Some(value) = value {
            name(lines, "hawser.", what);
            text(lines, "", value);
        }
    }
    if let Some(device) = event.device {
        name(lines, "hawser.", "device");
        json(lines, &device);
    }
    for (side, endpoint) in [
        ("network.local.", event.local),
        ("network.peer.", event.remote),
    ] {
        if let Some(endpoint) = endpoint {
            let (address, port) = host_port(endpoint);
            name(lines, side, "address");
            text(lines, "", address);
            name(lines, side, "port");
            json(lines, &port.parse::<u16>().unwrap_or(0));
        }
    }
    for (field, value) in &event.fields {
        name(lines, "hawser.event.", field);
        match value {
            Value::Text(v) => text(lines, "", v),
            Value::Integer(v) => json(lines, v),
            Value::Unsigned(v) => json(lines, v),
            // JSON has no infinities; serde_json writes them as null.
            Value::Number(v) => json(lines, v),
            Value::Boolean(v) => json(lines, v),
        }
    }
    for (field, value) in event.ext.lines().filter_map(|line| line.split_once('=')) {
        name(lines, "hawser.ext.", field);
        text(lines, "", value);
    }
}

/// The name of one more attribute.
fn name(lines: &mut Vec<u8>, prefix: &str, name: &str) {
    lines.push(b',');
    text(lines, prefix, name);
    lines.push(b':');
}

/// A JSON string. The prefix is ours and plain; what follows mostly is.
fn text(lines: &mut Vec<u8>, prefix: &str, rest: &str) {
    let plain = |b: u8| b >= 0x20 && b != b'"' && b != b'\\';
    if rest.bytes().all(plain) {
        lines.push(b'"');
        lines.extend_from_slice(prefix.as_bytes());
        lines.extend_from_slice(rest.as_bytes());
        lines.push(b'"');
    } else {
        json(lines, &[prefix, rest].concat());
    }
}

/// Texts, numbers and maps of texts can always be written to memory.
fn json(lines: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let _ = serde_json::to_writer(lines, value);
}

/// `SeverityNumber` and `SeverityText`.
fn severity(severity: Severity) -> (u8, &'static str) {
    match severity {
        Severity::Debug => (5, "DEBUG"),
        Severity::Info => (9, "INFO"),
        Severity::Notice => (10, "INFO2"),
        Severity::Warning => (13, "WARN"),
        Severity::Error => (17, "ERROR"),
    }
}

hawser_sdk::export_log_format!(Json);

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_sdk::testing::log::{event, lines};
    use hawser_sdk::{configure, testing};
    use serde_json::json;

    fn one(settings: &str, event: Event<'_>) -> serde_json::Value {
        let mut plugin: Json = configure(settings).expect("good");
        let all = lines(&mut plugin, &[event]);
        assert_eq!(all.len(), 1, "one event, one line");
        serde_json::from_str(&all[0]).expect("JSON")
    }

    #[test]
    fn it_is_what_it_says() {
        testing::check::<Json>();
    }

    #[test]
    fn an_event_with_every_kind_of_value() {
        let mut event = event("probe_answered")
            .with("message_id", 3u32)
            .with("delta", -4i64)
            .with("share", 0.5)
            .with("late", true)
            .with("note", "a \"b\"\n\u{1}ä");
        event.ext = "later=field\n";
        assert_eq!(
            one("{}", event),
            json!({
                "Timestamp": "1699410963634000000",
                "SeverityNumber": 9,
                "SeverityText": "INFO",
                "EventName": "hawser.probe_answered",
                "Body": "probe answered: message_id=3 delta=-4 share=0.5 late=true \
                         note=a \"b\"\u{fffd}\u{fffd}ä",
                "Resource": { "service.name": "hawser" },
                "Attributes": {
                    "hawser.sequence": 1,
                    "hawser.shard": 0,
                    "hawser.tenant": "default",
                    "hawser.template": "branches",
                    "hawser.identity": "test",
                    "hawser.device": 7,
                    "network.local.address": "183.203.181.185",
                    "network.local.port": 4500,
                    "network.peer.address": "120.208.142.17",
                    "network.peer.port": 8192,
                    "hawser.event.message_id": 3,
                    "hawser.event.delta": -4,
                    "hawser.event.share": 0.5,
                    "hawser.event.late": true,
                    "hawser.event.note": "a \"b\"\n\u{1}ä",
                    "hawser.ext.later": "field",
                }
            })
        );
    }

    #[test]
    fn what_an_event_does_not_have_is_left_out() {
        let mut event = event("config_applied");
        event.severity = Severity::Notice;
        (event.tenant, event.template, event.identity) = (None, None, None);
        (event.device, event.local, event.remote) = (None, None, None);
        let settings = r#"{"service-name": "hq", "resource": {"host.name": "a"}, "body": false}"#;
        assert_eq!(
            one(settings, event),
            json!({
                "Timestamp": "1699410963634000000",
                "SeverityNumber": 10,
                "SeverityText": "INFO2",
                "EventName": "hawser.config_applied",
                "Resource": { "host.name": "a", "service.name": "hq" },
                "Attributes": { "hawser.sequence": 1, "hawser.shard": 0 }
            })
        );
    }

    #[test]
    fn a_number_that_json_cannot_say_does_not_break_the_line() {
        let line = one("{}", event("odd").with("ratio", f64::NAN));
        assert_eq!(line["Attributes"]["hawser.event.ratio"], json!(null));
    }
}
