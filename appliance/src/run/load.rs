//! A configuration from a file, with the secrets that it keeps elsewhere.

use crate::plugins::Wanted;
use anyhow::{Context as _, anyhow};
use hawser_config::{Format, NoteKind, Outline};
use hawser_policy::Policy;
use std::env;
use std::fs;
use std::path::Path;

/// What the author of a configuration should know, a line each.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// What may be a mistake, or is weak.
    warnings: Vec<String>,
    /// Which lines are about other features.
    ignored: Option<String>,
}

impl Notes {
    /// Writes them to the log.
    pub(super) fn log(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        if let Some(ignored) = &self.ignored {
            tracing::info!("{ignored}");
        }
    }

    /// All of them, the gravest first.
    pub(crate) fn lines(self) -> Vec<String> {
        self.warnings.into_iter().chain(self.ignored).collect()
    }
}

/// A configuration that was read from a file.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// What it says.
    pub(crate) policy: Policy,
    /// What its author should know.
    pub(crate) notes: Notes,
    /// The same key by key.
    pub(crate) outline: Outline,
    /// The plugins that it wants.
    pub(crate) plugins: Vec<Wanted>,
    /// The file's name, for what is said about it.
    pub(crate) name: String,
}

/// Reads a configuration.
///
/// The error names every problem with file and line.
pub(crate) fn load_file(file: &Path) -> anyhow::Result<Configuration> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let base = file.parent().unwrap_or(Path::new("."));
    let secrets = |reference: &str| secret(reference, base);
    match hawser_config::load(&text, Format::detect(&name, &text), &secrets) {
        Ok(mut loaded) => {
            let host = &mut loaded.policy.plugins.host;
            for path in host.watch.iter_mut().chain(&mut host.cache) {
                *path = base.join(&*path);
            }
            let entries = loaded.policy.plugins.entries.iter();
            let plugins = entries
                .zip(loaded.plugins)
                .map(|(entry, place)| Wanted::of(entry, place, base));
            Ok(Configuration {
                notes: concise(&loaded.notes, &name),
                plugins: plugins.collect(),
                policy: loaded.policy,
                outline: loaded.outline,
                name,
            })
        }
        Err(problems) => {
            let lines = problems.iter().map(|p| format!("\n  {}", p.in_file(&name)));
            Err(anyhow!(
                "{name} is not in order:{}",
                lines.collect::<String>()
            ))
        }
    }
}

/// Warnings one by one, ignored lines in one line.
fn concise(notes: &[hawser_config::Note], name: &str) -> Notes {
    let (ignored, warnings): (Vec<_>, Vec<_>) =
        notes.iter().partition(|n| n.kind == NoteKind::Ignored);
    let warnings = warnings
        .iter()
        .map(|n| n.in_file(name).to_string())
        .collect();
    let numbers: Vec<String> = ignored
        .iter()
        .filter_map(|n| n.line)
        .map(|l| l.to_string())
        .collect();
    let ignored = (!ignored.is_empty()).then(|| {
        let numbers = numbers.join(" ");
        format!("{name}: lines about other features, ignored: {numbers}")
    });
    Notes { warnings, ignored }
}

/// A secret kept elsewhere: `env:NAME`, or `file:PATH`, which counts from the configuration's
/// directory.
fn secret(reference: &str, base: &Path) -> Option<String> {
    match reference.split_once(':')? {
        ("env", name) => env::var(name).ok(),
        ("file", path) => fs::read_to_string(base.join(path)).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_secret_file_counts_from_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("psk"), "hush\n").unwrap();
        assert_eq!(secret("file:psk", dir.path()).as_deref(), Some("hush\n"));
        assert_eq!(secret("file:none", dir.path()), None);
        assert_eq!(secret("vault:psk", dir.path()), None);
    }

    #[test]
    fn an_error_names_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hq.cfg");
        fs::write(&file, "ikev2 proposal 1\n encryption rot13\n").unwrap();
        let error = format!("{:#}", load_file(&file).unwrap_err());
        assert!(error.contains("hq.cfg:2: "), "{error}");
    }
}
