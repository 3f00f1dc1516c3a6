//! What happens to plugins, for the gateway's log, events and metrics.

use std::fmt;
use std::sync::Arc;

use crate::component::Hook;
use crate::fault::{Origin, PluginFault};
use crate::scope::Scope;

/// How important a plugin finds its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// For its author.
    Debug,
    /// Worth knowing.
    Info,
    /// Somebody should look.
    Warn,
    /// Something failed.
    Error,
}

/// Something happened to a plugin.
#[derive(Clone, Debug)]
pub enum PluginEvent {
    /// A generation took over.
    Loaded {
        /// Its hook.
        hook: Hook,
        /// Where it decides.
        scope: Scope,
        /// The new generation.
        origin: Origin,
        /// The one before, kept for a rollback.
        previous: Option<Origin>,
    },
    /// The previous generation took over again.
    RolledBack {
        /// Its hook.
        hook: Hook,
        /// Where it decides.
        scope: Scope,
        /// The generation that decides now.
        origin: Origin,
    },
    /// A plugin was taken away.
    Unloaded {
        /// Its hook.
        hook: Hook,
        /// Where it decided.
        scope: Scope,
        /// The generation that decided last.
        origin: Origin,
    },
    /// A load failed; what ran before still runs.
    LoadFailed {
        /// The hook that it was meant for.
        hook: Hook,
        /// Where it should have decided.
        scope: Scope,
        /// Why.
        reason: String,
    },
    /// A call ended in a fault; the caller used the fallback.
    Fault {
        /// Its hook.
        hook: Hook,
        /// Where it decides.
        scope: Scope,
        /// Who failed.
        origin: Origin,
        /// How.
        fault: PluginFault,
    },
    /// Too many faults within a minute: the fallback decides until another generation is loaded.
    Disabled {
        /// Its hook.
        hook: Hook,
        /// Where it decided.
        scope: Scope,
        /// Who failed.
        origin: Origin,
        /// The last fault.
        fault: PluginFault,
    },
    /// A line of the plugin: at most 1024 octets, control characters escaped, 20 a second.
    Log {
        /// Its hook.
        hook: Hook,
        /// Who says it.
        origin: Origin,
        /// How important it finds it.
        level: LogLevel,
        /// The line.
        message: String,
    },
}

/// Where events go. It is called on the thread where they happen and must not block.
#[derive(Clone)]
pub struct Sink(Arc<dyn Fn(PluginEvent) + Send + Sync>);

impl Sink {
    /// Calls `receive` for every event.
    pub fn new(receive: impl Fn(PluginEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(receive))
    }

    pub(crate) fn send(&self, event: PluginEvent) {
        (self.0)(event);
    }
}

impl Default for Sink {
    /// Drops everything.
    fn default() -> Self {
        Self::new(drop)
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}
