//! `hawser run --config FILE`.

use super::Health;
use crate::admin::DEFAULT_SOCKET;
use clap::Args;
use std::path::PathBuf;

/// Runs the gateway in the foreground.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The configuration: TOML, or Comware text.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where the other verbs reach this gateway.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
    /// Where what outlives a run is kept: the file of incidents.
    #[arg(
        long,
        value_name = "DIR",
        env = "STATE_DIRECTORY",
        default_value = "/var/lib/hawser"
    )]
    state: PathBuf,
    /// Only say whether the configuration is in order.
    #[arg(long)]
    check: bool,
    /// One packet at a time, without the kernel's segmentation offloads: for drivers that get them wrong.
    #[arg(long)]
    no_offload: bool,
}

impl Run {
    pub(super) fn perform(self) -> anyhow::Result<Health> {
        if self.check {
            return super::config::check(&self.config, false);
        }
        let file = std::path::absolute(self.config)?;
        crate::run::run(file, &self.socket, &self.state, self.no_offload)?;
        Ok(Health::Healthy)
    }
}
