//! The gateway in the foreground: configuration, engine, admin socket, signals, log.

mod load;
mod log;
mod notify;
mod reload;
pub(crate) mod sentence;

pub(crate) use load::load_file;
pub(crate) use reload::Reloader;

use crate::admin::{Admin, AdminSocket, EventLog};
use anyhow::Context as _;
use hawser_engine::{Engine, EngineHandle, EngineOptions};
use hawser_flight::Record;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// Runs a gateway until SIGTERM or SIGINT.
pub(crate) fn run(file: PathBuf, socket: &Path) -> anyhow::Result<()> {
    log::to_stderr();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(gateway(file, socket))
}

async fn gateway(file: PathBuf, socket: &Path) -> anyhow::Result<()> {
    let (policy, notes) = load_file(&file)?;
    for note in &notes {
        tracing::warn!(target: "hawser::config", "{note}");
    }
    let (socket, _file_of_socket) = AdminSocket::bind(socket).await?;
    let policy = Arc::new(policy);
    let engine = Engine::start(Arc::clone(&policy), EngineOptions::default())
        .context("the gateway cannot start")?;
    let engine = Arc::new(engine);
    let events = Arc::new(EventLog::default());
    tokio::spawn(record(engine.subscribe_events(), Arc::clone(&events)));
    let reloader = Arc::new(Reloader::new(file, policy));
    let admin =
        Admin { engine: Arc::clone(&engine), events, reloader: Arc::clone(&reloader) };
    let admin = tokio::spawn(admin.serve(socket));
    for address in engine.bound() {
        tracing::info!("listening on {address}");
    }
    notify::send("READY=1");
    until_told_to_stop(&engine, &reloader).await?;
    notify::send("STOPPING=1");
    tracing::info!("shutting down: a DELETE goes to every peer");
    engine.shutdown().await;
    admin.abort();
    Ok(())
}

/// Reloads on SIGHUP; returns on SIGTERM or SIGINT.
async fn until_told_to_stop(engine: &EngineHandle, reloader: &Reloader) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => match reloader.reload(engine, None).await {
                Ok((revision, _)) => tracing::info!("configuration {revision} applied"),
                Err(error) => tracing::error!("the running configuration stays: {error:#}"),
            },
        }
    }
}

/// Keeps the events for `hawser events` and writes them to the log.
async fn record(mut source: Receiver<Arc<Record>>, events: Arc<EventLog>) {
    loop {
        match source.recv().await {
            Ok(record) => {
                log::event(&record);
                events.push(&record);
            }
            Err(RecvError::Lagged(count)) => tracing::warn!("{count} events were not written down"),
            Err(RecvError::Closed) => return,
        }
    }
}
