//! The hook of log formatting.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::batch::Texts;
use crate::fault::{Decided, Failure, Origin, PluginFault};
use crate::generation::Reused;
use crate::hooks::Plugins;
use crate::instance::Live;
use crate::text::clean;
use crate::wire::{self, Span, Wired};
use crate::world::Log;

/// A value of an event's field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Text.
    Text(String),
    /// A number below zero, or one that may be.
    Integer(i64),
    /// A number that is never below zero.
    Unsigned(u64),
    /// A number with a fraction.
    Number(f64),
    /// Yes or no.
    Boolean(bool),
}

/// An event to format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_unix_ns: u64,
    /// Counted from 1 over the whole gateway.
    pub sequence: u64,
    /// Which shard saw it.
    pub shard: u16,
    /// How grave it is.
    pub severity: Severity,
    /// Its name, e.g. `probe_sent`.
    pub name: String,
    /// Tenant of its device.
    pub tenant: Option<String>,
    /// Template of its device.
    pub template: Option<String>,
    /// Authenticated identity of its device.
    pub identity: Option<String>,
    /// Number of its device in this run, from 1.
    pub device: Option<u64>,
    /// Our outer endpoint as `192.0.2.1/4500`.
    pub local: Option<String>,
    /// The device's outer endpoint.
    pub remote: Option<String>,
    /// Its own fields, by the names of the events' JSON.
    pub fields: Vec<(String, Value)>,
}

/// How grave an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// For those who look for something.
    Debug,
    /// For the record.
    Info,
    /// Worth a look.
    Notice,
    /// Something may be wrong.
    Warning,
    /// Something is wrong.
    Error,
}

/// Events of one call; longer batches are split.
pub const BATCH: usize = 256;
/// Octets of lines for each event of a call.
pub const EVENT: usize = 64 << 10;

/// The log-format plugin as one log thread sees it: one instance, reused.
pub struct LogHost {
    plugins: Arc<Plugins>,
    revision: u64,
    reused: Option<Reused<Log>>,
    batch: Batch,
}

impl LogHost {
    /// A log thread's view of `plugins`; only plugins of the global scope format logs.
    pub fn new(plugins: Arc<Plugins>) -> Self {
        Self {
            plugins,
            revision: 0,
            reused: None,
            batch: Batch::default(),
        }
    }

    /// Whether a plugin is loaded; it may be disabled.
    pub fn is_loaded(&mut self) -> bool {
        let revision = self.plugins.revision();
        if revision != self.revision {
            self.reused = self.plugins.log().map(Reused::new);
            self.revision = revision;
        }
        self.reused.is_some()
    }

    /// Appends whole lines for all events to `out`; `None`: no plugin is loaded.
    ///
    /// On a failure `out` is as it was: format the same events in the built-in format, and none is lost.
    pub fn format(
        &mut self,
        events: &[Event],
        out: &mut Vec<u8>,
    ) -> Option<Result<Origin, Failure>> {
        self.is_loaded();
        let before = out.len();
        let batch = &mut self.batch;
        let result = self.reused.as_mut()?.call(|live| {
            live.put(events, BATCH, |live, chunk| {
                out.extend_from_slice(&batch.format(live, chunk)?);
                live.meter().outcome(0, chunk.len() as u64);
                Ok(())
            })
        });
        if result.is_err() {
            out.truncate(before);
        }
        Some(result.map(|Decided { origin, .. }| origin))
    }
}

/// The events of one call as the contract carries them; kept for its room.
#[derive(Default)]
struct Batch {
    texts: Texts,
    fields: Vec<Wired<wire::Field>>,
    events: Vec<Wired<wire::Event>>,
}

impl Batch {
    fn format(&mut self, live: &mut Live<Log>, events: &[Event]) -> Result<Vec<u8>, PluginFault> {
        self.texts.clear();
        self.fields.clear();
        self.events.clear();
        for event in events {
            self.put(event);
        }
        let most = EVENT * events.len();
        let answer = live.enter(most + EVENT, |bindings, store| {
            let texts = self.texts.as_str();
            bindings.hook.call(store, texts, &self.fields, &self.events)
        })?;
        let lines = answer.map_err(|message| PluginFault::Declined(clean(&message, 1024)))?;
        if lines.len() > most {
            return Err(PluginFault::TooMuchOutput(format!(
                "{} octets for {} events, at most {EVENT} an event",
                lines.len(),
                events.len()
            )));
        }
        if lines.last().is_some_and(|last| *last != b'\n') {
            return Err(PluginFault::BadAnswer(
                "its last line has no line feed".into(),
            ));
        }
        Ok(lines)
    }

    fn put(&mut self, event: &Event) {
        let texts = &mut self.texts;
        let first_field = self.fields.len();
        for (name, value) in &event.fields {
            let name = texts.put(name);
            let (case, value) = match value {
                Value::Text(text) => (0, texts.put(text).packed()),
                Value::Integer(number) => (1, number.cast_unsigned()),
                Value::Unsigned(number) => (2, *number),
                Value::Number(number) => (3, number.to_bits()),
                Value::Boolean(truth) => (4, u64::from(*truth)),
            };
            self.fields.push(Wired(wire::Field {
                name,
                case,
                padding: [0; 7],
                value,
            }));
        }
        let mut text = |text: &Option<String>| texts.put(text.as_deref().unwrap_or_default());
        self.events.push(Wired(wire::Event {
            time_unix_ns: event.time_unix_ns,
            sequence: event.sequence,
            device: event.device.unwrap_or(0),
            shard: event.shard,
            severity: event.severity as u8,
            tenant: text(&event.tenant),
            template: text(&event.template),
            identity: text(&event.identity),
            local: text(&event.local),
            remote: text(&event.remote),
            name: texts.put(&event.name),
            // A batch of 256 events does not have 2^32 fields: each takes memory of ours.
            first_field: u32::try_from(first_field).unwrap_or(u32::MAX),
            fields: u32::try_from(event.fields.len()).unwrap_or(0),
            ext: Span::default(),
            padding: 0,
            end: [0; 4],
        }));
    }
}

/// Events as a self-test shows them: one with everything, one with nothing.
pub fn sample_events() -> Vec<Event> {
    let bare = Event {
        time_unix_ns: 1_700_000_000_000_000_000,
        sequence: 1,
        shard: 0,
        severity: Severity::Info,
        name: "self_test".into(),
        tenant: None,
        template: None,
        identity: None,
        device: None,
        local: None,
        remote: None,
        fields: Vec::new(),
    };
    let full = Event {
        sequence: 2,
        name: "probe_sent".into(),
        tenant: Some("self-test".into()),
        template: Some("self-test".into()),
        identity: Some("self-test".into()),
        device: Some(1),
        local: Some("192.0.2.1/4500".into()),
        remote: Some("198.51.100.7/61234".into()),
        fields: vec![
            ("text".into(), Value::Text("\"a\"\n\\".into())),
            ("integer".into(), Value::Integer(-1)),
            ("unsigned".into(), Value::Unsigned(u64::MAX)),
            ("number".into(), Value::Number(0.5)),
            ("boolean".into(), Value::Boolean(true)),
        ],
        ..bare.clone()
    };
    vec![bare, full]
}

pub(crate) fn canary(live: &mut Live<Log>) -> Result<(), PluginFault> {
    Batch::default().format(live, &sample_events()).map(drop)
}
