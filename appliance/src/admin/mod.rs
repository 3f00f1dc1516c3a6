//! The admin API: HTTP and JSON over a Unix socket, for the command's other verbs.
//!
//! Who may open the socket may do everything: it is the file's mode that protects it.

mod answer;
pub(crate) mod api;
mod asker;
mod bugreport;
mod capture;
mod drops;
mod events;
mod explain;
mod peers;
mod plugins;
mod resolve;
mod service;
mod socket;
mod status;
mod stream;
mod timeline;
mod trace;
pub(crate) mod traced;

pub(crate) use service::Service;
pub(crate) use socket::AdminSocket;

use crate::run::Reloader;
use answer::Refusal;
use events::EventLog;
use hawser_engine::EngineHandle;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where the socket is unless the command line says otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/hawser/hawser.sock";

/// Traces and captures at once.
const ONLOOKERS: usize = 4;

/// What the handlers work with.
#[derive(Clone)]
struct Admin {
    /// The gateway.
    engine: EngineHandle,
    /// What happened lately.
    events: Arc<EventLog>,
    /// Loads configurations.
    reloader: Arc<Reloader>,
    /// How many more may look on at once.
    onlookers: Arc<Semaphore>,
}

impl Admin {
    /// The right to look on, until it is dropped.
    fn may_look_on(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let permit = Arc::clone(&self.onlookers).try_acquire_owned();
        let refusal =
            |_| Refusal::impossible(format!("{ONLOOKERS} traces and captures run already"));
        permit.map_err(refusal)
    }
}
