//! What the gateway offers: its log and counters. In native tests both are kept for
//! [`crate::testing::host`].

/// How grave a line of the plugin's is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// For the record.
    Info,
    /// Somebody should look at it some time.
    Warn,
    /// Something does not work.
    Error,
}

/// One line for the gateway's log, at most 1024 octets; the rest is cut. At most 20 lines a second
/// of a plugin are kept, the others counted.
pub fn log(level: Level, message: &str) {
    there::log(level, message);
}

/// Adds to a counter of the plugin, shown as `hawser_plugin_counter_total{plugin, name}`. Names:
/// `[a-z][a-z0-9_]*`, at most 64 octets and 32 names; others are ignored.
pub fn count(name: &str, delta: u64) {
    there::count(name, delta);
}

/// A panic says where it was in the gateway's log, before it becomes a trap.
#[cfg(target_family = "wasm")]
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        log(Level::Error, &panic.to_string().replace('\n', ": "));
    }));
}

#[cfg(target_family = "wasm")]
mod there {
    use super::Level;
    use crate::abi::host;

    pub(super) fn log(level: Level, message: &str) {
        host::log(level as i32, message);
    }

    pub(super) use host::count;
}

#[cfg(not(target_family = "wasm"))]
mod there {
    use super::Level;
    use crate::testing::host::record;

    pub(super) fn log(level: Level, message: &str) {
        record(|host| host.lines.push((level, message.to_owned())));
    }

    pub(super) fn count(name: &str, delta: u64) {
        record(|host| *host.counters.entry(name.to_owned()).or_default() += delta);
    }
}
