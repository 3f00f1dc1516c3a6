//! `hawser rekey PEER`.

use super::Health;
use super::peer::Target;
use clap::Args;

/// Renews the keys of a peer.
#[derive(Debug, Args)]
pub(super) struct Rekey {
    #[command(flatten)]
    target: Target,
}

impl Rekey {
    pub(super) fn perform(&self) -> anyhow::Result<Health> {
        let done = self.target.act("/v1/peer/rekey")?;
        self.target.say(&format!(
            "{}: rekeying of the IKE SA and its Child SAs begun\n",
            done.peer
        ))?;
        Ok(Health::Healthy)
    }
}
