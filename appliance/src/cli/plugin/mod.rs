//! `hawser plugin`: one file a verb.

mod compile;
mod list;
mod load;
mod rollback;
mod scope;

use super::Health;
use clap::Subcommand;

pub(super) use compile::Compile;

/// What decides in place of the built-in rules.
#[derive(Debug, Subcommand)]
pub(super) enum Plugin {
    /// The plugins that decide, with what they did.
    List(list::List),
    /// Load a plugin, or swap the one that decides there; on an error nothing has changed.
    Load(load::Load),
    /// Let the generation before decide again.
    Rollback(rollback::Rollback),
}

impl Plugin {
    pub(super) fn perform(self) -> anyhow::Result<Health> {
        match self {
            Self::List(verb) => verb.perform(),
            Self::Load(verb) => verb.perform(),
            Self::Rollback(verb) => verb.perform(),
        }
    }
}
