//! RFC 5424 messages, one a line: the event's name is MSGID, what every event has and the event's
//! own fields are structured data (`hawser@N` and `event@N`), and MSG is the event in words.
//!
//! Framing for TCP (RFC 6587) is the output's business, not the format's.

use hawser_log_text::{Civil, sentence, value};
use hawser_sdk::log::{Event, LogFormat, Severity};
use hawser_sdk::{About, Plugin, SettingsError};
use serde::Deserialize;
use std::fmt::Write as _;

/// The header, and whose structured data it is.
#[derive(Deserialize, Debug)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    facility: Facility,
    hostname: String,
    app_name: String,
    enterprise: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            facility: Facility::Daemon,
            hostname: "-".to_owned(),
            app_name: "hawser".to_owned(),
            enterprise: 32_473,
        }
    }
}

/// Facilities of RFC 5424, Table 1, that make sense for a gateway.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(rename_all = "lowercase")]
enum Facility {
    Kern = 0,
    User = 1,
    Daemon = 3,
    Auth = 4,
    Syslog = 5,
    Authpriv = 10,
    Local0 = 16,
    Local1 = 17,
    Local2 = 18,
    Local3 = 19,
    Local4 = 20,
    Local5 = 21,
    Local6 = 22,
    Local7 = 23,
}

/// The format.
#[derive(Debug)]
pub struct Syslog {
    settings: Settings,
}

impl Plugin for Syslog {
    type Settings = Settings;
    const ABOUT: About = hawser_sdk::about!(include_str!("../settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, SettingsError> {
        printable("/hostname", &settings.hostname, 255)?;
        printable("/app-name", &settings.app_name, 48)?;
        Ok(Self { settings })
    }
}

fn printable(path: &str, text: &str, most: usize) -> Result<(), SettingsError> {
    let good = text.bytes().all(|b| b.is_ascii_graphic());
    if good && (1..=most).contains(&text.len()) {
        return Ok(());
    }
    let message = format!("1 to {most} printable ASCII characters without spaces");
    Err(SettingsError::new(path, message))
}

impl LogFormat for Syslog {
    fn format(&mut self, event: &Event<'_>, lines: &mut Vec<u8>) -> Result<(), String> {
        let set = &self.settings;
        let priority = 8 * set.facility as u32 + severity(event.severity);
        let t = Civil::new(event.time_unix_ns, 0);
        let mut line = format!(
            "<{priority}>1 {}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z {} {} - ",
            t.year,
            t.month,
            t.day,
            t.hour,
            t.minute,
            t.second,
            t.nanosecond / 1000,
            set.hostname,
            set.app_name,
        );
        line.push_str(&name(event.name));
        let _ = write!(
            line,
            " [hawser@{} sequence=\"{}\" shard=\"{}\"",
            set.enterprise, event.sequence, event.shard
        );
        let device = event.device.map(|d| d.to_string());
        let known = [
            ("tenant", event.tenant),
            ("template", event.template),
            ("identity", event.identity),
            ("device", device.as_deref()),
            ("local", event.local),
            ("remote", event.remote),
        ];
        for (name, text) in known {
            if let Some(text) = text {
                parameter(&mut line, name, text);
            }
        }
        line.push(']');
        if !event.fields.is_empty() {
            let _ = write!(line, "[event@{}", set.enterprise);
            for (field, v) in &event.fields {
                parameter(&mut line, &name(field), &value(v));
            }
            line.push(']');
        }
        line.push(' ');
        line.push_str(&sentence(event));
        line.push('\n');
        lines.extend_from_slice(line.as_bytes());
        Ok(())
    }
}

/// PARAM-VALUE with its three escapes; control characters would break the line.
fn parameter(line: &mut String, name: &str, text: &str) {
    line.push(' ');
    line.push_str(name);
    line.push_str("=\"");
    for c in text.chars() {
        match c {
            '"' | '\\' | ']' => line.extend(['\\', c]),
            c if c.is_control() => line.push('\u{fffd}'),
            c => line.push(c),
        }
    }
    line.push('"');
}

/// MSGID or SD-NAME: at most 32 printable ASCII characters, without those that have a meaning.
fn name(text: &str) -> String {
    let good = |c: char| c.is_ascii_graphic() && !matches!(c, '=' | ']' | '"');
    let name: String = text.chars().filter(|c| good(*c)).take(32).collect();
    if name.is_empty() {
        "-".to_owned()
    } else {
        name
    }
}

fn severity(severity: Severity) -> u32 {
    match severity {
        Severity::Error => 3,
        Severity::Warning => 4,
        Severity::Notice => 5,
        Severity::Info => 6,
        Severity::Debug => 7,
    }
}

hawser_sdk::export_log_format!(Syslog);

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_sdk::testing::log::{event, lines};
    use hawser_sdk::{configure, testing};

    #[test]
    fn it_is_what_it_says() {
        testing::check::<Syslog>();
        let path = |text| configure::<Syslog>(text).expect_err("refused").path;
        assert_eq!(path(r#"{"hostname": ""}"#), "/hostname");
        assert_eq!(path(r#"{"app-name": "two words"}"#), "/app-name");
        assert_eq!(path(r#"{"facility": "local8"}"#), "/facility");
    }

    #[test]
    fn a_message_with_structured_data() {
        let mut plugin: Syslog = configure("{}").expect("defaults");
        let mut moved = event("endpoint_moved")
            .with("from", "10.0.0.1:4500")
            .with("note", "a \"b\\c] d\ne");
        moved.severity = Severity::Notice;
        assert_eq!(
            lines(&mut plugin, &[moved]),
            [
                "<29>1 2023-11-08T02:36:03.634000Z - hawser - endpoint_moved \
                 [hawser@32473 sequence=\"1\" shard=\"0\" tenant=\"default\" template=\"branches\" \
                 identity=\"test\" device=\"7\" local=\"183.203.181.185/4500\" \
                 remote=\"120.208.142.17/8192\"]\
                 [event@32473 from=\"10.0.0.1:4500\" note=\"a \\\"b\\\\c\\] d\u{fffd}e\"] \
                 endpoint moved: from=10.0.0.1:4500 note=a \"b\\c] d\u{fffd}e"
            ]
        );
    }

    #[test]
    fn header_and_names_stay_well_formed() {
        let settings = r#"{"facility": "local4", "hostname": "hq.example", "enterprise": 25506}"#;
        let mut plugin: Syslog = configure(settings).expect("good");
        let mut odd = event("an event = with ] a \"name\" that is much too long");
        odd.severity = Severity::Error;
        (odd.tenant, odd.template, odd.identity) = (None, None, None);
        (odd.device, odd.local, odd.remote) = (None, None, None);
        let line = &lines(&mut plugin, &[odd])[0];
        let header = "<163>1 2023-11-08T02:36:03.634000Z hq.example hawser - \
                      aneventwithanamethatismuchtoolon [hawser@25506 sequence=\"1\" shard=\"0\"] ";
        assert!(line.starts_with(header), "{line}");
    }
}
