//! The gateway in the foreground: configuration, engine, admin socket, signals, log.

mod foresee;
mod load;
mod log;
mod notify;
mod reload;

pub(crate) use foresee::Foreseen;
pub(crate) use load::{Configuration, load_file};
pub(crate) use reload::Reloader;

use crate::admin::AdminSocket;
use crate::plugins::Begun;
use anyhow::{Context as _, bail};
use hawser_engine::{Engine, EngineHandle, EngineOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

/// Runs a gateway until SIGTERM or SIGINT.
pub(crate) fn run(
    file: PathBuf,
    socket: &Path,
    state: &Path,
    no_offload: bool,
) -> anyhow::Result<()> {
    log::to_stderr();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(gateway(file, socket, state, no_offload))
}

async fn gateway(
    file: PathBuf,
    socket: &Path,
    state: &Path,
    no_offload: bool,
) -> anyhow::Result<()> {
    let Configuration {
        policy,
        notes,
        outline,
        plugins,
        name,
    } = load_file(&file)?;
    notes.log();
    let socket = AdminSocket::bind(socket).await?;
    let kept = policy.observability.incidents.clone();
    let (prepare, begun) = crate::plugins::begin(&policy, plugins, name);
    let options = EngineOptions {
        incidents: Some(kept.unwrap_or_else(|| state.join("incidents.redb"))),
        devices: Some(state.join("devices.redb")),
        plugins: Some(crate::plugins::options(&policy.plugins.host)),
        prepare: Some(prepare),
        log: true,
        no_offload,
        ..EngineOptions::default()
    };
    let engine = Engine::start(Arc::new(policy), options).context("the gateway cannot start")?;
    let Begun { configured, watch } = begun.take();
    let reloader = Arc::new(Reloader::new(file, outline, configured));
    let watch = watch.zip(engine.plugins());
    let watch = watch.map(|(watch, plugins)| tokio::spawn(watch.run(plugins)));
    let admin = socket.serve(&engine, Arc::clone(&reloader));
    for bound in engine.bound() {
        tracing::info!("listening on {}", bound.address);
    }
    notify::send("READY=1");
    let end = until_the_end(&engine, &reloader).await;
    notify::send("STOPPING=1");
    tracing::info!("shutting down: a DELETE goes to every peer");
    watch.iter().for_each(JoinHandle::abort);
    let shutdown = engine.shutdown().await;
    admin.end().await;
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
            _ = hangup.recv() => if let Err(error) = reloader.reload(engine, None).await {
                tracing::error!("the running configuration stays: {error:#}");
            },
        }
    }
}
