//! Every key of the native configuration: its kind, bounds, default and meaning.
//!
//! The reader takes bounds from here, refuses keys that are not here, and the JSON Schema is made of
//! it. Adding a key: a line here, a field in the document, its use in `read`, `write` and `build`.

mod gateway;
mod log;
mod plugins;
mod template;

pub(in crate::native) use gateway::ROOT;

/// A table of the configuration.
pub(in crate::native) struct Section {
    pub(in crate::native) doc: &'static str,
    pub(in crate::native) keys: &'static [Key],
}

/// A key of a table.
pub(in crate::native) struct Key {
    pub(in crate::native) name: &'static str,
    pub(in crate::native) kind: Kind,
    pub(in crate::native) need: Need,
    pub(in crate::native) doc: &'static str,
}

/// Whether a key must be there, and what holds where it is not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::native) enum Need {
    Required,
    /// What holds without the key, in words.
    Default(&'static str),
}

/// What the value of a key is.
pub(in crate::native) enum Kind {
    /// A string, and what is in it.
    Text(&'static str),
    /// Strings, and what is in each.
    Texts(&'static str),
    /// One of these words.
    Choice(&'static [&'static str]),
    Flag,
    Count {
        min: u64,
        max: u64,
    },
    /// `"20s"` or seconds, between these bounds in milliseconds; `off`: also `"off"`.
    Duration {
        min: u64,
        max: u64,
        off: bool,
    },
    Table(&'static Section),
    /// A table of whatever keys.
    Free,
    Tables(&'static Section),
}

const SECOND: u64 = 1000;

const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        need: Need::Required,
        doc,
    }
}

const fn optional(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        need: Need::Default(default),
        doc,
    }
}

const fn seconds(min: u64, max: u64) -> Kind {
    Kind::Duration {
        min: min * SECOND,
        max: max * SECOND,
        off: false,
    }
}

const fn seconds_or_off(min: u64, max: u64) -> Kind {
    Kind::Duration {
        min: min * SECOND,
        max: max * SECOND,
        off: true,
    }
}

const NAME: Kind = Kind::Text("a name");
const ADDRESSES: Kind = Kind::Texts("an IP address");
const NETWORKS: Kind = Kind::Texts("a network such as 192.0.2.0/24");
const IKE_PROPOSALS: Kind = Kind::Texts("an IKE proposal such as aes256-sha256-modp2048");
