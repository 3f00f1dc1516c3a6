//! How the plugins of a gateway are set up.

use hawser_plugin::{Cache, ChildCompiler, Compiler, Limits, Options};
use hawser_policy::PluginHost;
use std::path::Path;

/// Where compiled plugins are kept unless the configuration says otherwise.
const CACHE: &str = "/var/cache/hawser/plugins";

/// Compiled by a child of this program, and kept for the next start where that is possible.
pub(crate) fn options(host: &PluginHost) -> Options {
    let cache = Cache::open(host.cache.as_deref().unwrap_or(Path::new(CACHE)))
        .inspect_err(|error| tracing::warn!("compiled plugins are not kept: {error}"));
    Options {
        limits: Limits {
            deadline: host.deadline,
            memory: host.memory,
            ..Limits::default()
        },
        compiler: Compiler::Child(ChildCompiler::this_program()),
        cache: cache.ok(),
        keys: host.keys.clone(),
        granted: host.granted.clone(),
        ..Options::default()
    }
}
