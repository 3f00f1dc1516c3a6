//! The admin API: HTTP and JSON over a Unix socket, for the command's other verbs.
//!
//! Who may open the socket may do everything: it is the file's mode that protects it.

mod answer;
pub(crate) mod api;
mod events;
mod peers;
mod resolve;
mod socket;
mod status;

pub(crate) use events::EventLog;
pub(crate) use socket::{AdminSocket, SocketFile};

use crate::run::Reloader;
use axum::Router;
use axum::routing::{get, post};
use hawser_engine::EngineHandle;
use std::sync::Arc;

/// Where the socket is unless the command line says otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/hawser/hawser.sock";

/// What the handlers work with.
#[derive(Clone)]
pub(crate) struct Admin {
    /// The gateway.
    pub(crate) engine: EngineHandle,
    /// What happened lately.
    pub(crate) events: Arc<EventLog>,
    /// Loads configurations.
    pub(crate) reloader: Arc<Reloader>,
}

impl Admin {
    /// Serves until the task is aborted.
    pub(crate) async fn serve(self, socket: AdminSocket) -> std::io::Result<()> {
        let router = Router::new()
            .route("/v1/status", get(status::status))
            .route("/v1/peer", get(peers::show))
            .route("/v1/peer/reset", post(peers::reset))
            .route("/v1/peer/rekey", post(peers::rekey))
            .route("/v1/peer/ping", post(peers::ping))
            .route("/v1/events", get(events::stream))
            .route("/v1/config/apply", post(answer::apply))
            .with_state(self);
        axum::serve(socket.into_listener(), router).await
    }
}
