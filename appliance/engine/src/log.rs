//! The log: what happens becomes lines, which go to every output.
//!
//! A thread of its own ([`writer`]) takes the events from the bus in batches, at a bounded rate. A
//! log-format plugin makes the lines where one is loaded; where there is none, or it fails, the
//! built-in format does ([`crate::sentence`]), so that no event is lost by a plugin. Each output has
//! a bounded queue and a thread ([`output`]): the log waits for none of them.

mod level;
mod lines;
mod metrics;
mod output;
mod rate;
mod told;
mod writer;

pub use lines::built_in;
pub(crate) use metrics::describe;
pub use told::{
    event as told_event, fields as event_fields, record as recorded_event,
    severity as event_severity,
};

use crate::events::{EventBus, EventStream};
use hawser_plugin::{LogHost, Plugins};
use hawser_policy::{LogOutput, LogSettings};
use output::Tally;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use writer::Writer;

/// The log of a gateway.
pub(crate) struct Log {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread shares with those who change and count it.
struct Shared {
    settings: Mutex<Arc<LogSettings>>,
    /// By output, in this run.
    tallies: Mutex<BTreeMap<String, Arc<Tally>>>,
    /// Events that came faster than the thread took them.
    overflown: AtomicU64,
    /// Events over the rate.
    limited: AtomicU64,
}

impl Log {
    /// Starts the thread: what comes of `events` is in the log, until the bus is closed.
    pub(crate) fn start(
        settings: LogSettings,
        events: EventStream,
        bus: &EventBus,
        plugins: Option<Arc<Plugins>>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            settings: Mutex::new(Arc::new(settings)),
            tallies: Mutex::default(),
            overflown: AtomicU64::new(0),
            limited: AtomicU64::new(0),
        });
        let writer = Writer::new(
            Arc::clone(&shared),
            events,
            bus.clone(),
            plugins.map(LogHost::new),
        );
        let thread = Builder::new()
            .name("hawser-log".into())
            .spawn(move || writer.run())?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Other settings; they hold from the next event on.
    pub(crate) fn change(&self, settings: &LogSettings) {
        let mut current = lock(&self.shared.settings);
        if **current != *settings {
            *current = Arc::new(settings.clone());
        }
    }

    /// Waits until the last lines are written, once the bus is closed: about a second at most.
    pub(crate) fn join(&self) {
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }

    pub(crate) fn publish(&self) {
        metrics::publish(&self.shared);
    }
}

impl Shared {
    fn settings(&self) -> Arc<LogSettings> {
        Arc::clone(&lock(&self.settings))
    }

    /// The counters of an output; they go on where one comes back.
    fn tally(&self, output: &LogOutput) -> Arc<Tally> {
        Arc::clone(lock(&self.tallies).entry(output.to_string()).or_default())
    }
}

/// Nothing panics under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
