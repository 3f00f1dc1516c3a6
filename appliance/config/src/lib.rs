//! Readers of configuration: native TOML and Comware text, both into the [`Policy`].
//!
//! Both readers make the same document, whose values carry their lines; one builder checks
//! references and names and makes the policy. The crate reads no files: it is given text, and
//! asks its caller for secrets that are kept elsewhere.

mod build;
mod comware;
mod document;
mod format;
mod native;
mod outline;
mod problem;
mod values;

pub use build::PluginPlace;
pub use format::Format;
pub use outline::{Difference, Effect, Outline};
pub use problem::{Note, NoteKind, Problem};

use hawser_policy::Policy;
use problem::Report;

/// Gives a secret that the configuration keeps elsewhere: `env:NAME` or `file:PATH`.
pub type Secrets<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A configuration that is in order.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub policy: Policy,
    /// What its author should know: warnings, and lines that were ignored.
    pub notes: Vec<Note>,
    /// The same key by key, for comparing it with another.
    pub outline: Outline,
    /// Where its plugins stand, in the order of [`hawser_policy::PluginPolicy::entries`].
    pub plugins: Vec<PluginPlace>,
}

/// Reads a configuration.
///
/// `secrets` is asked for `env:NAME` and `file:PATH` where the text refers to a secret kept there;
/// one line end behind the secret is dropped.
///
/// # Errors
/// Every problem found, in the order of lines.
pub fn load(text: &str, format: Format, secrets: Secrets<'_>) -> Result<Loaded, Vec<Problem>> {
    let mut report = Report::default();
    let document = match format {
        Format::Toml => native::read(text, &mut report),
        Format::Comware => comware::read(text, &mut report),
    };
    let built = document.map(|document| {
        let policy = build::policy(&document, secrets, &mut report);
        (policy, Outline::of(&document), build::places(&document))
    });
    let notes = report.finish()?;
    built
        .map(|(policy, outline, plugins)| Loaded {
            policy,
            notes,
            outline,
            plugins,
        })
        .ok_or_else(Vec::new)
}

/// Turns Comware text into native TOML that loads to the same policy.
///
/// # Errors
/// Every problem found in the Comware text, in the order of lines.
pub fn import_comware(text: &str) -> Result<String, Vec<Problem>> {
    let mut report = Report::default();
    let document = comware::read(text, &mut report);
    if let Some(document) = &document {
        build::policy(document, &|_| None, &mut report);
    }
    let notes = report.finish()?;
    document
        .map(|document| native::write(&document, &notes))
        .ok_or_else(Vec::new)
}

/// The JSON Schema (draft 2020-12) of the native TOML.
pub fn schema() -> String {
    native::schema()
}

/// A commented example in native TOML: the headquarters of the case, as `configs/hq.toml`.
pub fn default_toml() -> &'static str {
    include_str!("../../../configs/hq.toml")
}
