//! `hawser reset PEER`.

use super::Health;
use super::peer::Target;
use clap::Args;

/// Ends the SAs of a peer.
#[derive(Debug, Args)]
pub(super) struct Reset {
    #[command(flatten)]
    target: Target,
}

impl Reset {
    pub(super) fn perform(&self) -> anyhow::Result<Health> {
        let done = self.target.act("/v1/peer/reset")?;
        self.target.say(&format!(
            "{}: DELETE sent, its SAs and routes are gone\n",
            done.peer
        ))?;
        Ok(Health::Healthy)
    }
}
