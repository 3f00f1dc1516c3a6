//! One instance of a plugin: a store with limits that is thrown away after any fault.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use wasmtime::{PoolConcurrencyLimitError, ResourceLimiter, Store, Trap, WasmBacktrace};

use crate::bindings::dpd_policy::hawser::plugin::host;
use crate::clock::CallClock;
use crate::engine::{Limits, PluginEngine, Pulse};
use crate::event::LogLevel;
use crate::fault::PluginFault;
use crate::meter::{Meter, Voice};
use crate::pace::Pace;
use crate::text::clean;
use crate::world::{Description, World};

/// What may flow from an instance to the host in one call, beside the answer of its hook.
const HOST_CALL: usize = 256 << 10;
const BACKTRACE: usize = 4096;

/// What belongs to one store.
#[derive(Debug)]
pub(crate) struct HostState {
    room: Room,
    clock: CallClock,
    pulse: Arc<Pulse>,
    voice: Voice,
    /// The last line at level `error`: what a panic hook says before the trap.
    last_words: Option<String>,
}

impl host::Host for HostState {
    fn log(&mut self, level: host::Level, message: String) {
        let level = match level {
            host::Level::Debug => LogLevel::Debug,
            host::Level::Info => LogLevel::Info,
            host::Level::Warn => LogLevel::Warn,
            host::Level::Error => LogLevel::Error,
        };
        if level == LogLevel::Error {
            self.last_words = Some(clean(&message, 1024));
        }
        self.voice.log(level, &message);
    }

    fn count(&mut self, name: String, delta: u64) {
        self.voice.count(&name, delta);
    }
}

/// Bounds memories and tables of a store, all together.
#[derive(Debug)]
struct Room {
    memory_limit: usize,
    memory: usize,
    table_limit: usize,
    table: usize,
    refused: bool,
}

impl Room {
    fn new(limits: &Limits) -> Self {
        Self {
            memory_limit: limits.memory,
            memory: 0,
            table_limit: limits.table_elements,
            table: 0,
            refused: false,
        }
    }
}

impl ResourceLimiter for Room {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.memory_limit {
            self.refused = true;
            return Ok(false);
        }
        self.memory = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.table.saturating_add(desired.saturating_sub(current));
        let fits = total <= self.table_limit;
        if fits {
            self.table = total;
        }
        Ok(fits)
    }
}

/// An instance that has taken its settings.
pub(crate) struct Live<W: World> {
    store: Store<HostState>,
    bindings: W::Bindings,
    deadline: Duration,
    pace: Pace,
    calls: u64,
    most_calls: u64,
    most_memory: usize,
}

impl<W: World> Live<W> {
    /// Instantiates without `init`: good for `describe` alone.
    pub(crate) fn instantiate(
        engine: &PluginEngine,
        pre: &W::Pre,
        voice: Voice,
    ) -> Result<Self, PluginFault> {
        let limits = engine.limits();
        let state = HostState {
            room: Room::new(limits),
            clock: CallClock::new(),
            pulse: Arc::clone(engine.pulse()),
            voice,
            last_words: None,
        };
        let mut store = Store::new(engine.wasmtime(), state);
        store.limiter(|state| &mut state.room);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().clock.expired()));
        store.set_hostcall_fuel(HOST_CALL);
        arm(&mut store, limits.start_deadline);
        let bindings = W::instantiate(pre, &mut store)
            .map_err(|error| fault_of(&error, &store, Stage::Start))?;
        let state = store.data();
        let base = state.room.memory;
        state.voice.meter.starts.fetch_add(1, Relaxed);
        state.voice.meter.memory.fetch_max(base as u64, Relaxed);
        Ok(Self {
            bindings,
            deadline: limits.deadline,
            pace: Pace::new(limits.deadline),
            calls: 0,
            most_calls: limits.calls_per_instance,
            most_memory: base + (limits.memory.saturating_sub(base)) / 2,
            store,
        })
    }

    /// Instantiates and gives it its settings.
    pub(crate) fn start(
        engine: &PluginEngine,
        pre: &W::Pre,
        voice: Voice,
        settings: &str,
    ) -> Result<Self, PluginFault> {
        let mut live = Self::instantiate(engine, pre, voice)?;
        live.init(engine.limits().start_deadline, settings)?;
        Ok(live)
    }

    pub(crate) fn init(&mut self, deadline: Duration, settings: &str) -> Result<(), PluginFault> {
        arm(&mut self.store, deadline);
        match W::init(&self.bindings, &mut self.store, settings) {
            Ok(Ok(())) => Ok(()),
            Ok(Err((path, message))) => Err(PluginFault::Init {
                path: clean(&path, 256),
                message: clean(&message, 1024),
            }),
            Err(error) => Err(fault_of(&error, &self.store, Stage::Call)),
        }
    }

    pub(crate) fn describe(&mut self, deadline: Duration) -> Result<Description, PluginFault> {
        arm(&mut self.store, deadline);
        W::describe(&self.bindings, &mut self.store)
            .map_err(|error| fault_of(&error, &self.store, Stage::Call))
    }

    /// Enters the hook's function under the deadline; the answer is at most `output` octets.
    pub(crate) fn enter<T>(
        &mut self,
        output: usize,
        call: impl FnOnce(&W::Bindings, &mut Store<HostState>) -> wasmtime::Result<T>,
    ) -> Result<T, PluginFault> {
        self.calls += 1;
        self.store.set_hostcall_fuel(output.max(HOST_CALL));
        arm(&mut self.store, self.deadline);
        let result = call(&self.bindings, &mut self.store);
        let state = self.store.data();
        state
            .voice
            .meter
            .memory
            .fetch_max(state.room.memory as u64, Relaxed);
        result.map_err(|error| fault_of(&error, &self.store, Stage::Call))
    }

    /// Puts all `questions`, in order, as many in each call as its pace allows and `most` at most.
    pub(crate) fn put<Q>(
        &mut self,
        questions: &[Q],
        most: usize,
        mut call: impl FnMut(&mut Self, &[Q]) -> Result<(), PluginFault>,
    ) -> Result<(), PluginFault> {
        let mut rest = questions;
        while !rest.is_empty() {
            let (chunk, later) = rest.split_at(self.pace.questions().min(rest.len()));
            // One question has no pace, and reading the clock would be a tenth of it.
            let begun = (chunk.len() > 1).then(Instant::now);
            call(self, chunk)?;
            if let Some(begun) = begun {
                self.pace.took(chunk.len(), begun.elapsed(), most);
            }
            rest = later;
        }
        Ok(())
    }

    /// Where its answers are counted.
    pub(crate) fn meter(&self) -> &Meter {
        &self.store.data().voice.meter
    }

    /// Whether it has served long enough.
    pub(crate) fn is_tired(&self) -> bool {
        self.calls >= self.most_calls || self.store.data().room.memory > self.most_memory
    }
}

/// Every entry needs a fresh deadline: an old one would end it at once, or never.
fn arm(store: &mut Store<HostState>, budget: Duration) {
    let state = store.data_mut();
    state.room.refused = false;
    state.last_words = None;
    state.pulse.call();
    let ticks = state.clock.arm(budget);
    store.set_epoch_deadline(ticks);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Call,
}

fn fault_of(error: &wasmtime::Error, store: &Store<HostState>, stage: Stage) -> PluginFault {
    let state = store.data();
    let backtrace = || {
        let trace = error.downcast_ref::<WasmBacktrace>();
        let lines = trace.map_or_else(String::new, ToString::to_string);
        cut(lines.trim_end(), BACKTRACE)
    };
    let words = || match &state.last_words {
        Some(words) => format!("{words}\n{}", backtrace()),
        None => backtrace(),
    };
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => PluginFault::Deadline {
            limit: state.clock.budget(),
            backtrace: backtrace(),
        },
        Some(Trap::StackOverflow) => PluginFault::Stack(backtrace()),
        _ if state.room.refused => PluginFault::Memory {
            limit: state.room.memory_limit,
        },
        Some(trap) => PluginFault::Trap(format!("{trap}\n{}", words())),
        None if error.is::<PoolConcurrencyLimitError>() => PluginFault::NoRoom(error.to_string()),
        None if stage == Stage::Start => PluginFault::Start(cut(&format!("{error:#}"), BACKTRACE)),
        None => untyped(error),
    }
}

/// wasmtime has no type for these: an answer too large to copy, or one that is no value of its type.
fn untyped(error: &wasmtime::Error) -> PluginFault {
    let text = cut(&format!("{error:#}"), BACKTRACE);
    if text.contains("fuel allocated for hostcalls has been exhausted") {
        PluginFault::TooMuchOutput("more octets than this hook may answer with".into())
    } else if error.downcast_ref::<WasmBacktrace>().is_some() {
        // Failed in the middle of the call: an import that is a stub.
        PluginFault::Trap(text)
    } else {
        PluginFault::BadAnswer(text)
    }
}

/// At most `limit` octets, but line feeds stay.
fn cut(text: &str, limit: usize) -> String {
    let mut out = String::new();
    for line in text.lines() {
        if out.len() >= limit {
            out.push_str("\n…");
            break;
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&clean(line, limit - out.len()));
    }
    out
}
