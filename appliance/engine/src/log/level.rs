//! How grave events are.

use hawser_flight::Event;
use hawser_plugin::log::Severity;
use hawser_policy::LogLevel;

/// How grave an event is.
pub(super) fn of(event: &Event) -> LogLevel {
    match event {
        Event::PeerDown { .. }
        | Event::CaptureBegun { keys: true, .. }
        | Event::HandshakeFailed { .. }
        | Event::ChildSaRefused { .. }
        | Event::SelectorConflict { .. }
        | Event::RouteRefused { .. }
        | Event::ProbeFailed { .. }
        | Event::PluginUndecided { .. }
        | Event::AuditFailed
        | Event::Repaired { .. }
        | Event::InnerDevice { present: false, .. }
        | Event::Trains { taken: false, .. }
        | Event::EventsLeftOut { .. }
        | Event::LogOutput { works: false, .. }
        | Event::WeakAlgorithm { .. } => LogLevel::Warning,
        Event::PluginChanged { change, .. } if is_trouble(change) => LogLevel::Warning,
        Event::PeerUp
        | Event::IkeSaEstablished { .. }
        | Event::IkeSaClosed { .. }
        | Event::EndpointMoved { .. }
        | Event::Parked { .. }
        | Event::Resurrected { .. }
        | Event::TombstoneHit { .. }
        | Event::RevivalBegun { .. }
        | Event::RevivalAttempt { .. }
        | Event::RevivalEnded { .. }
        | Event::MessageRefused { .. }
        | Event::OperatorAction { .. }
        | Event::CaptureBegun { .. }
        | Event::PluginDecided { .. }
        | Event::PluginChanged { .. }
        | Event::InnerDevice { .. }
        | Event::Trains { .. }
        | Event::LogOutput { .. }
        | Event::ConfigAffects { .. }
        | Event::ConfigApplied { .. } => LogLevel::Info,
        _ => LogLevel::Debug,
    }
}

/// The same as plugins are told.
pub(super) fn severity(level: LogLevel) -> Severity {
    match level {
        LogLevel::Debug => Severity::Debug,
        LogLevel::Info => Severity::Info,
        LogLevel::Warning => Severity::Warning,
    }
}

/// What `RUST_LOG` lets through; `None`: nothing.
pub(super) fn of_environment() -> Option<LogLevel> {
    if tracing::enabled!(target: "hawser", tracing::Level::DEBUG) {
        Some(LogLevel::Debug)
    } else if tracing::enabled!(target: "hawser", tracing::Level::INFO) {
        Some(LogLevel::Info)
    } else {
        tracing::enabled!(target: "hawser", tracing::Level::WARN).then_some(LogLevel::Warning)
    }
}

/// Whether what happened to a plugin leaves its fallback to decide.
fn is_trouble(change: &str) -> bool {
    matches!(change, "load_failed" | "fault" | "disabled")
}
