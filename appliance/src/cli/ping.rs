//! `hawser ping PEER`.

use super::Health;
use super::peer::Target;
use clap::Args;

/// Asks a peer through its IKE SA whether it is alive.
#[derive(Debug, Args)]
pub(super) struct Ping {
    #[command(flatten)]
    target: Target,
}

impl Ping {
    pub(super) fn perform(&self) -> anyhow::Result<Health> {
        let done = self.target.act("/v1/peer/ping")?;
        let text = match done.rtt_us {
            Some(us) => format!(
                "{}: answered in {:.1} ms\n",
                done.peer,
                f64::from(us) / 1000.0
            ),
            None => format!("{}: no answer\n", done.peer),
        };
        self.target.say(&text)?;
        Ok(Health::when(done.rtt_us.is_some()))
    }
}
