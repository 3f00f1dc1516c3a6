//! The hook of log formatting.

use std::sync::Arc;

use crate::bindings::log_format::exports::hawser::plugin::log as wit;
use crate::fault::{Decided, Failure, Origin, PluginFault};
use crate::generation::Reused;
use crate::hooks::Plugins;
use crate::instance::Live;
use crate::text::clean;
use crate::world::Log;

pub use wit::{Event, Value};

/// Events of one call; longer batches are split.
pub const BATCH: usize = 256;
/// Octets of lines for each event of a call.
pub const EVENT: usize = 64 << 10;

/// The log-format plugin as one log thread sees it: one instance, reused.
pub struct LogHost {
    plugins: Arc<Plugins>,
    revision: u64,
    reused: Option<Reused<Log>>,
}

impl LogHost {
    /// A log thread's view of `plugins`; only plugins of the global scope format logs.
    pub fn new(plugins: Arc<Plugins>) -> Self {
        Self {
            plugins,
            revision: 0,
            reused: None,
        }
    }

    /// Appends whole lines for all events to `out`; `None`: no plugin is loaded.
    ///
    /// On a failure `out` is as it was: format the same events in the built-in format, and none is lost.
    pub fn format(
        &mut self,
        events: &[Event],
        out: &mut Vec<u8>,
    ) -> Option<Result<Origin, Failure>> {
        let revision = self.plugins.revision();
        if revision != self.revision {
            self.reused = self.plugins.log().map(Reused::new);
            self.revision = revision;
        }
        let before = out.len();
        let result = self.reused.as_mut()?.call(|live| {
            for batch in events.chunks(BATCH) {
                out.extend(format(live, batch)?);
                live.meter().outcome(0, batch.len() as u64);
            }
            Ok(())
        });
        if result.is_err() {
            out.truncate(before);
        }
        Some(result.map(|Decided { origin, .. }| origin))
    }
}

fn format(live: &mut Live<Log>, batch: &[Event]) -> Result<Vec<u8>, PluginFault> {
    let most = EVENT * batch.len();
    let answer = live.enter(most + EVENT, |bindings, store| {
        bindings.hawser_plugin_log().call_format(store, batch)
    })?;
    let lines = answer.map_err(|message| PluginFault::Declined(clean(&message, 1024)))?;
    if lines.len() > most {
        return Err(PluginFault::TooMuchOutput(format!(
            "{} octets for {} events, at most {EVENT} an event",
            lines.len(),
            batch.len()
        )));
    }
    if lines.last().is_some_and(|last| *last != b'\n') {
        return Err(PluginFault::BadAnswer(
            "its last line has no line feed".into(),
        ));
    }
    Ok(lines)
}

/// Events as a self-test shows them: one with everything, one with nothing.
pub fn sample_events() -> Vec<Event> {
    let bare = Event {
        time_unix_ns: 1_700_000_000_000_000_000,
        sequence: 1,
        shard: 0,
        severity: "info".into(),
        name: "self_test".into(),
        tenant: None,
        template: None,
        identity: None,
        device: None,
        local: None,
        remote: None,
        fields: Vec::new(),
        ext: Vec::new(),
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
    format(live, &sample_events()).map(drop)
}
