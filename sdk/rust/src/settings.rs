//! Settings: JSON text to the plugin's own type, with the place of what is wrong.

use crate::plugin::{Plugin, SettingsError};
use serde_path_to_error::{Path, Segment};

/// A plugin from its settings as JSON text, as the host gives them.
///
/// # Errors
/// With the JSON pointer of the setting that does not do.
pub fn configure<P: Plugin>(text: &str) -> Result<P, SettingsError> {
    if !text.trim_start().starts_with('{') {
        return Err(SettingsError::new("", "the settings are not a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let settings = serde_path_to_error::deserialize(&mut json)
        .map_err(|e| SettingsError::new(pointer(e.path()), e.inner()))?;
    json.end().map_err(|e| SettingsError::new("", e))?;
    P::new(settings)
}

/// RFC 6901.
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let name = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            // Neither is a place in the text.
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&name);
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::About;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Deserialize, Default, Debug)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        limit: u8,
        rules: Vec<Rule>,
        named: BTreeMap<String, u8>,
    }

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        #[serde(rename = "match")]
        #[expect(dead_code, reason = "only its place is of interest")]
        pattern: String,
    }

    #[derive(Debug)]
    struct Limited(u8);

    impl Plugin for Limited {
        type Settings = Settings;
        const ABOUT: About = crate::about!("{}");

        fn new(settings: Settings) -> Result<Self, SettingsError> {
            if settings.limit == 13 {
                return Err(SettingsError::new("/limit", "13 is not a limit"));
            }
            drop((settings.rules, settings.named));
            Ok(Self(settings.limit))
        }
    }

    fn path_of(text: &str) -> String {
        configure::<Limited>(text).expect_err("refused").path
    }

    #[test]
    fn good_settings_make_a_plugin() {
        let plugin = configure::<Limited>(r#"{"limit": 7, "rules": [{"match": "a"}]}"#);
        assert_eq!(plugin.expect("it is good").0, 7);
        assert_eq!(configure::<Limited>("{}").expect("defaults").0, 0);
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(path_of(r#"{"limit": 300}"#), "/limit");
        assert_eq!(path_of(r#"{"limit": 13}"#), "/limit");
        assert_eq!(
            path_of(r#"{"rules": [{"match": "a"}, {"match": 5}]}"#),
            "/rules/1/match"
        );
        assert_eq!(path_of(r#"{"rules": [{"mtach": "a"}]}"#), "/rules/0/mtach");
        assert_eq!(path_of(r#"{"lmiit": 5}"#), "/lmiit");
        assert_eq!(path_of(r#"{"named": {"a/b~c": "x"}}"#), "/named/a~1b~0c");
        assert_eq!(path_of("{} {}"), "");
        assert_eq!(path_of("[]"), "");
    }
}
