//! The gateway in the foreground: configuration, engine, admin socket, signals, log.

mod load;
mod log;
mod notify;
mod reload;
pub(crate) mod sentence;

pub(crate) use load::load_file;
pub(crate) use reload::Reloader;

use crate::admin::{Admin, AdminSocket, EventLog};
use anyhow::{Context as _, bail};
use hawser_engine::{Engine, EngineHandle, EngineOptions, EventStream, Feed};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Runs a gateway until SIGTERM or SIGINT.
pub(crate) fn run(file: PathBuf, socket: &Path) -> anyhow::Result<()> {
    log::to_stderr();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(gateway(file, socket))
}

async fn gateway(file: PathBuf, socket: &Path) -> anyhow::Result<()> {
    let (policy, notes) = load_file(&file)?;
    for note in &notes {
        tracing::warn!("{note}");
    }
    let (socket, _file_of_socket) = AdminSocket::bind(socket).await?;
    let engine = Engine::start(Arc::new(policy), EngineOptions::default())
        .context("the gateway cannot start")?;
    let events = Arc::new(EventLog::default());
    tokio::spawn(keep_events(engine.subscribe_events(), Arc::clone(&events)));
    let reloader = Arc::new(Reloader::new(file));
    let admin = Admin {
        engine: engine.clone(),
        events,
        reloader: Arc::clone(&reloader),
    };
    let admin = tokio::spawn(admin.serve(socket));
    for bound in engine.bound() {
        tracing::info!("listening on {}", bound.address);
    }
    notify::send("READY=1");
    let end = until_the_end(&engine, &reloader).await;
    notify::send("STOPPING=1");
    tracing::info!("shutting down: a DELETE goes to every peer");
    let shutdown = engine.shutdown().await;
    admin.abort();
    if !shutdown.unfinished.is_empty() {
        tracing::warn!("not every peer answered its DELETE");
    }
    if shutdown.routes_left {
        bail!("routes may be left behind: `ip rule` and `ip route show table all` list them");
    }
    end
}

/// Reloads on SIGHUP; returns on SIGTERM or SIGINT, or when a shard fails.
async fn until_the_end(engine: &EngineHandle, reloader: &Reloader) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            ended = engine.join() => return Ok(ended?),
            _ = hangup.recv() => match reloader.reload(engine, None).await {
                Ok((revision, _)) => tracing::info!("configuration {revision} applied"),
                Err(error) => tracing::error!("the running configuration stays: {error:#}"),
            },
        }
    }
}

/// Keeps the events for `hawser events`.
pub(crate) async fn keep_events(mut source: EventStream, events: Arc<EventLog>) {
    while let Some(feed) = source.next().await {
        match feed {
            Feed::Event(record) => events.push(&record),
            Feed::Lost(count) => tracing::warn!("{count} events were not kept"),
        }
    }
}
