//! `hawser rekey PEER`.

use super::Health;
use super::client::ask;
use super::peer::Target;
use crate::admin::api::Done;
use clap::Args;

/// Renews the keys of a peer: of its IKE SA and its Child SAs, or of one kind.
#[derive(Debug, Args)]
pub(super) struct Rekey {
    #[command(flatten)]
    target: Target,
    /// Only the IKE SA.
    #[arg(long, conflicts_with = "child")]
    ike: bool,
    /// Only the Child SAs.
    #[arg(long)]
    child: bool,
}

impl Rekey {
    pub(super) fn perform(&self) -> anyhow::Result<Health> {
        let (what, words) = match (self.ike, self.child) {
            (true, _) => ("ike", "the IKE SA"),
            (_, true) => ("children", "the Child SAs"),
            _ => ("all", "the IKE SA and its Child SAs"),
        };
        let call = self.target.call("/v1/peer/rekey").with("what", what);
        let done: Done = ask(&self.target.remote, &call)?;
        let text = format!("{}: rekeying of {words} begun\n", done.peer);
        self.target.say(&text)?;
        Ok(Health::Healthy)
    }
}
