//! Settings of a plugin against the schema that it declares: a subset of JSON Schema.
//!
//! Understood are `type` (a name or a list of names), `enum`, `const`, `minimum`, `maximum`,
//! `minLength`, `maxLength`, `minItems`, `maxItems`, `items`, `properties`, `required` and
//! `additionalProperties`; `$schema`, `$id`, `$comment`, `title`, `description`, `default`,
//! `examples` and `format` say nothing here. Every other keyword is an error of the schema:
//! better refused than believed to be checked.

use serde_json::{Map, Value};

use crate::fault::LoadError;

const ANNOTATIONS: &[&str] = &[
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "format",
];
const DEPTH: usize = 16;

/// Reads a schema and refuses keywords that nobody would check.
pub fn parse_schema(text: &str) -> Result<Value, LoadError> {
    let bad = |message: String| LoadError::Description(format!("settings-schema: {message}"));
    let schema = match text.trim() {
        "" => Value::Bool(true),
        text => serde_json::from_str(text).map_err(|error| bad(error.to_string()))?,
    };
    check_schema(&schema, "", 0).map_err(bad)?;
    Ok(schema)
}

/// Checks `settings` against a schema of [`parse_schema`]. The error names the JSON pointer.
pub fn validate(schema: &Value, settings: &Value) -> Result<(), LoadError> {
    if !settings.is_object() {
        return Err(LoadError::settings("", "must be an object"));
    }
    check(schema, settings, "")
}

fn check_schema(schema: &Value, at: &str, depth: usize) -> Result<(), String> {
    let object = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(object) if depth < DEPTH => object,
        Value::Object(_) => return Err(format!("{at}: nested too deeply")),
        _ => return Err(format!("{at}: neither an object nor a boolean")),
    };
    for (keyword, value) in object {
        let here = format!("{at}/{}", escape(keyword));
        let fits = match keyword.as_str() {
            "type" => type_names(value).is_some(),
            "enum" => value.is_array(),
            "const" => true,
            "minimum" | "maximum" => value.is_number(),
            "minLength" | "maxLength" | "minItems" | "maxItems" => value.is_u64(),
            "required" => value
                .as_array()
                .is_some_and(|names| names.iter().all(Value::is_string)),
            "items" | "additionalProperties" => {
                check_schema(value, &here, depth + 1)?;
                true
            }
            "properties" => {
                let properties = value.as_object().ok_or(format!("{here}: not an object"))?;
                for (name, schema) in properties {
                    check_schema(schema, &format!("{here}/{}", escape(name)), depth + 1)?;
                }
                true
            }
            other if ANNOTATIONS.contains(&other) => true,
            _ => return Err(format!("{here}: this keyword is not supported")),
        };
        if !fits {
            return Err(format!("{here}: not what this keyword takes"));
        }
    }
    Ok(())
}

/// The names in `type`, if they are names of types.
fn type_names(value: &Value) -> Option<Vec<&str>> {
    const TYPES: [&str; 7] = [
        "null", "boolean", "integer", "number", "string", "array", "object",
    ];
    let names: Vec<&str> = match value {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    names
        .iter()
        .all(|name| TYPES.contains(name))
        .then_some(names)
}

fn check(schema: &Value, value: &Value, at: &str) -> Result<(), LoadError> {
    let fail = |message: String| Err(LoadError::settings(at, message));
    let schema = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Object(schema) => schema,
        _ => return fail("is not allowed".into()),
    };
    if let Some(names) = schema.get("type").and_then(type_names)
        && !names.iter().any(|name| is_type(value, name))
    {
        return fail(format!("must be {}", names.join(" or ")));
    }
    if let Some(Value::Array(cases)) = schema.get("enum")
        && !cases.contains(value)
    {
        let cases: Vec<String> = cases.iter().map(Value::to_string).collect();
        return fail(format!("must be one of {}", cases.join(", ")));
    }
    if let Some(only) = schema.get("const")
        && only != value
    {
        return fail(format!("must be {only}"));
    }
    match value {
        Value::Number(_) => check_range(schema, value.as_f64(), ["minimum", "maximum"], "", at),
        Value::String(text) => {
            let length = text.chars().count() as f64;
            check_range(
                schema,
                Some(length),
                ["minLength", "maxLength"],
                " characters long",
                at,
            )
        }
        Value::Array(items) => check_array(schema, items, at),
        Value::Object(object) => check_object(schema, object, at),
        _ => Ok(()),
    }
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => value.is_object(),
    }
}

fn check_range(
    schema: &Map<String, Value>,
    measure: Option<f64>,
    [least, most]: [&str; 2],
    unit: &str,
    at: &str,
) -> Result<(), LoadError> {
    let bound = |keyword| schema.get(keyword).and_then(Value::as_f64);
    let Some(measure) = measure else {
        return Ok(());
    };
    if let Some(least) = bound(least).filter(|least| measure < *least) {
        return Err(LoadError::settings(
            at,
            format!("must be at least {least}{unit}"),
        ));
    }
    if let Some(most) = bound(most).filter(|most| measure > *most) {
        return Err(LoadError::settings(
            at,
            format!("must be at most {most}{unit}"),
        ));
    }
    Ok(())
}

fn check_array(schema: &Map<String, Value>, items: &[Value], at: &str) -> Result<(), LoadError> {
    let length = Some(items.len() as f64);
    check_range(schema, length, ["minItems", "maxItems"], " items long", at)?;
    if let Some(each) = schema.get("items") {
        for (index, item) in items.iter().enumerate() {
            check(each, item, &format!("{at}/{index}"))?;
        }
    }
    Ok(())
}

fn check_object(
    schema: &Map<String, Value>,
    object: &Map<String, Value>,
    at: &str,
) -> Result<(), LoadError> {
    for name in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if let Some(name) = name.as_str().filter(|name| !object.contains_key(*name)) {
            return Err(LoadError::settings(
                format!("{at}/{}", escape(name)),
                "is required",
            ));
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, value) in object {
        let here = format!("{at}/{}", escape(name));
        let declared = properties.and_then(|properties| properties.get(name));
        match declared.or_else(|| schema.get("additionalProperties")) {
            Some(Value::Bool(false)) => {
                let known = properties.map_or_else(Vec::new, |all| all.keys().cloned().collect());
                return Err(LoadError::Settings {
                    pointer: here,
                    message: format!("unknown setting; there are: {}", known.join(", ")),
                    known,
                });
            }
            Some(schema) => check(schema, value, &here)?,
            None => {}
        }
    }
    Ok(())
}

/// A name as a step of a JSON pointer (RFC 6901).
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        parse_schema(
            r#"{"type": "object", "additionalProperties": false, "required": ["mode"], "properties": {
                "mode": {"enum": ["a", "b"]}, "seconds": {"type": "integer", "minimum": 1, "maximum": 9},
                "names": {"type": "array", "maxItems": 2, "items": {"type": "string", "minLength": 1}},
                "a/b": {"type": ["null", "boolean"]}}}"#,
        )
        .unwrap()
    }

    fn pointer(settings: &Value) -> String {
        match validate(&schema(), settings) {
            Ok(()) => "fits".into(),
            Err(LoadError::Settings { pointer, .. }) => pointer,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn names_the_pointer() {
        for (settings, at) in [
            (
                json!({"mode": "a", "seconds": 9, "names": ["x"], "a/b": null}),
                "fits",
            ),
            (json!({}), "/mode"),
            (json!([]), ""),
            (json!({"mode": "c"}), "/mode"),
            (json!({"mode": "a", "seconds": 0}), "/seconds"),
            (json!({"mode": "a", "seconds": 1.5}), "/seconds"),
            (json!({"mode": "a", "names": ["x", ""]}), "/names/1"),
            (json!({"mode": "a", "names": ["x", "y", "z"]}), "/names"),
            (json!({"mode": "a", "a/b": 1}), "/a~1b"),
            (json!({"mode": "a", "sceonds": 1}), "/sceonds"),
        ] {
            assert_eq!(pointer(&settings), at, "{settings}");
        }
    }

    #[test]
    fn refuses_keywords_it_would_not_check() {
        for text in [
            r#"{"pattern": "x"}"#,
            r#"{"properties": {"a": {"oneOf": []}}}"#,
            r#"{"type": "float"}"#,
            "[]",
            "{",
        ] {
            assert!(parse_schema(text).is_err(), "{text}");
        }
        assert!(parse_schema("").is_ok());
    }
}
