//! What every plugin has, whatever it decides: a description, and settings.

use serde::de::DeserializeOwned;
use std::fmt;

/// What a plugin says about itself. [`about!`](crate::about) fills it from `Cargo.toml`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct About {
    /// `[a-z][a-z0-9-]*`, at most 64 octets.
    pub name: &'static str,
    /// Semantic version of the plugin.
    pub version: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// JSON Schema of the settings.
    pub settings_schema: &'static str,
}

/// Describes the plugin with the name, version and description of its `Cargo.toml`, and the JSON
/// Schema of its settings.
///
/// ```
/// # use hawser_sdk::About;
/// const ABOUT: About = hawser_sdk::about!(r#"{"type": "object"}"#);
/// ```
#[macro_export]
macro_rules! about {
    ($schema:expr) => {
        $crate::About {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            summary: env!("CARGO_PKG_DESCRIPTION"),
            settings_schema: $schema,
        }
    };
}

/// A setting that does not do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsError {
    /// JSON pointer to the setting (RFC 6901), `""` for the whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl SettingsError {
    /// An error about the setting at this JSON pointer.
    pub fn new(path: impl Into<String>, message: impl fmt::Display) -> Self {
        Self {
            path: path.into(),
            message: message.to_string(),
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

impl std::error::Error for SettingsError {}

/// What every plugin has: a description and settings. One value lives as long as its instance.
pub trait Plugin: Sized {
    /// What the operator may set; derive `serde::Deserialize` with `#[serde(default,
    /// deny_unknown_fields)]`, and a wrong key is reported with its place before the plugin runs.
    type Settings: DeserializeOwned;

    /// What the plugin says about itself: see [`about!`](crate::about).
    const ABOUT: About;

    /// The plugin with these settings.
    ///
    /// # Errors
    /// Where a setting is of the right type, but makes no sense.
    fn new(settings: Self::Settings) -> Result<Self, SettingsError>;
}
