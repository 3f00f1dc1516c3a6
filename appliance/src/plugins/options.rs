//! How the plugins of a gateway are set up.

use hawser_plugin::{Cache, ChildCompiler, Compiler, Options};

/// Where compiled plugins are kept.
const CACHE: &str = "/var/cache/hawser/plugins";

/// Compiled by a child of this program, and kept for the next start where that is possible.
pub(crate) fn options() -> Options {
    let cache = Cache::open(CACHE)
        .inspect_err(|error| tracing::warn!("compiled plugins are not kept: {error}"));
    Options {
        compiler: Compiler::Child(ChildCompiler::this_program()),
        cache: cache.ok(),
        ..Options::default()
    }
}
