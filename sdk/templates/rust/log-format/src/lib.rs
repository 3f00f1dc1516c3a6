//! One line for each event: its time, name and identity.

use hawser_sdk::log::{Event, LogFormat};
use hawser_sdk::{About, Plugin, SettingsError};
use serde::Deserialize;
use std::io::Write;

/// What the operator may set: settings.schema.json says the same.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    prefix: String,
}

/// The format.
pub struct Format {
    settings: Settings,
}

impl Plugin for Format {
    type Settings = Settings;
    const ABOUT: About = hawser_sdk::about!(include_str!("../settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, SettingsError> {
        Ok(Self { settings })
    }
}

impl LogFormat for Format {
    fn format(&mut self, event: &Event<'_>, lines: &mut Vec<u8>) -> Result<(), String> {
        let identity = event.identity.unwrap_or("-");
        let (prefix, seconds) = (&self.settings.prefix, event.time_unix_ns / 1_000_000_000);
        writeln!(lines, "{prefix}{seconds} {} {identity}", event.name).map_err(|e| e.to_string())
    }
}

hawser_sdk::export_log_format!(Format);

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_sdk::testing::log::{event, lines};
    use hawser_sdk::{configure, testing};

    #[test]
    fn the_host_would_load_it() {
        testing::check::<Format>();
    }

    #[test]
    fn an_event_is_a_line() {
        let mut format = configure::<Format>(r#"{"prefix": "hq "}"#).unwrap();
        let all = lines(&mut format, &[event("peer_up")]);
        assert_eq!(all, ["hq 1699410963 peer_up test"]);
    }
}
