//! `hawser demo`.

use super::Health;
use crate::demo::{self, Options, real};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A gateway and its branches behind NATs on this machine, without root; with --real the case
/// itself.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// The case itself, in network namespaces: this program, strongSwan at three branches, and the
    /// kernel's NAT. Needs root; takes half a minute and cleans up.
    #[arg(long, conflicts_with_all = ["branches", "seconds", "keep", "seed", "socket", "metrics"])]
    real: bool,
    /// How many branches, 1 to 250.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=250))]
    branches: u8,
    /// How long it runs; what happens in it is stretched to that.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(5..=3600))]
    seconds: u64,
    /// Run on until interrupted.
    #[arg(long)]
    keep: bool,
    /// Print nothing but the summary, as JSON ("version": 1).
    #[arg(long)]
    json: bool,
    /// Disturb the same branches at the same times as another run with this number.
    #[arg(long)]
    seed: Option<u64>,
    /// Open an admin socket, to try the other verbs.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Serve metrics to Prometheus.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
}

impl Demo {
    pub(super) fn perform(self) -> anyhow::Result<Health> {
        if self.real {
            return real::run(self.json);
        }
        demo::run(&Options {
            branches: self.branches,
            length: Duration::from_secs(self.seconds),
            keep: self.keep,
            json: self.json,
            seed: self.seed.unwrap_or_else(rand::random),
            socket: self.socket,
            metrics: self.metrics,
        })
    }
}
