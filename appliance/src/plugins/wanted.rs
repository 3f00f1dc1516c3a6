//! Plugins that a configuration wants.

use super::source;
use anyhow::bail;
use hawser_config::{PluginPlace, Problem};
use hawser_plugin::{Checked, Hook, LoadError, Plugins, Scope, Source};
use hawser_policy::PluginEntry;
use std::collections::HashSet;
use std::path::Path;

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(super) hook: Hook,
    pub(super) scope: Scope,
    /// The name of one that ships, or a path.
    plugin: String,
    settings: serde_json::Value,
    place: PluginPlace,
}

impl Wanted {
    /// Of a configuration in `base`, from where paths count.
    pub(crate) fn of(entry: &PluginEntry, place: PluginPlace, base: &Path) -> Self {
        let plugin = if super::is_shipped(&entry.plugin) {
            entry.plugin.clone()
        } else {
            base.join(&entry.plugin).to_string_lossy().into_owned()
        };
        Self {
            hook: entry.hook.into(),
            scope: Scope {
                tenant: entry.tenant.clone(),
                template: entry.template.clone(),
            },
            plugin,
            settings: serde_json::from_str(&entry.settings).unwrap_or_default(),
            place,
        }
    }

    pub(super) fn source(&self) -> Result<Source, Problem> {
        source(&self.plugin, self.settings.clone())
            .map_err(|error| self.place.problem(format!("{error:#}")))
    }

    /// What is wrong, at its line.
    pub(super) fn problem(&self, error: &LoadError) -> Problem {
        match error {
            LoadError::Settings {
                pointer,
                message,
                known,
            } => self.place.settings_problem(pointer, message, known),
            LoadError::SelfTest {
                fault: hawser_plugin::PluginFault::Init { path, message },
                ..
            } => self.place.settings_problem(path, message, &[]),
            error => self.place.problem(format!("{}: {error}", self.plugin)),
        }
    }

    /// Whether it is the same plugin with the same settings in the same place; what is in the file may differ.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (&self.scope, &self.plugin) == (&other.scope, &other.plugin)
            && self.hook == other.hook
            && self.settings == other.settings
    }
}

/// Tries plugins as if they were loaded, and loads none.
///
/// The error names every problem with file and line.
pub(crate) fn check<'a>(
    plugins: &Plugins,
    wanted: impl IntoIterator<Item = &'a Wanted>,
    file: &str,
) -> anyhow::Result<()> {
    let (mut problems, mut names) = (Vec::new(), HashSet::new());
    for wanted in wanted {
        let checked = wanted.source().and_then(|source| {
            let checked = plugins.check(Some(wanted.hook), &source);
            checked.map_err(|error| wanted.problem(&error))
        });
        match checked {
            Err(problem) => problems.push(problem),
            Ok(Checked { description, .. }) => {
                let name = description.name;
                let message = format!("another plugin `{name}` decides there already");
                if !names.insert((wanted.hook, &wanted.scope, name)) {
                    problems.push(wanted.place.problem(message));
                }
            }
        }
    }
    refuse(&problems, file)
}

/// An error with every problem, where there is one.
fn refuse(problems: &[Problem], file: &str) -> anyhow::Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let lines = problems.iter().map(|p| format!("\n  {}", p.in_file(file)));
    bail!("{file} is not in order:{}", lines.collect::<String>())
}
