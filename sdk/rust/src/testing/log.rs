//! Events to format.

use crate::log::{Event, LogFormat, Severity, Value};

/// An event of the device `test` of the case, without fields of its own.
pub fn event(name: &str) -> Event<'_> {
    Event {
        time_unix_ns: 1_699_410_963_634_000_000,
        sequence: 1,
        shard: 0,
        severity: Severity::Info,
        name,
        tenant: Some("default"),
        template: Some("branches"),
        identity: Some("test"),
        device: Some(7),
        local: Some("183.203.181.185/4500"),
        remote: Some("120.208.142.17/8192"),
        fields: Vec::new(),
        ext: "",
    }
}

impl<'a> Event<'a> {
    /// The same event with one more field.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: impl Into<Value<'a>>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// The lines that a plugin makes of these events.
///
/// # Panics
/// Where it refuses one, or breaks what the host demands: UTF-8, whole lines, 64 KiB an event.
pub fn lines<P: LogFormat>(plugin: &mut P, events: &[Event<'_>]) -> Vec<String> {
    let mut all = Vec::new();
    for event in events {
        let mut lines = Vec::new();
        let formatted = plugin.format(event, &mut lines);
        formatted.unwrap_or_else(|e| panic!("{} is refused: {e}", event.name));
        assert!(lines.len() <= 65_536, "{}: more than 64 KiB", event.name);
        let text = String::from_utf8(lines).expect("lines are UTF-8");
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "{}: the last line has no line feed",
            event.name
        );
        all.extend(text.lines().map(str::to_owned));
    }
    all
}
