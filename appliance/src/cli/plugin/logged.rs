//! Recorded events played to a log format, its lines beside those of the built-in one.

use super::bench::Bench;
use super::scenario::lines;
use crate::report;
use anyhow::anyhow;
use hawser_engine::{built_in_line, recorded_event, told_event};
use hawser_flight::Record;
use hawser_plugin::log::{Event, sample_events};
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;
use std::fmt::Write as _;
use std::slice;

const BUILT_IN: &str = "built-in";

/// An event as plugins are told of it, and as the gateway has it; `None`: it has no such event.
struct Happened {
    told: Event,
    record: Option<Record>,
}

impl From<Event> for Happened {
    fn from(told: Event) -> Self {
        let record = recorded_event(&told);
        Self { told, record }
    }
}

/// Either a record of the gateway or the simulator, or what plugins are told, as bug reports hold it. A record has no number
/// of its own.
impl<'de> Deserialize<'de> for Happened {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        if value.get("event").is_none() {
            let told: Event = serde_json::from_value(value).map_err(Error::custom)?;
            return Ok(told.into());
        }
        let record: Record = serde_json::from_value(value).map_err(Error::custom)?;
        Ok(Self {
            told: told_event(&record, 0),
            record: Some(record),
        })
    }
}

/// For each event the line of the built-in format, and below it what the plugin makes of it; `-` where one has no line.
pub(super) fn play(bench: &Bench, scenario: &str) -> anyhow::Result<String> {
    let all: Vec<Happened> = match scenario {
        "sample" => sample_events().into_iter().map(Happened::from).collect(),
        file => lines(file, report::EVENTS)?,
    };
    let plugin = &bench.checked.description.name;
    let width = plugin.len().max(BUILT_IN.len());
    let mut format = bench.log();
    let mut text = String::new();
    for (number, mut happened) in (1..).zip(all) {
        if happened.told.sequence == 0 {
            happened.told.sequence = number;
        }
        let built_in = happened.record.as_ref().map(built_in_line);
        let built_in = built_in.as_deref().unwrap_or("-");
        writeln!(text, "{BUILT_IN:<width$}  {built_in}")?;
        let written = format(slice::from_ref(&happened.told))
            .map_err(|failure| anyhow!("event {number}, {}: {failure}", happened.told.name))?;
        let written = String::from_utf8_lossy(&written);
        let own = if written.is_empty() { "-" } else { &written };
        for line in own.lines() {
            writeln!(text, "{plugin:<width$}  {line}")?;
        }
    }
    Ok(text)
}
