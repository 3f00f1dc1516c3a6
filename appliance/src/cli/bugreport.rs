//! `hawser bugreport PEER`.

use super::Health;
use super::client::{Call, read};
use super::peer::Target;
use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// Everything that is known of one peer, redacted, in an archive to pass on.
#[derive(Debug, Args)]
pub(super) struct Bugreport {
    #[command(flatten)]
    target: Target,
    /// The archive; it must not be there yet.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "hawser-report.tar.gz"
    )]
    output: PathBuf,
    /// Leave names, addresses and networks as they are. Secrets are never in it.
    #[arg(long)]
    no_redact: bool,
}

impl Bugreport {
    pub(super) fn perform(&self) -> anyhow::Result<Health> {
        let redact = if self.no_redact { "false" } else { "true" };
        let call = Call::get("/v1/peer/bugreport")
            .with("peer", &self.target.peer)
            .with("redact", redact);
        let mut archive = Vec::new();
        read(&self.target.remote, &call, |octets| {
            archive.extend_from_slice(octets);
            Ok(())
        })?;
        let path = self.output.display();
        let mut open = OpenOptions::new();
        let file = open.write(true).create_new(true).mode(0o600);
        let mut file = file
            .open(&self.output)
            .with_context(|| format!("cannot write {path}"))?;
        file.write_all(&archive).inspect_err(|_| {
            let _ = fs::remove_file(&self.output);
        })?;
        if self.target.remote.json {
            let told = json!({ "version": 1, "file": self.output, "octets": archive.len() });
            super::client::print(&format!("{told:#}\n"))?;
        }
        self.target.say(&format!(
            "{path}: {} octets. `hawser plugin test FILE --scenario {path}` replays it\n",
            archive.len()
        ))?;
        Ok(Health::Healthy)
    }
}
