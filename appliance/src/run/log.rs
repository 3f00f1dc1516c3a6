//! The log: one line an event, on the standard error.

use super::sentence;
use hawser_flight::{Event, Record};
use std::io::{self, IsTerminal as _};
use tracing::Level;
use tracing_subscriber::EnvFilter;

/// Begins to log. `RUST_LOG` chooses what; without it everything from `info` on.
pub(super) fn to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // Another one is there already only in tests.
    let _ = log.try_init();
}

/// Logs an event.
pub(super) fn event(record: &Record) {
    let text = sentence::of(record);
    match level(&record.event) {
        Level::WARN => tracing::warn!(target: "hawser::event", "{text}"),
        Level::INFO => tracing::info!(target: "hawser::event", "{text}"),
        _ => tracing::debug!(target: "hawser::event", "{text}"),
    }
}

/// What an operator reads every day, what he should look at, and what is for finding faults.
fn level(event: &Event) -> Level {
    match event {
        Event::HandshakeFailed { .. }
        | Event::PeerDown { .. }
        | Event::ChildSaRefused { .. }
        | Event::ProbeFailed { .. }
        | Event::SelectorConflict { .. }
        | Event::RouteRefused { .. } => Level::WARN,
        Event::PeerUp
        | Event::IkeSaEstablished { .. }
        | Event::EndpointMoved { .. }
        | Event::OperatorAction { .. }
        | Event::ConfigApplied { .. } => Level::INFO,
        _ => Level::DEBUG,
    }
}
