//! The thread that makes lines of events.

use super::lines::Lines;
use super::output::{Output, Retired};
use super::rate::Bounds;
use super::{Shared, level, told};
use crate::events::{EventBus, EventStream, Feed};
use crate::incidents::unix_ms;
use hawser_flight::{Event, Record};
use hawser_plugin::LogHost;
use hawser_policy::{LogLevel, LogSettings};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

/// How long outputs may take for the lines that wait when they end.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How often it is looked whether they have ended.
const LOOK: Duration = Duration::from_millis(10);

/// A record and its number.
type Numbered = (u64, Arc<Record>);

/// What the thread works with.
pub(super) struct Writer {
    shared: Arc<Shared>,
    source: EventStream,
    bus: EventBus,
    plugins: Option<LogHost>,
    settings: Arc<LogSettings>,
    floor: Option<LogLevel>,
    bounds: Bounds,
    outputs: Vec<Output>,
    retired: Vec<Retired>,
    sequence: u64,
    /// Events that are not in the log and were not told of yet.
    left_out: u64,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        source: EventStream,
        bus: EventBus,
        plugins: Option<LogHost>,
    ) -> Self {
        let settings = shared.settings();
        let bounds = Bounds::new(settings.rate, Instant::now());
        let mut writer = Self {
            shared,
            source,
            bus,
            plugins,
            floor: None,
            settings,
            bounds,
            outputs: Vec::new(),
            retired: Vec::new(),
            sequence: 0,
            left_out: 0,
        };
        writer.set_up();
        writer
    }

    /// Until the last event.
    pub(super) fn run(mut self) {
        let mut batch = Vec::with_capacity(hawser_plugin::log::BATCH);
        while let Some(first) = self.source.wait() {
            self.follow_settings();
            self.take(first, &mut batch);
            while batch.len() < hawser_plugin::log::BATCH
                && let Some(next) = self.source.take()
            {
                self.take(next, &mut batch);
            }
            self.write(&batch);
            batch.clear();
        }
        self.tell_left_out(&mut batch);
        self.write(&batch);
        self.end();
    }

    /// Other settings come with an event that wakes the thread: [`Event::ConfigApplied`].
    fn follow_settings(&mut self) {
        let settings = self.shared.settings();
        if !Arc::ptr_eq(&settings, &self.settings) {
            if settings.rate != self.settings.rate {
                self.bounds = Bounds::new(settings.rate, Instant::now());
            }
            self.settings = settings;
            self.set_up();
        }
    }

    /// The outputs as they are set: those that stay go on with what waits for them.
    fn set_up(&mut self) {
        self.floor = self.settings.level.or_else(level::of_environment);
        self.retired.retain(|retired| !retired.is_gone());
        let mut old = std::mem::take(&mut self.outputs);
        for what in &self.settings.outputs {
            if let Some(at) = old.iter().position(|output| output.what == *what) {
                self.outputs.push(old.swap_remove(at));
                continue;
            }
            let tally = self.shared.tally(what);
            match Output::start(what.clone(), tally, self.bus.clone()) {
                Ok(output) => self.outputs.push(output),
                Err(error) => tracing::error!("no thread for the log's output {what}: {error}"),
            }
        }
        let until = Instant::now() + LAST_LINES;
        self.retired
            .extend(old.into_iter().map(|o| o.retire(until)));
    }

    fn take(&mut self, feed: Feed, batch: &mut Vec<Numbered>) {
        let record = match feed {
            Feed::Lost(count) => {
                self.sequence += count;
                self.left_out += count;
                self.shared.overflown.fetch_add(count, Relaxed);
                return;
            }
            Feed::Event(record) => record,
        };
        self.sequence += 1;
        if self
            .floor
            .is_none_or(|floor| level::of(&record.event) < floor)
        {
            return;
        }
        if !self.bounds.allow(&record.event, Instant::now()) {
            self.left_out += 1;
            self.shared.limited.fetch_add(1, Relaxed);
            return;
        }
        self.tell_left_out(batch);
        batch.push((self.sequence, record));
    }

    fn tell_left_out(&mut self, batch: &mut Vec<Numbered>) {
        let count = std::mem::take(&mut self.left_out);
        if count > 0 && self.floor.is_some() {
            let record = Record {
                unix_ms: unix_ms(),
                shard: 0,
                peer: None,
                event: Event::EventsLeftOut { count },
            };
            self.sequence += 1;
            batch.push((self.sequence, Arc::new(record)));
        }
    }

    fn write(&mut self, batch: &[Numbered]) {
        if batch.is_empty() || self.outputs.is_empty() {
            return;
        }
        let lines = self.written(batch).unwrap_or_else(|| self.built_in(batch));
        let lines = Arc::new(lines);
        self.outputs.iter().for_each(|output| output.put(&lines));
    }

    /// The lines of the plugin; `None`: there is none, or it failed, which it has told itself.
    fn written(&mut self, batch: &[Numbered]) -> Option<Lines> {
        let host = self.plugins.as_mut()?;
        if !host.is_loaded() {
            return None;
        }
        let events: Vec<_> = batch.iter().map(|(n, r)| told::event(r, *n)).collect();
        let mut out = Vec::new();
        host.format(&events, &mut out)?.ok()?;
        let mut lines = Lines::default();
        lines.push_written(&out, self.settings.line);
        Some(lines)
    }

    fn built_in(&self, batch: &[Numbered]) -> Lines {
        let mut lines = Lines::default();
        for (_, record) in batch {
            lines.push_record(record, self.settings.line);
        }
        lines
    }

    /// The outputs write what waits for them; those that are stuck are left behind.
    fn end(mut self) {
        let until = Instant::now() + LAST_LINES;
        let outputs = self.outputs.drain(..);
        self.retired.extend(outputs.map(|o| o.retire(until)));
        while !self.retired.iter().all(Retired::is_gone) && Instant::now() < until + LOOK {
            thread::sleep(LOOK);
        }
    }
}
