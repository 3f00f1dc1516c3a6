//! The one wasmtime engine of a gateway: its limits, and the clock that ends calls.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle, Thread};
use std::time::Duration;

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use crate::clock::WALL;

/// How often the epoch advances: the grain of every deadline.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// What a plugin may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Processor time of one call of the hook; default 5 ms. Wall time is bounded by ten times that.
    pub deadline: Duration,
    /// Processor time of each step of a start (instantiate, `describe`, `init`); default 100 ms.
    pub start_deadline: Duration,
    /// Linear memory of an instance in octets; default 16 MiB.
    pub memory: usize,
    /// Elements of all tables of an instance; default 50,000.
    pub table_elements: usize,
    /// Stack of a call in octets; default 512 KiB.
    pub stack: usize,
    /// Instances that may live at once in the whole gateway; default 256. Address space (not memory) of about
    /// 4 GiB is reserved for each.
    pub instances: u32,
    /// Calls after which a reused instance is replaced; default 100,000. It is replaced too
    /// when its memory has grown by half of what it may grow.
    pub calls_per_instance: u64,
    /// Faults within a minute that disable a plugin; default 3.
    pub strikes: usize,
    /// Size of a component's file in octets; default 64 MiB.
    pub file: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(5),
            start_deadline: Duration::from_millis(100),
            memory: 16 << 20,
            table_elements: 50_000,
            stack: 512 << 10,
            instances: 256,
            calls_per_instance: 100_000,
            strikes: 3,
            file: 64 << 20,
        }
    }
}

/// The engine. Its ticker thread stops when the engine is dropped.
#[derive(Debug)]
pub(crate) struct PluginEngine {
    engine: Engine,
    limits: Limits,
    ticker: Ticker,
}

impl PluginEngine {
    /// Reserves the pool and starts the ticker.
    pub(crate) fn new(limits: Limits) -> wasmtime::Result<Self> {
        let mut config = code_config(&limits);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(&limits)));
        let engine = Engine::new(&config)?;
        Ok(Self {
            ticker: Ticker::start(engine.clone(), longest(&limits))?,
            engine,
            limits,
        })
    }

    /// The limits it was made with.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What every call has to be told to.
    pub(crate) fn pulse(&self) -> &Arc<Pulse> {
        &self.ticker.pulse
    }

    pub(crate) fn wasmtime(&self) -> &Engine {
        &self.engine
    }

    /// Names what compiled code depends on: wasmtime's version, settings and the processor.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.engine
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// An engine that compiles and runs nothing: no pool, no ticker. Its code fits [`PluginEngine`].
pub(crate) fn compiling_engine(limits: &Limits) -> wasmtime::Result<Engine> {
    Engine::new(&code_config(limits))
}

/// What the longest call may take in wall time.
fn longest(limits: &Limits) -> Duration {
    limits.deadline.max(limits.start_deadline) * WALL
}

/// What decides about the compiled code: equal in the gateway and in its compiling child.
fn code_config(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .memory_may_move(false)
        .memory_init_cow(true);
    config
}

/// A component that imports needs three core instances and two tables; those of Python are linked
/// from some twenty modules.
fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.instances)
        .total_core_instances(limits.instances.saturating_mul(8))
        .total_memories(limits.instances.saturating_mul(2))
        .total_tables(limits.instances.saturating_mul(4))
        .max_core_instances_per_component(48)
        .max_memories_per_component(4)
        .max_tables_per_component(16)
        .max_memory_size(limits.memory)
        .table_elements(limits.table_elements)
        // Only what was touched is reset, where the kernel tells (6.7 and later).
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(16 << 10)
        .max_unused_warm_slots(limits.instances.min(32));
    pool
}

/// Whether calls are being made: the epoch advances only while they are, and for a while after.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// A call was begun since the ticker last looked.
    asked: AtomicBool,
    /// The ticker sleeps until it is woken.
    parked: AtomicBool,
    ticker: OnceLock<Thread>,
}

impl Pulse {
    /// A call begins, which takes no longer than the ticker goes on from here.
    pub(crate) fn call(&self) {
        if !self.asked.load(Ordering::SeqCst) {
            self.asked.store(true, Ordering::SeqCst);
        }
        if self.parked.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(ticker) = self.ticker.get() {
            ticker.unpark();
        }
    }

    /// Sleeps unless a call was begun since the last time; whether it slept or not, from now on one must be ticked for.
    fn rest(&self) {
        // First the flag, then the look: a call that begins in between sees the one or is seen by the other.
        self.parked.store(true, Ordering::SeqCst);
        if !self.asked.swap(false, Ordering::SeqCst) {
            std::thread::park();
        }
        self.parked.store(false, Ordering::SeqCst);
    }
}

/// Advances the epoch until it is dropped, while calls are made.
#[derive(Debug)]
struct Ticker {
    stop: Arc<AtomicBool>,
    pulse: Arc<Pulse>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// `longest` is what the longest call may take in wall time.
    fn start(engine: Engine, longest: Duration) -> std::io::Result<Self> {
        let (stop, pulse) = (Arc::new(AtomicBool::new(false)), Arc::<Pulse>::default());
        let (seen, own) = (Arc::clone(&stop), Arc::clone(&pulse));
        let ticks = longest.as_nanos() / TICK.as_nanos() + 1;
        let thread = Builder::new().name("plugin-ticker".into()).spawn(move || {
            while !seen.load(Ordering::SeqCst) {
                own.rest();
                for _ in 0..ticks {
                    if seen.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::sleep(TICK);
                    engine.increment_epoch();
                }
            }
        })?;
        let _ = pulse.ticker.set(thread.thread().clone());
        Ok(Self {
            stop,
            pulse,
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.pulse.wake();
        if let Some(thread) = self.thread.take() {
            // It only sleeps and counts: it cannot have panicked.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_epoch_stands_still_while_nothing_is_called() {
        let longest = Duration::from_millis(20);
        let mut config = Config::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config).unwrap();
        let ticker = Ticker::start(engine, longest).unwrap();
        let until = |parked: bool| {
            let begin = std::time::Instant::now();
            while ticker.pulse.parked.load(Ordering::SeqCst) != parked {
                assert!(begin.elapsed() < Duration::from_secs(10), "{parked}");
                std::thread::yield_now();
            }
        };
        for _ in 0..3 {
            until(true);
            ticker.pulse.call();
            until(false);
        }
    }
}
