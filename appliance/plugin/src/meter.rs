//! What is counted of a plugin, and its voice in the gateway's log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::component::Hook;
use crate::event::{LogLevel, PluginEvent, Sink};
use crate::fault::{Origin, PluginFault};
use crate::text::clean;

const LINE: usize = 1024;
const LINES_A_SECOND: u32 = 20;
const COUNTERS: usize = 32;
const COUNTER_NAME: usize = 64;

/// Counters of one plugin in one place; they outlive its generations.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) calls: AtomicU64,
    pub(crate) answers: AtomicU64,
    pub(crate) outcomes: [AtomicU64; 4],
    pub(crate) starts: AtomicU64,
    pub(crate) busy_ns: AtomicU64,
    pub(crate) longest_ns: AtomicU64,
    pub(crate) memory: AtomicU64,
    pub(crate) lines: AtomicU64,
    pub(crate) lines_dropped: AtomicU64,
    faults: Mutex<BTreeMap<&'static str, u64>>,
    counters: Mutex<BTreeMap<String, u64>>,
    window: Mutex<Option<(Instant, u32)>>,
}

impl Meter {
    pub(crate) fn called(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.calls.fetch_add(1, Relaxed);
        self.busy_ns.fetch_add(took, Relaxed);
        self.longest_ns.fetch_max(took, Relaxed);
    }

    pub(crate) fn outcome(&self, index: usize, count: u64) {
        self.answers.fetch_add(count, Relaxed);
        self.outcomes[index].fetch_add(count, Relaxed);
    }

    pub(crate) fn fault(&self, fault: &PluginFault) {
        *lock(&self.faults).entry(fault.code()).or_default() += 1;
    }

    pub(crate) fn faults(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.faults).clone()
    }

    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        lock(&self.counters).clone()
    }

    fn count(&self, name: &str, delta: u64) {
        if !is_counter(name) {
            return;
        }
        let mut counters = lock(&self.counters);
        if let Some(value) = counters.get_mut(name) {
            *value = value.saturating_add(delta);
        } else if counters.len() < COUNTERS {
            counters.insert(name.to_owned(), delta);
        }
    }

    /// Whether one more line of this second is kept.
    fn may_log(&self) -> bool {
        let now = Instant::now();
        let mut window = lock(&self.window);
        let (start, used) = window
            .filter(|(start, _)| now - *start < Duration::from_secs(1))
            .unwrap_or((now, 0));
        *window = Some((start, used.saturating_add(1)));
        let keep = used < LINES_A_SECOND;
        let counter = if keep {
            &self.lines
        } else {
            &self.lines_dropped
        };
        counter.fetch_add(1, Relaxed);
        keep
    }
}

/// `[a-z][a-z0-9_]*`, at most 64 octets.
fn is_counter(name: &str) -> bool {
    name.len() <= COUNTER_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Nothing that panics runs under these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who an instance is to the rest of the gateway.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    pub(crate) hook: Hook,
    pub(crate) origin: Origin,
    pub(crate) meter: Arc<Meter>,
    pub(crate) sink: Sink,
}

impl Voice {
    pub(crate) fn log(&self, level: LogLevel, message: &str) {
        if self.meter.may_log() {
            self.sink.send(PluginEvent::Log {
                hook: self.hook,
                origin: self.origin.clone(),
                level,
                message: clean(message, LINE),
            });
        }
    }

    pub(crate) fn count(&self, name: &str, delta: u64) {
        self.meter.count(name, delta);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_few_and_well_named() {
        let meter = Meter::default();
        meter.count("seen", 2);
        meter.count("seen", u64::MAX);
        for bad in ["", "Upper", "9lives", "with space", &"x".repeat(65)] {
            meter.count(bad, 1);
        }
        assert_eq!(
            meter.counters(),
            BTreeMap::from([("seen".into(), u64::MAX)])
        );
        for number in 0..100 {
            meter.count(&format!("n{number}"), 1);
        }
        assert_eq!(meter.counters().len(), COUNTERS);
    }

    #[test]
    fn lines_are_limited() {
        let meter = Meter::default();
        let kept = (0..100).filter(|_| meter.may_log()).count();
        assert_eq!(kept, 20);
        assert_eq!(meter.lines_dropped.load(Relaxed), 80);
    }
}
