//! What can be wrong with a plugin that runs, and with one that is to be loaded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A plugin did not decide. The instance is gone; the caller uses the fallback of the hook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginFault {
    /// It ran longer than a call may.
    #[error("exceeded its deadline of {limit:?}\n{backtrace}")]
    Deadline {
        /// The deadline.
        limit: Duration,
        /// Where it was, innermost first.
        backtrace: String,
    },
    /// It trapped, usually a panic: reason and backtrace with the names of functions.
    #[error("trapped: {0}")]
    Trap(String),
    /// It recursed too deeply.
    #[error("exhausted its stack\n{0}")]
    Stack(String),
    /// It failed after it was refused more memory.
    #[error("needed more than {limit} octets of memory")]
    Memory {
        /// What it may have.
        limit: usize,
    },
    /// It answered with more than it may.
    #[error("answered with too much: {0}")]
    TooMuchOutput(String),
    /// An authorization allowed more than was asked for.
    #[error("allowed more than was asked for: {0}")]
    WiderThanAsked(String),
    /// Its answer breaks the contract of its hook.
    #[error("gave a bad answer: {0}")]
    BadAnswer(String),
    /// `init` refused the settings.
    #[error("refused its settings{}: {message}", at(path))]
    Init {
        /// JSON pointer, `""` for the whole.
        path: String,
        /// What is wrong, in its words.
        message: String,
    },
    /// It said that it cannot do what it was asked (`log.format`).
    #[error("declined: {0}")]
    Declined(String),
    /// No instance could be made.
    #[error("could not be started: {0}")]
    Start(String),
    /// The gateway's instances are all in use: nothing that a plugin can help.
    #[error("found no room for an instance: {0}")]
    NoRoom(String),
    /// Too many faults within a minute; nothing was called.
    #[error("is disabled: {0}")]
    Disabled(String),
}

impl PluginFault {
    /// Whether the plugin is to blame.
    pub(crate) fn is_its_own(&self) -> bool {
        !matches!(self, Self::NoRoom(_))
    }

    /// A short word for metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Deadline { .. } => "deadline",
            Self::Trap(_) => "trap",
            Self::Stack(_) => "stack",
            Self::Memory { .. } => "memory",
            Self::TooMuchOutput(_) => "too_much_output",
            Self::WiderThanAsked(_) => "wider_than_asked",
            Self::BadAnswer(_) => "bad_answer",
            Self::Init { .. } => "init",
            Self::Declined(_) => "declined",
            Self::Start(_) => "start",
            Self::NoRoom(_) => "no_room",
            Self::Disabled(_) => "disabled",
        }
    }
}

fn at(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!(" at {path}")
    }
}

/// Which plugin, in which generation, decided or failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The plugin's own name.
    pub plugin: Arc<str>,
    /// The plugin's own version.
    pub version: Arc<str>,
    /// Counted from 1 over all plugins of this run of the gateway; a rollback brings the old number back.
    pub generation: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} (generation {})",
            self.plugin, self.version, self.generation
        )
    }
}

/// An answer and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided<T> {
    /// The answer.
    pub value: T,
    /// Who gave it.
    pub origin: Origin,
}

/// No answer, and who failed to give it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin} {fault}")]
pub struct Failure {
    /// Who failed.
    pub origin: Origin,
    /// How.
    pub fault: PluginFault,
}

/// Why a plugin was not loaded. What ran before it still runs.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Neither a component nor anything like one.
    #[error("not a component: {0}")]
    NotAComponent(String),
    /// The file ends too early.
    #[error("truncated: the file ends at octet {0} in the middle of a section")]
    Truncated(usize),
    /// It is a component, but not a valid one.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The file is larger than allowed.
    #[error("{size} octets, at most {limit} are allowed")]
    TooLarge {
        /// Of the file.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A component of something else.
    #[error(
        "exports none of the hooks of Hawser (dpd-policy, peer-authorization, log-format); it exports {exports}"
    )]
    AnotherWorld {
        /// What it exports instead.
        exports: String,
    },
    /// A plugin of another hook.
    #[error("a plugin of {found}, not of {wanted}")]
    AnotherHook {
        /// The hook of the component.
        found: &'static str,
        /// The hook that it was to be loaded for.
        wanted: &'static str,
    },
    /// Built against a package version that this gateway does not speak.
    #[error("built against hawser:plugin {found}; this gateway runs plugins built against {fits}")]
    Version {
        /// The version in the component.
        found: String,
        /// What fits.
        fits: &'static str,
    },
    /// Imports what no plugin gets.
    #[error(
        "imports {0}; a plugin may import nothing but hawser:plugin/host@0.1.x and hawser:plugin/types@0.1.x"
    )]
    Import(String),
    /// Imports WASI.
    #[error(
        "imports {0}: a plugin gets no WASI, so no files, network, clock or randomness; build it without WASI \
         (componentize-py --stub-wasi; componentize-js with all features disabled; Rust for wasm32-unknown-unknown), or grant the name as a stub that traps"
    )]
    Wasi(String),
    /// A key is configured, and the file has no signature.
    #[error(
        "not signed: a key is configured, so a plugin needs FILE.sig or a section hawser-signature"
    )]
    Unsigned,
    /// The signature was made by another key, or for other bytes.
    #[error("the signature does not fit: {0}")]
    Signature(String),
    /// The compiler refused it or died.
    #[error("cannot be compiled: {0}")]
    Compile(String),
    /// What `describe` says cannot be used.
    #[error("describes itself badly: {0}")]
    Description(String),
    /// The settings do not fit the schema that the plugin declares.
    #[error("settings{}: {message}", at(pointer))]
    Settings {
        /// JSON pointer to the setting.
        pointer: String,
        /// What is wrong.
        message: String,
        /// The names that there are in place of one that there is not.
        known: Vec<String>,
    },
    /// It failed the self-test.
    #[error("failed its self-test in {step}: it {fault}")]
    SelfTest {
        /// `instantiate`, `describe`, `init` or the hook's function.
        step: &'static str,
        /// How.
        fault: PluginFault,
    },
    /// There is nothing to do this to.
    #[error("{0}")]
    Absent(String),
    /// A file or folder of the gateway cannot be used.
    #[error("{0}: {1}")]
    Io(String, #[source] std::io::Error),
}

impl LoadError {
    pub(crate) fn settings(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Settings {
            pointer: pointer.into(),
            message: message.into(),
            known: Vec::new(),
        }
    }
}
