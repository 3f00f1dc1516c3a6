//! A plugin's component with its signature.

use super::shipped;
use anyhow::Context as _;
use hawser_plugin::Source;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The plugin that ships under this name, or that of this file (with `FILE.sig` where it is there).
pub(crate) fn source(plugin: &str, settings: Value) -> anyhow::Result<Source> {
    if let Some(bytes) = shipped::component(plugin) {
        return Ok(Source {
            bytes: bytes.to_vec(),
            signature: None,
            settings,
        });
    }
    let bytes = fs::read(Path::new(plugin)).with_context(|| {
        let names = shipped::names();
        format!("cannot read {plugin}, and no plugin of this name ships ({names})")
    })?;
    Ok(Source {
        bytes,
        signature: fs::read(format!("{plugin}.sig")).ok(),
        settings,
    })
}
