//! Tests of a plugin's logic with `cargo test`: no WebAssembly, no gateway, no waiting.
//!
//! Evidence with sensible defaults comes from [`dpd::evidence`], [`authorization::request`] and
//! [`log::event`]; [`dpd::Drive`] plays a device against a policy in virtual time.
//! [`component`] asks the built component instead, under the limits of a real gateway.

pub mod authorization;
pub mod component;
pub mod dpd;
pub mod host;
pub mod log;

use crate::{Plugin, configure};
use serde_json::{Map, Value};

/// Checks what the host checks before it loads a plugin: that its name and version are well formed,
/// that the schema describes an object and refuses unknown keys, and that schema and settings
/// agree: `{}` does where nothing is required, and so does each `default` and each of the
/// `examples`. The host knows a subset of JSON Schema; other keywords are refused.
///
/// # Panics
/// Where the plugin would be refused, with what is wrong.
pub fn check<P: Plugin>() {
    let about = P::ABOUT;
    let first = about.name.chars().next();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    assert!(
        first.is_some_and(|c| c.is_ascii_lowercase())
            && about.name.chars().all(allowed)
            && about.name.len() <= 64,
        "`{}` is not a name: [a-z][a-z0-9-]*, at most 64 octets",
        about.name
    );
    let release = about.version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = release.split('.').map(str::parse::<u64>).collect();
    assert!(
        numbers.len() == 3 && numbers.iter().all(Result::is_ok),
        "`{}` is not a semantic version",
        about.version
    );
    assert!(!about.summary.is_empty(), "the summary is empty");
    check_schema::<P>(about.settings_schema);
}

fn check_schema<P: Plugin>(schema: &str) {
    let schema: Value = serde_json::from_str(schema).expect("the schema is JSON");
    assert_eq!(schema["type"], "object", "the schema describes an object");
    check_keywords(&schema, "");
    assert_eq!(
        schema["additionalProperties"], false,
        "a schema that allows unknown keys lets typing errors through"
    );
    let accept = |settings: &Value, what: &str| {
        if let Err(e) = configure::<P>(&settings.to_string()) {
            panic!("{what} of the schema does not do: {e}");
        }
    };
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let required = schema["required"].as_array().is_some_and(|r| !r.is_empty());
    if !required {
        accept(&Value::Object(Map::new()), "the empty object");
        for (name, property) in properties {
            if let Some(default) = property.get("default") {
                let one = Map::from_iter([(name.clone(), default.clone())]);
                accept(&Value::Object(one), &format!("the default of `{name}`"));
            }
        }
    }
    for example in schema["examples"].as_array().into_iter().flatten() {
        accept(example, "an example");
    }
    let unknown = configure::<P>(r#"{"no-such-setting-anywhere": 1}"#);
    assert!(unknown.is_err(), "an unknown setting has to be refused");
}

/// Keywords that the host understands.
const KEYWORDS: [&str; 20] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "format",
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "items",
    "required",
    "additionalProperties",
];

fn check_keywords(schema: &Value, at: &str) {
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        match keyword.as_str() {
            "properties" => {
                for (name, property) in value.as_object().into_iter().flatten() {
                    check_keywords(property, &format!("{at}/properties/{name}"));
                }
            }
            "items" | "additionalProperties" => {
                check_keywords(value, &format!("{at}/{keyword}"));
            }
            known if KEYWORDS.contains(&known) => {}
            other => panic!("{at}: the host does not understand `{other}` in a schema"),
        }
    }
}
