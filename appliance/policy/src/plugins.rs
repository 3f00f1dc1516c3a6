//! Which plugins decide, and under which limits.

use std::path::PathBuf;
use std::time::Duration;

/// What a plugin is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PluginHook {
    /// Dead peer detection.
    DpdPolicy,
    /// What an authenticated peer may have.
    PeerAuthorization,
    /// Lines of the log.
    LogFormat,
}

/// A plugin that the configuration wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginEntry {
    /// What it is asked about.
    pub hook: PluginHook,
    /// The name of one that ships, or the path of a component.
    pub plugin: String,
    /// Only for this tenant.
    pub tenant: Option<String>,
    /// Only for this template.
    pub template: Option<String>,
    /// Its own settings: a JSON object.
    pub settings: String,
}

/// The host of all plugins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginHost {
    /// Processor time of a call: 1 ms to 1 s.
    pub deadline: Duration,
    /// Memory of an instance in octets: 1 MiB to 1 GiB.
    pub memory: usize,
    /// Public ed25519 keys; with any, what none of them signed is refused.
    pub keys: Vec<[u8; 32]>,
    /// Prefixes of names that a plugin may import and that trap when they are called.
    pub granted: Vec<String>,
    /// A directory whose plugins are loaded when they appear.
    pub watch: Option<PathBuf>,
    /// Where compiled code is kept; `None`: where the gateway keeps it otherwise.
    pub cache: Option<PathBuf>,
}

impl Default for PluginHost {
    /// 5 ms, 16 MiB; unsigned plugins, nothing granted, nothing watched.
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(5),
            memory: 16 << 20,
            keys: Vec::new(),
            granted: Vec::new(),
            watch: None,
            cache: None,
        }
    }
}

/// The plugins of a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginPolicy {
    /// What they may use.
    pub host: PluginHost,
    /// In the order in which they are asked.
    pub entries: Vec<PluginEntry>,
}
