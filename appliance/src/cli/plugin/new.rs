//! `hawser plugin new --lang LANGUAGE --hook HOOK NAME`.

use super::templates;
use crate::cli::Health;
use crate::cli::client::print;
use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use hawser_plugin::Hook;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    Rust,
    Python,
    Js,
    C,
}

impl Language {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Js => "js",
            Self::C => "c",
        }
    }

    /// How a project is tested and built.
    fn commands(self) -> &'static str {
        match self {
            Self::Rust => "cargo test && ./build",
            Self::Python => "python3 -m unittest && ./build",
            Self::Js => "npm install && npm test && npm run build",
            Self::C => "make test && make",
        }
    }
}

/// Writes a project that builds and tests at once.
#[derive(Debug, Args)]
pub(in crate::cli) struct New {
    /// What it is written in.
    #[arg(long = "lang", value_enum)]
    language: Language,
    /// What it decides: dpd-policy, peer-authorization or log-format.
    #[arg(long)]
    hook: Hook,
    /// Its name, and that of its folder: small letters, digits and hyphens.
    name: String,
    /// The repository of Hawser, for Rust and C; usually found from here or from this program.
    #[arg(long, value_name = "DIR")]
    repository: Option<PathBuf>,
}

impl New {
    pub(in crate::cli) fn perform(self) -> anyhow::Result<Health> {
        let name = &self.name;
        ensure!(
            name.len() <= 64
                && name.starts_with(|c: char| c.is_ascii_lowercase())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "`{name}` is not a name of a plugin: [a-z][a-z0-9-]*, at most 64 octets"
        );
        let files: Vec<_> = templates::files(self.language, self.hook).collect();
        let repository = if files.iter().any(|(_, text)| text.contains("{{hawser}}")) {
            self.repository()?
        } else {
            PathBuf::new()
        };
        let folder = Path::new(name);
        fs::create_dir(folder).with_context(|| format!("cannot make the folder {name}"))?;
        for (path, text) in files {
            let text = text
                .replace("{{name}}", name)
                .replace("{{hook}}", self.hook.as_str())
                .replace("{{hawser}}", &repository.to_string_lossy());
            write(&folder.join(path), &text)?;
        }
        write(&folder.join("wit/hawser.wit"), templates::WIT)?;
        print(&format!(
            "{name} is there. Now:\n\n  cd {name}\n  {}\n  hawser plugin check {name}.wasm\n",
            self.language.commands()
        ))?;
        Ok(Health::Healthy)
    }

    /// Where the guest crate and the tools are.
    fn repository(&self) -> anyhow::Result<PathBuf> {
        if let Some(given) = &self.repository {
            return Ok(fs::canonicalize(given)?);
        }
        let starts = [std::env::current_dir(), std::env::current_exe()];
        let is_it = |folder: &&Path| folder.join("sdk/wit/hawser.wit").is_file();
        for start in starts.into_iter().flatten() {
            if let Some(found) = start.ancestors().find(is_it) {
                return Ok(found.to_owned());
            }
        }
        bail!("where is the repository of Hawser, with its sdk? Say so with --repository DIR")
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    fs::write(path, text).with_context(failed)?;
    if text.starts_with("#!") {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).with_context(failed)?;
    }
    Ok(())
}
