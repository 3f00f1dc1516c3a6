//! The plugins of the configuration, as far as they are loaded.

use super::wanted::{Wanted, check};
use anyhow::{Context as _, anyhow};
use hawser_plugin::{Hook, Plugins, Scope, inspect};
use std::collections::BTreeMap;

/// What was loaded because the configuration says so.
#[derive(Debug, Default)]
pub(crate) struct Configured(Vec<Loaded>);

/// A plugin that decides.
#[derive(Clone, Debug)]
struct Loaded {
    wanted: Wanted,
    /// Of its file.
    sha256: String,
    /// Its own name.
    name: String,
}

/// What decides until it is taken away.
#[derive(Debug)]
pub(crate) struct Gone(Vec<Loaded>);

impl Configured {
    /// Loads what a configuration wants and is not there, or has changed, and brings chains into its order. All of that is tried first: on an error
    /// everything is as it was.
    ///
    /// What is no longer wanted still decides: the policy that does without it may not be in force yet.
    pub(crate) fn follow(
        &mut self,
        plugins: &Plugins,
        next: Vec<Wanted>,
        file: &str,
    ) -> anyhow::Result<Gone> {
        let old = &self.0;
        let same = |wanted: &Wanted| {
            let sha256 = digest(plugins, wanted)?;
            let same = |l: &&Loaded| l.wanted.is_like(wanted) && l.sha256 == sha256;
            old.iter().find(same).cloned()
        };
        let next: Vec<(Option<Loaded>, Wanted)> = next.into_iter().map(|w| (same(&w), w)).collect();
        let changed = next.iter().filter(|(same, _)| same.is_none());
        check(plugins, changed.map(|(_, wanted)| wanted), file)?;
        let mut now = Vec::new();
        for (same, wanted) in next {
            now.push(match same {
                Some(loaded) => loaded,
                None => load(plugins, wanted, file)?,
            });
        }
        let decides = |old: &Loaded| now.iter().any(|new| new.takes_the_place_of(old));
        order(plugins, &now);
        let gone = old.iter().filter(|old| !decides(old)).cloned().collect();
        self.0 = now;
        Ok(Gone(gone))
    }
}

impl Gone {
    /// Takes them away. One that an operator has replaced meanwhile is not there any more.
    pub(crate) fn unload(&self, plugins: &Plugins) {
        for Loaded { wanted, name, .. } in &self.0 {
            let _ = plugins.unload(wanted.hook, &wanted.scope, Some(name));
        }
    }
}

impl Loaded {
    /// Whether loading this one took the other away: of a chain only one of the same name does.
    fn takes_the_place_of(&self, old: &Self) -> bool {
        self.wanted.hook == old.wanted.hook
            && self.wanted.scope == old.wanted.scope
            && (self.wanted.hook != Hook::PeerAuthorization || self.name == old.name)
    }
}

/// Every chain in the order in which the configuration names its plugins.
fn order(plugins: &Plugins, now: &[Loaded]) {
    let mut chains: BTreeMap<&Scope, Vec<&str>> = BTreeMap::new();
    let chained = |l: &&Loaded| l.wanted.hook == Hook::PeerAuthorization;
    for loaded in now.iter().filter(chained) {
        let chain = chains.entry(&loaded.wanted.scope).or_default();
        chain.push(&loaded.name);
    }
    for (scope, names) in chains {
        plugins.order_authorization(scope, &names);
    }
}

/// Of the file that is there now; `None`: there is none that could be loaded.
fn digest(plugins: &Plugins, wanted: &Wanted) -> Option<String> {
    let source = wanted.source().ok()?;
    let limit = plugins.limits().file;
    // Whether its imports are granted is for the check.
    let any = [String::new()];
    let inspection = inspect(&source.bytes, limit, &any).ok()?;
    Some(inspection.sha256)
}

fn load(plugins: &Plugins, wanted: Wanted, file: &str) -> anyhow::Result<Loaded> {
    let told = |problem: hawser_config::Problem| anyhow!("{}", problem.in_file(file));
    let source = wanted.source().map_err(told)?;
    let info = plugins
        .load(wanted.hook, &wanted.scope, &source)
        .map_err(|error| told(wanted.problem(&error)))
        .context("a plugin that was in order a moment ago is not loaded")?;
    Ok(Loaded {
        wanted,
        sha256: info.sha256,
        name: info.name,
    })
}
