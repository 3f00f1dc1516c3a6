//! What the program says itself, on the standard error. Events are the log's ([`hawser_engine`]).

use std::io::{self, IsTerminal as _};
use tracing_subscriber::EnvFilter;

/// Begins to speak. `RUST_LOG` chooses what is said; without it everything from `info` on.
pub(super) fn to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // Another one is there already only in tests.
    let _ = log.try_init();
}
