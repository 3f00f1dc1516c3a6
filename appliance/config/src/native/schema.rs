//! The JSON Schema of the native configuration, made of the table of its keys.

use super::keys::{Key, Kind, Need, ROOT, Section};
use serde_json::{Map, Value, json};

/// The schema, in draft 2020-12.
pub(crate) fn schema() -> String {
    let mut root = section(&ROOT);
    root.insert(
        "$schema".into(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    root.insert("title".into(), json!("Hawser"));
    format!("{:#}\n", Value::Object(root))
}

fn section(section: &Section) -> Map<String, Value> {
    let properties: Map<String, Value> = section
        .keys
        .iter()
        .map(|key| (key.name.to_owned(), property(key)))
        .collect();
    let required: Vec<&str> = section
        .keys
        .iter()
        .filter(|k| k.need == Need::Required)
        .map(|k| k.name)
        .collect();
    let mut object = Map::new();
    object.insert("type".into(), json!("object"));
    object.insert("description".into(), json!(section.doc));
    object.insert("additionalProperties".into(), json!(false));
    object.insert("properties".into(), Value::Object(properties));
    object.insert("required".into(), json!(required));
    if section.keys.iter().any(|k| k.name == "secret") {
        let one = ["secret", "secret_env", "secret_file"].map(|name| json!({"required": [name]}));
        object.insert("oneOf".into(), json!(one));
    }
    object
}

fn property(key: &Key) -> Value {
    let doc = match key.need {
        Need::Required => key.doc.to_owned(),
        Need::Default(default) => format!("{} Without it: {default}.", key.doc),
    };
    let mut value = kind(&key.kind);
    if let Some(object) = value.as_object_mut() {
        object.insert("description".into(), json!(doc));
    }
    value
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Text(what) => json!({"type": "string", "title": what}),
        Kind::Texts(what) => {
            json!({"type": "array", "items": {"type": "string", "title": what}})
        }
        Kind::Choice(words) => json!({"enum": words}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Count { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Duration { min, max, off } => {
            let pattern = if *off {
                "^([0-9]+(ms|s|m|h|d)?|off)$"
            } else {
                "^[0-9]+(ms|s|m|h|d)?$"
            };
            json!({"anyOf": [
                {"type": "integer", "minimum": min.div_ceil(1000), "maximum": max / 1000},
                {"type": "string", "pattern": pattern},
            ]})
        }
        Kind::Free => json!({"type": "object"}),
        Kind::Table(table) => Value::Object(section(table)),
        Kind::Tables(table) => json!({"type": "array", "items": section(table)}),
    }
}
