//! The templates of `sdk/templates`, in this program.

use super::new::Language;
use hawser_plugin::Hook;

/// The contract that a project is built against.
pub(super) const WIT: &str = include_str!("../../../../sdk/wit/hawser.wit");

struct File {
    language: &'static str,
    /// A hook, or `common`.
    part: &'static str,
    path: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($language:literal $part:literal $path:literal;)+) => {
        &[$(File {
            language: $language,
            part: $part,
            path: $path,
            text: include_str!(concat!("../../../../sdk/templates/", $language, "/", $part, "/", $path)),
        }),+]
    };
}

const FILES: &[File] = files! {
    "c" "common" ".gitignore";
    "c" "common" "Makefile";
    "c" "dpd-policy" "plugin.c";
    "c" "dpd-policy" "policy.c";
    "c" "dpd-policy" "policy.h";
    "c" "dpd-policy" "policy_test.c";
    "c" "log-format" "plugin.c";
    "c" "log-format" "policy.c";
    "c" "log-format" "policy.h";
    "c" "log-format" "policy_test.c";
    "c" "peer-authorization" "plugin.c";
    "c" "peer-authorization" "policy.c";
    "c" "peer-authorization" "policy.h";
    "c" "peer-authorization" "policy_test.c";
    "js" "common" ".gitignore";
    "js" "common" "build.mjs";
    "js" "common" "package.json";
    "js" "dpd-policy" "plugin.js";
    "js" "dpd-policy" "policy.js";
    "js" "dpd-policy" "policy.test.js";
    "js" "log-format" "plugin.js";
    "js" "log-format" "policy.js";
    "js" "log-format" "policy.test.js";
    "js" "peer-authorization" "plugin.js";
    "js" "peer-authorization" "policy.js";
    "js" "peer-authorization" "policy.test.js";
    "python" "common" ".gitignore";
    "python" "common" "build";
    "python" "dpd-policy" "plugin.py";
    "python" "dpd-policy" "policy.py";
    "python" "dpd-policy" "test_policy.py";
    "python" "log-format" "plugin.py";
    "python" "log-format" "policy.py";
    "python" "log-format" "test_policy.py";
    "python" "peer-authorization" "plugin.py";
    "python" "peer-authorization" "policy.py";
    "python" "peer-authorization" "test_policy.py";
    "rust" "common" ".gitignore";
    "rust" "common" "Cargo.toml";
    "rust" "common" "build";
    "rust" "dpd-policy" "settings.schema.json";
    "rust" "dpd-policy" "src/lib.rs";
    "rust" "dpd-policy" "tests/component.rs";
    "rust" "log-format" "settings.schema.json";
    "rust" "log-format" "src/lib.rs";
    "rust" "log-format" "tests/component.rs";
    "rust" "peer-authorization" "settings.schema.json";
    "rust" "peer-authorization" "src/lib.rs";
    "rust" "peer-authorization" "tests/component.rs";
};

/// Paths and texts of the files of a project.
pub(super) fn files(
    language: Language,
    hook: Hook,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let wanted = move |file: &&File| {
        file.language == language.as_str() && (file.part == "common" || file.part == hook.as_str())
    };
    FILES
        .iter()
        .filter(wanted)
        .map(|file| (file.path, file.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// Files below a folder.
    fn count(folder: &Path) -> usize {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let each = entries.map(|entry| match entry.path() {
            path if path.ends_with("__pycache__") => 0,
            path if path.is_dir() => count(&path),
            _ => 1,
        });
        each.sum()
    }

    #[test]
    fn every_file_of_the_templates_is_here() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/templates");
        assert_eq!(count(&folder), FILES.len());
    }
}
