//! What the verbs about one peer have in common.

use super::Remote;
use super::client::{Call, ask};
use crate::admin::api::Done;
use clap::Args;

/// One peer of the gateway that runs.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// An identity, an outer address (120.208.142.17/8192), an inner address or subnet, or the
    /// beginning of one of these.
    #[arg(value_name = "PEER")]
    pub(super) peer: String,
    #[command(flatten)]
    pub(super) remote: Remote,
}

impl Target {
    /// Does something to the peer and gives back what the gateway says.
    pub(super) fn act(&self, path: &str) -> anyhow::Result<Done> {
        ask(&self.remote, &self.call(path))
    }

    /// The call that does something to the peer.
    pub(super) fn call<'a>(&'a self, path: &'a str) -> Call<'a> {
        Call::post(path).with("peer", &self.peer)
    }

    /// Prints for people, unless JSON was printed.
    pub(super) fn say(&self, text: &str) -> std::io::Result<()> {
        if self.remote.json {
            Ok(())
        } else {
            super::client::print(text)
        }
    }
}
