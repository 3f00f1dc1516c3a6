//! A directory whose plugins are loaded when they appear or change, and unloaded when they go.
//!
//! `HOOK/NAME.wasm` decides everywhere, with the settings in `HOOK/NAME.json` and the signature in
//! `HOOK/NAME.wasm.sig` where these are there; below `HOOK/tenant=T/`, `HOOK/template=P/` or
//! `HOOK/tenant=T/template=P/` it decides there. What is being written is left alone until it is still.

use anyhow::Context as _;
use hawser_plugin::{Hook, LoadError, PluginInfo, Plugins, Scope, Source};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked.
const PERIOD: Duration = Duration::from_secs(1);
/// Looks at which a file must be the same before it is believed to be whole.
const STILL: u32 = 2;

/// The directory and what came of it.
#[derive(Debug)]
pub(crate) struct Watch {
    dir: PathBuf,
    files: BTreeMap<PathBuf, File>,
    /// That the directory cannot be read was told.
    unreadable: bool,
}

/// A component's file.
#[derive(Debug)]
struct File {
    hook: Hook,
    scope: Scope,
    print: Print,
    /// Looks at which it was the same.
    still: u32,
    /// It was tried as it is.
    tried: bool,
    /// The name of the plugin that was loaded from it, and decides.
    loaded: Option<String>,
}

/// What tells that a component, its settings or its signature are other ones.
type Print = [Option<(u64, u64, i64, i64)>; 3];

impl Watch {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            files: BTreeMap::new(),
            unreadable: false,
        }
    }

    /// Loads what is there when the gateway starts.
    ///
    /// An error names plugins of `peer-authorization` that cannot be loaded: without them peers would be let in that
    /// they might refuse.
    pub(crate) fn begin(&mut self, plugins: &Plugins) -> anyhow::Result<()> {
        self.look();
        let mut refused = Vec::new();
        for (path, file) in &mut self.files {
            file.tried = true;
            if let Err(error) = file.load(plugins, path)
                && file.hook == Hook::PeerAuthorization
            {
                refused.push(format!("{}: {error:#}", path.display()));
            }
        }
        anyhow::ensure!(refused.is_empty(), "{}", refused.join("\n"));
        Ok(())
    }

    /// Watches until the task is aborted.
    pub(crate) async fn run(mut self, plugins: Arc<Plugins>) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let plugins = Arc::clone(&plugins);
            let turn = move || {
                self.turn(&plugins);
                self
            };
            match tokio::task::spawn_blocking(turn).await {
                Ok(watch) => self = watch,
                Err(error) => return tracing::error!("plugins are not watched any more: {error}"),
            }
        }
    }

    /// Looks, and does what is to be done.
    fn turn(&mut self, plugins: &Plugins) {
        self.look();
        for (path, file) in &mut self.files {
            if file.print[0].is_some() && !file.tried && file.still >= STILL {
                file.tried = true;
                // The event says why.
                let _ = file.load(plugins, path);
            }
        }
        let is_gone = |file: &File| file.print[0].is_none() && file.still >= STILL;
        for file in self.files.values().filter(|file| is_gone(file)) {
            file.unload(plugins);
        }
        self.files.retain(|_, file| !is_gone(file));
    }

    /// What is there now, beside what was.
    fn look(&mut self) {
        let found = match components(&self.dir) {
            Ok(found) => {
                self.unreadable = false;
                found
            }
            Err(error) => {
                if !std::mem::replace(&mut self.unreadable, true) {
                    let dir = self.dir.display();
                    tracing::warn!(
                        "plugins in {dir} cannot be seen, and stay as they are: {error}"
                    );
                }
                return;
            }
        };
        for (path, (hook, scope)) in found {
            self.files.entry(path).or_insert_with(|| File {
                hook,
                scope,
                print: Print::default(),
                still: 0,
                tried: false,
                loaded: None,
            });
        }
        for (path, file) in &mut self.files {
            let print = print(path);
            if file.print == print {
                file.still = file.still.saturating_add(1);
            } else {
                (file.print, file.still, file.tried) = (print, 0, false);
            }
        }
    }
}

impl File {
    fn load(&mut self, plugins: &Plugins, path: &Path) -> anyhow::Result<()> {
        let told = |error: anyhow::Error| {
            plugins.tell_failed(
                self.hook,
                &self.scope,
                format!("{}: {error:#}", path.display()),
            );
            error
        };
        let source = source(path).map_err(told)?;
        self.is_free(plugins, &source).map_err(told)?;
        let info = plugins.load(self.hook, &self.scope, &source)?;
        // Of a chain only one of the same name was replaced.
        if self.hook == Hook::PeerAuthorization && self.loaded.as_ref() != Some(&info.name) {
            self.unload(plugins);
        }
        self.loaded = Some(info.name);
        Ok(())
    }

    /// A plugin that came from elsewhere is not replaced.
    fn is_free(&self, plugins: &Plugins, source: &Source) -> anyhow::Result<()> {
        let here = |info: &PluginInfo| info.hook == self.hook.as_str() && info.scope == self.scope;
        let mut others = plugins.list();
        others.retain(|info| here(info) && self.loaded.as_deref() != Some(&info.name));
        if others.is_empty() {
            return Ok(());
        }
        let name = match self.hook {
            Hook::PeerAuthorization => {
                Some(plugins.check(Some(self.hook), source)?.description.name)
            }
            Hook::DpdPolicy | Hook::LogFormat => None,
        };
        let taken = others
            .iter()
            .find(|info| name.as_ref().is_none_or(|name| *name == info.name));
        match taken {
            Some(info) => anyhow::bail!(
                "{} {}, which came from elsewhere, decides there",
                info.name,
                info.version
            ),
            None => Ok(()),
        }
    }

    fn unload(&self, plugins: &Plugins) {
        if let Some(name) = &self.loaded {
            // One that an operator has replaced meanwhile is not there any more.
            let _: Result<(), LoadError> = plugins.unload(self.hook, &self.scope, Some(name));
        }
    }
}

/// The component with its settings and signature.
fn source(path: &Path) -> anyhow::Result<Source> {
    let bytes = fs::read(path)?;
    let settings = match fs::read_to_string(path.with_extension("json")) {
        Ok(text) => serde_json::from_str(&text).context("the settings are not JSON")?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => serde_json::Value::Null,
        Err(error) => return Err(error).context("the settings cannot be read"),
    };
    Ok(Source {
        bytes,
        signature: fs::read(with_suffix(path, ".sig")).ok(),
        settings,
    })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn print(path: &Path) -> Print {
    let of = |path: &Path| {
        let meta = fs::metadata(path).ok()?;
        Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
    };
    [
        of(path),
        of(&path.with_extension("json")),
        of(&with_suffix(path, ".sig")),
    ]
}

/// Every component's file, and where it shall decide.
fn components(dir: &Path) -> io::Result<BTreeMap<PathBuf, (Hook, Scope)>> {
    let mut found = BTreeMap::new();
    for hook in entries(dir)? {
        if let Ok(name) = text(&hook).parse::<Hook>() {
            collect(&hook, name, &Scope::global(), &mut found)?;
        }
    }
    Ok(found)
}

fn collect(
    dir: &Path,
    hook: Hook,
    scope: &Scope,
    found: &mut BTreeMap<PathBuf, (Hook, Scope)>,
) -> io::Result<()> {
    for path in entries(dir)? {
        let name = text(&path);
        let narrower = match name.split_once('=') {
            Some(("tenant", tenant)) if scope.rank() == 0 => Some(Scope::tenant(tenant)),
            Some(("template", template)) if scope.template.is_none() => Some(Scope {
                template: Some(template.to_owned()),
                ..scope.clone()
            }),
            _ => None,
        };
        match narrower {
            Some(scope) if path.is_dir() => collect(&path, hook, &scope, found)?,
            _ if path.extension().is_some_and(|e| e == "wasm") && path.is_file() => {
                found.insert(path, (hook, scope.clone()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is in a directory; nothing where it is none.
fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Ok(all) => all.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn text(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use hawser_plugin::Options;

    fn put(dir: &Path, name: &str, bytes: &[u8]) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn shipped(name: &str) -> Vec<u8> {
        super::super::shipped::component(name).unwrap().to_vec()
    }

    /// Name, scope and settings that decide.
    fn loaded(plugins: &Plugins) -> Vec<String> {
        let text = |info: &PluginInfo| format!("{} {} {}", info.hook, info.name, info.scope);
        plugins.list().iter().map(text).collect()
    }

    #[test]
    fn a_plugin_is_loaded_when_it_is_whole_and_unloaded_when_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let plugins = Plugins::new(Options::default()).unwrap();
        let mut watch = Watch::new(dir.path().to_owned());
        let json = shipped("log-json");
        put(dir.path(), "log-format/lines.wasm", &json[..json.len() / 2]);
        watch.turn(&plugins);
        watch.turn(&plugins);
        assert!(loaded(&plugins).is_empty());
        put(dir.path(), "log-format/lines.wasm", &json);
        watch.turn(&plugins);
        watch.turn(&plugins);
        assert!(loaded(&plugins).is_empty(), "it was not still");
        watch.turn(&plugins);
        assert_eq!(loaded(&plugins), ["log-format log-json everywhere"]);
        // What is wrong leaves the old one; what is right again is taken.
        put(
            dir.path(),
            "log-format/lines.json",
            br#"{"service-nam": "x"}"#,
        );
        (0..4).for_each(|_| watch.turn(&plugins));
        let generation = |plugins: &Plugins| plugins.list()[0].generation;
        assert_eq!(generation(&plugins), 1);
        put(
            dir.path(),
            "log-format/lines.json",
            br#"{"service-name": "x"}"#,
        );
        (0..4).for_each(|_| watch.turn(&plugins));
        assert_eq!(generation(&plugins), 2);
        fs::remove_dir_all(dir.path().join("log-format")).unwrap();
        (0..4).for_each(|_| watch.turn(&plugins));
        assert!(loaded(&plugins).is_empty() && watch.files.is_empty());
    }

    #[test]
    fn folders_say_where_a_plugin_decides() {
        let dir = tempfile::tempdir().unwrap();
        let plugins = Plugins::new(Options::default()).unwrap();
        let mut watch = Watch::new(dir.path().to_owned());
        let case = shipped("dpd-case");
        for folder in [
            "dpd-policy",
            "dpd-policy/tenant=red",
            "dpd-policy/tenant=red/template=b",
        ] {
            put(dir.path(), &format!("{folder}/case.wasm"), &case);
        }
        put(dir.path(), "dpd-policy/other/case.wasm", &case);
        put(dir.path(), "README.md", b"not a plugin");
        watch.begin(&plugins).unwrap();
        let expected = ["everywhere", "tenant red", "tenant red, template b"];
        assert_eq!(
            loaded(&plugins),
            expected.map(|at| format!("dpd-policy dpd-case {at}"))
        );
        // Another one for a place that is taken is refused, and one that came from elsewhere stays.
        put(
            dir.path(),
            "dpd-policy/second.wasm",
            &shipped("dpd-adaptive"),
        );
        (0..4).for_each(|_| watch.turn(&plugins));
        assert_eq!(loaded(&plugins).len(), 3);
        assert!(loaded(&plugins).contains(&"dpd-policy dpd-case everywhere".to_owned()));
    }

    #[test]
    fn a_gateway_does_not_start_without_an_authorization_that_it_was_given() {
        let dir = tempfile::tempdir().unwrap();
        let plugins = Plugins::new(Options::default()).unwrap();
        put(dir.path(), "dpd-policy/broken.wasm", b"broken");
        Watch::new(dir.path().to_owned()).begin(&plugins).unwrap();
        put(dir.path(), "peer-authorization/broken.wasm", b"broken");
        let error = Watch::new(dir.path().to_owned())
            .begin(&plugins)
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("peer-authorization/broken.wasm: "),
            "{error}"
        );
    }
}
