//! `hawser demo`: a gateway and its branches on one machine, without root.
//!
//! The gateway is the real engine on loopback ports. Each branch is a real shard in the role of
//! the initiator, behind a small NAT of its own: IKE and ESP go over UDP sockets, keys are real,
//! and the pings are answered by a host behind the gateway. Only time is short: what takes
//! minutes and hours in life takes seconds here.

mod board;
mod branch;
mod figures;
mod headquarters;
pub(crate) mod policy;
pub(crate) mod real;
mod score;
mod screen;
mod script;
mod summary;

use crate::admin::{AdminSocket, Service};
use crate::cli::Health;
use crate::plugins::Configured;
use crate::run::Reloader;
use board::Board;
use hawser_config::Outline;
use headquarters::Headquarters;
use screen::Screen;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use summary::Summary;
use tokio::time::Instant;

/// What the demo is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How many branches.
    pub(crate) branches: u8,
    /// How long it runs.
    pub(crate) length: Duration,
    /// Run on until interrupted.
    pub(crate) keep: bool,
    /// Print the summary as JSON and nothing else.
    pub(crate) json: bool,
    /// Which branches are disturbed, and when.
    pub(crate) seed: u64,
    /// An admin socket for the other verbs.
    pub(crate) socket: Option<PathBuf>,
    /// A Prometheus listener.
    pub(crate) metrics: Option<SocketAddr>,
}

/// Runs the demo and says whether everything was as it should be.
pub(crate) fn run(options: &Options) -> anyhow::Result<Health> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    Ok(runtime.block_on(perform(options))?.print(options.json)?)
}

async fn perform(options: &Options) -> anyhow::Result<Summary> {
    let headquarters = Headquarters::start(options.metrics)?;
    let admin = match &options.socket {
        Some(path) => Some(admin(path, &headquarters).await?),
        None => None,
    };
    let (orders, orders_in) = script::channels(options.branches);
    let board = Arc::new(Board::new(options.branches));
    let branches = branch::start(&headquarters, &board, orders_in, options)?;
    let screen = Screen::new(options);
    let begin = Instant::now();
    let script = tokio::spawn(script::perform(options.clone(), orders, Arc::clone(&board)));
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    while options.keep || begin.elapsed() < options.length {
        screen.draw(&board, &headquarters).await?;
        tokio::select! {
            _ = &mut interrupted => break,
            () = tokio::time::sleep(screen.interval()) => {}
        }
    }
    board.stop_pings();
    tokio::time::sleep(branch::PATIENCE + Duration::from_millis(500)).await;
    screen.draw(&board, &headquarters).await?;
    let gateway = headquarters.totals().await;
    let summary = score::of(&board, &gateway, options, begin.elapsed());
    headquarters.stop().await;
    if let Some(admin) = admin {
        admin.end().await;
    }
    // Without orders to wait for the branches end.
    script.abort();
    branches.stop();
    Ok(summary)
}

/// Opens the admin socket, so that the other verbs can be tried on the demo.
async fn admin(path: &Path, headquarters: &Headquarters) -> anyhow::Result<Service> {
    let reloader = Arc::new(Reloader::new(
        PathBuf::from("demo.toml"),
        Outline::default(),
        Configured::default(),
    ));
    let socket = AdminSocket::bind(path).await?;
    Ok(socket.serve(&headquarters.engine, reloader))
}
