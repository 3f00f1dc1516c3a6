//! `hawser plugin`: one file a verb.

mod bench;
mod check;
mod compile;
mod dev;
mod list;
mod load;
mod logged;
mod new;
mod rollback;
mod scenario;
mod scope;
mod templates;
mod test;

use super::Health;
use clap::Subcommand;

pub(super) use compile::Compile;

/// What a plugin that is loaded does from then on.
const STANDING: &str = "it decides from now on";

/// Settings on the command line.
fn object(text: &str) -> Result<serde_json::Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ serde_json::Value::Object(_)) => Ok(value),
        Ok(_) => Err("not a JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What decides in place of the built-in rules.
#[derive(Debug, Subcommand)]
pub(super) enum Plugin {
    /// The plugins that decide, with what they did.
    List(list::List),
    /// Load a plugin, or swap the one that decides there; on an error nothing has changed.
    Load(load::Load),
    /// Let the generation before decide again.
    Rollback(rollback::Rollback),
    /// Write a project of a plugin that builds and tests at once.
    New(new::New),
    /// Say of a component what a gateway would say.
    Check(check::Check),
    /// Play a scenario, or recorded evidence, against a plugin.
    Test(test::Test),
    /// Build, check and reload a project whenever its files change.
    Dev(dev::Dev),
}

impl Plugin {
    pub(super) fn perform(self) -> anyhow::Result<Health> {
        match self {
            Self::List(verb) => verb.perform(),
            Self::Load(verb) => verb.perform(),
            Self::Rollback(verb) => verb.perform(),
            Self::New(verb) => verb.perform(),
            Self::Check(verb) => verb.perform(),
            Self::Test(verb) => verb.perform(),
            Self::Dev(verb) => verb.perform(),
        }
    }
}
