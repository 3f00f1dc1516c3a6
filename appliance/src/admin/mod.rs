//! The admin API: HTTP and JSON over a Unix socket, for the command's other verbs.
//!
//! Who may open the socket may do everything: it is the file's mode that protects it.

mod answer;
pub(crate) mod api;
mod bugreport;
mod drops;
mod events;
mod explain;
mod peers;
mod plugins;
mod resolve;
mod service;
mod socket;
mod status;
mod timeline;

pub(crate) use service::Service;
pub(crate) use socket::AdminSocket;

use crate::run::Reloader;
use events::EventLog;
use hawser_engine::EngineHandle;
use std::sync::Arc;

/// Where the socket is unless the command line says otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/hawser/hawser.sock";

/// What the handlers work with.
#[derive(Clone)]
struct Admin {
    /// The gateway.
    engine: EngineHandle,
    /// What happened lately.
    events: Arc<EventLog>,
    /// Loads configurations.
    reloader: Arc<Reloader>,
}
