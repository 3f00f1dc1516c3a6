//! `hawser plugin`: one file a verb.

mod bench;
mod check;
mod compile;
mod dev;
mod list;
mod load;
mod new;
mod rollback;
mod scenario;
mod scope;
mod templates;
mod test;

use super::Health;
use clap::Subcommand;
use hawser_plugin::Hook;

pub(super) use compile::Compile;

/// Whether plugins of a hook are asked; a place begins with its hook.
fn is_asked(place: &str) -> bool {
    !place.starts_with(Hook::LogFormat.as_str())
}

/// What a plugin that is loaded at a place does there.
fn standing(place: &str) -> &'static str {
    if is_asked(place) {
        "it decides from now on"
    } else {
        "nothing asks plugins of this hook yet, the built-in rules go on deciding"
    }
}

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
