//! A configuration as a flat list of what its author set, so that two can be compared key by key.

use crate::document::Document;
use crate::native;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use toml::{Table, Value};

/// What a configuration sets: `templates.branch.dpd.interval` and its value, for every key that is
/// not left to its default. Elements of a list of tables go by their name.
#[derive(Clone, Default)]
pub struct Outline(BTreeMap<String, String>);

/// One key that two configurations say differently.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Difference {
    /// The key, e.g. `templates.branch.dpd.interval`.
    pub key: String,
    /// What it was, as TOML; none: it was left to its default. A secret is never shown.
    pub before: Option<String>,
    /// What it becomes.
    pub after: Option<String>,
    /// How it takes effect.
    pub effect: Effect,
}

/// How a key takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// While tunnels run, and nothing else.
    AtOnce,
    /// SAs that are up are rekeyed, one device after the other.
    Rekey,
    /// Devices that are up authenticate anew, beside the SAs that they have, or are deleted where they are not allowed any
    /// more.
    Reauthenticate,
    /// Only a restart can change it.
    Restart,
}

/// Sections that a running gateway does not change.
const FIXED: [&str; 6] = [
    "listen",
    "metrics",
    "observability",
    "plugin_host",
    "shards",
    "tenants",
];

/// Keys of a template that SAs are rekeyed for.
const REKEYED: [&str; 8] = [
    "ike_proposals",
    "ike_lifetime",
    "ike_rekey_margin",
    "proposals",
    "lifetime",
    "lifetime_bytes",
    "rekey_margin",
    "replay_window",
];

/// Keys of a template that devices authenticate anew for.
const REAUTHENTICATED: [&str; 5] = ["name", "tenant", "local_identity", "local", "remote"];

/// Keys whose values stay hidden.
const HIDDEN: [&str; 1] = ["secret"];

impl Outline {
    pub(crate) fn of(document: &Document) -> Self {
        let mut outline = Self::default();
        // What the writer writes is TOML: its tests hold that.
        if let Ok(table) = native::write(document, &[]).parse::<Table>() {
            outline.table("", &table);
        }
        outline
    }

    /// Every key with its value as TOML; a secret is never shown.
    pub fn lines(&self) -> BTreeMap<String, String> {
        let keys = self.0.keys();
        keys.filter_map(|key| Some((key.clone(), self.shown(key)?)))
            .collect()
    }

    /// What `next` says differently, in the order of keys.
    pub fn differences(&self, next: &Self) -> Vec<Difference> {
        let keys: BTreeSet<_> = self.0.keys().chain(next.0.keys()).collect();
        let differing = keys
            .into_iter()
            .filter(|key| self.0.get(*key) != next.0.get(*key));
        differing
            .map(|key| Difference {
                key: key.clone(),
                before: self.shown(key),
                after: next.shown(key),
                effect: effect(key),
            })
            .collect()
    }

    fn shown(&self, key: &str) -> Option<String> {
        let value = self.0.get(key)?;
        let hidden = HIDDEN.iter().any(|h| key.rsplit('.').next() == Some(h));
        Some(if hidden {
            "(hidden)".to_owned()
        } else {
            value.clone()
        })
    }

    fn table(&mut self, at: &str, table: &Table) {
        for (key, value) in table {
            let path = if at.is_empty() {
                key.clone()
            } else {
                format!("{at}.{key}")
            };
            self.value(path, value);
        }
    }

    fn value(&mut self, path: String, value: &Value) {
        match value {
            Value::Table(table) => self.table(&path, table),
            Value::Array(list) if list.iter().any(Value::is_table) => {
                for (number, element) in list.iter().enumerate() {
                    if let Value::Table(element) = element {
                        let path = format!("{path}.{}", name(element, number));
                        self.table(&self.free(path), element);
                    }
                }
            }
            value => {
                self.0.insert(path, value.to_string());
            }
        }
    }

    /// The path, or where an element of this name is there already, the path and a number.
    fn free(&self, path: String) -> String {
        let taken = |path: &str| {
            let inside = format!("{path}.");
            let next = self.0.range(inside.clone()..).next();
            next.is_some_and(|(key, _)| key.starts_with(&inside))
        };
        if !taken(&path) {
            return path;
        }
        let mut numbered = (2..).map(|n: u32| format!("{path}#{n}"));
        numbered.find(|p| !taken(p)).unwrap_or(path)
    }
}

fn effect(key: &str) -> Effect {
    if FIXED.iter().any(|fixed| is_in(key, fixed)) {
        return Effect::Restart;
    }
    let last = key.rsplit('.').next().unwrap_or_default();
    let of_template = is_in(key, "templates");
    if is_in(key, "ike_policies") || (of_template && REKEYED.contains(&last)) {
        Effect::Rekey
    } else if is_in(key, "secrets")
        || (of_template && (REAUTHENTICATED.contains(&last) || key.contains(".initiate.")))
    {
        Effect::Reauthenticate
    } else {
        Effect::AtOnce
    }
}

/// Whether a key is that of a section, or in it.
fn is_in(key: &str, section: &str) -> bool {
    let rest = key.strip_prefix(section);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What an element of a list goes by: its name, of a secret its template and identity, of a plugin its hook and itself.
fn name(element: &Table, number: usize) -> String {
    let text = |key: &str| element.get(key).and_then(Value::as_str);
    let pair = |first, second| Some(format!("{}/{}", text(first)?, text(second)?));
    let name = text("name")
        .map(str::to_owned)
        .or_else(|| pair("template", "identity"))
        .or_else(|| pair("hook", "plugin"))
        .unwrap_or_else(|| (number + 1).to_string());
    // A dot in a name is no step of the path.
    if name.contains('.') {
        format!("\"{name}\"")
    } else {
        name
    }
}

impl fmt::Debug for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.keys().map(|key| (key, self.shown(key)));
        f.debug_map().entries(keys).finish()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = || "default".to_owned();
        let before = self.before.clone().unwrap_or_else(default);
        let after = self.after.clone().unwrap_or_else(default);
        write!(f, "{}: {before} -> {after}", self.key)?;
        match self.effect {
            Effect::AtOnce => Ok(()),
            Effect::Rekey => f.write_str("  (SAs are rekeyed)"),
            Effect::Reauthenticate => f.write_str("  (devices authenticate anew)"),
            Effect::Restart => f.write_str("  (needs a restart)"),
        }
    }
}
