//! The admin API while it runs.

use super::asker::Asker;
use super::events::{self, EventLog};
use super::socket::{AdminSocket, SocketFile};
use super::{
    Admin, ONLOOKERS, answer, bugreport, capture, drops, explain, peers, plugins, status, trace,
};
use crate::run::Reloader;
use axum::Router;
use axum::routing::{get, post};
use hawser_engine::EngineHandle;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long those who are connected may take to read the rest.
const FAREWELL: Duration = Duration::from_secs(1);

/// The running admin API; the socket goes with it.
pub(crate) struct Service {
    stop: oneshot::Sender<()>,
    keeper: JoinHandle<()>,
    server: JoinHandle<io::Result<()>>,
    _file: SocketFile,
}

impl AdminSocket {
    /// Serves the API of a gateway, and keeps its events from now on.
    pub(crate) fn serve(self, engine: &EngineHandle, reloader: Arc<Reloader>) -> Service {
        let (listener, file) = self.into_parts();
        let events = Arc::new(EventLog::default());
        let keeper = tokio::spawn(events::keep(engine.subscribe_events(), Arc::clone(&events)));
        let (stop, stopped) = oneshot::channel();
        let server = axum::serve(
            listener,
            router(Admin {
                engine: engine.clone(),
                events,
                reloader,
                onlookers: Arc::new(Semaphore::new(ONLOOKERS)),
            })
            .into_make_service_with_connect_info::<Asker>(),
        );
        let server = server.with_graceful_shutdown(async { drop(stopped.await) });
        Service {
            stop,
            keeper,
            server: tokio::spawn(server.into_future()),
            _file: file,
        }
    }
}

impl Service {
    /// Ends it once the engine has shut down: who follows the events gets the last of them.
    pub(crate) async fn end(self) {
        let _ = self.stop.send(());
        let _ = timeout(FAREWELL, async {
            let _ = self.keeper.await;
            let _ = self.server.await;
        })
        .await;
    }
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/v1/status", get(status::status))
        .route("/v1/offloads", get(status::offloads))
        .route("/v1/peer", get(peers::show))
        .route("/v1/peer/reset", post(peers::reset))
        .route("/v1/peer/rekey", post(peers::rekey))
        .route("/v1/peer/ping", post(peers::ping))
        .route("/v1/peer/explain", get(explain::explain))
        .route("/v1/peer/trace", get(trace::trace))
        .route("/v1/peer/capture", get(capture::packets))
        .route("/v1/peer/capture/keys", get(capture::keys))
        .route("/v1/peer/bugreport", get(bugreport::bugreport))
        .route("/v1/drops", get(drops::drops))
        .route("/v1/events", get(events::stream))
        .route("/v1/config/diff", get(answer::diff))
        .route("/v1/config/apply", post(answer::apply))
        .route("/v1/plugins", get(plugins::list))
        .route("/v1/plugins/load", post(plugins::load))
        .route("/v1/plugins/rollback", post(plugins::rollback))
        .with_state(admin)
}
