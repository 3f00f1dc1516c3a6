//! From bytes to a generation that passed its self-test, off to the side of what runs.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings::dpd_policy::hawser::plugin::host;
use crate::cache::Cache;
use crate::compile::Compiler;
use crate::component::{Hook, Inspection, inspect};
use crate::engine::PluginEngine;
use crate::event::Sink;
use crate::fault::{LoadError, Origin};
use crate::generation::Generation;
use crate::instance::{HostState, Live};
use crate::meter::{Meter, Voice};
use crate::settings;
use crate::signature;
use crate::text::clean;
use crate::world::{Description, World};

/// A component with what belongs to it.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file.
    pub bytes: Vec<u8>,
    /// Content of `FILE.sig`, where there is one.
    pub signature: Option<Vec<u8>>,
    /// Its settings: an object; null is taken as `{}`.
    pub settings: Value,
}

/// Turns sources into generations.
pub(crate) struct Loader {
    pub(crate) engine: Arc<PluginEngine>,
    pub(crate) sink: Sink,
    compiler: Compiler,
    cache: Option<Cache>,
    keys: Vec<[u8; 32]>,
    granted: Vec<String>,
    linker: Linker<HostState>,
}

impl Loader {
    pub(crate) fn new(
        engine: Arc<PluginEngine>,
        sink: Sink,
        compiler: Compiler,
        cache: Option<Cache>,
        keys: Vec<[u8; 32]>,
        granted: Vec<String>,
    ) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(engine.wasmtime());
        host::add_to_linker::<HostState, HasSelf<HostState>>(&mut linker, |state| state)?;
        Ok(Self {
            engine,
            sink,
            compiler,
            cache,
            keys,
            granted,
            linker,
        })
    }

    /// What can be known without compiling; refuses what is not signed or can never run.
    pub(crate) fn inspect(&self, source: &Source) -> Result<Inspection, LoadError> {
        let file = self.engine.limits().file;
        let inspection = inspect(&source.bytes, file, &self.granted)?;
        signature::verify(&source.bytes, source.signature.as_deref(), &self.keys)?;
        Ok(inspection)
    }

    /// Compiles and tests: `describe`, settings against the schema, `init`, one call of the hook.
    /// `meter` gives the counters of the plugin of this name.
    pub(crate) fn generation<W: World>(
        &self,
        source: &Source,
        inspection: Inspection,
        number: u64,
        meter: impl FnOnce(&str) -> Arc<Meter>,
    ) -> Result<Generation<W>, LoadError> {
        if inspection.hook != W::HOOK {
            return Err(LoadError::AnotherHook {
                found: inspection.hook.as_str(),
                wanted: W::HOOK.as_str(),
            });
        }
        let pre = self.pre::<W>(&source.bytes, &inspection)?;
        let description = self.describe::<W>(&pre)?;
        let settings = check_settings(&description, &source.settings)?;
        let mut voice = self.voice(W::HOOK, &description, number, Arc::default());
        self.self_test::<W>(&pre, &voice, &settings)?;
        // What the self-test counted is not of the plugin's work.
        voice.meter = meter(&description.name);
        Ok(Generation {
            engine: Arc::clone(&self.engine),
            pre,
            settings,
            voice,
            description,
            inspection,
            loaded: SystemTime::now(),
        })
    }

    fn pre<W: World>(&self, bytes: &[u8], inspection: &Inspection) -> Result<W::Pre, LoadError> {
        let refused =
            |error: wasmtime::Error| LoadError::Compile(clean(&format!("{error:#}"), 2000));
        let component = self.component(bytes, &inspection.sha256)?;
        let pre = if inspection.stubs.is_empty() {
            self.linker.instantiate_pre(&component)
        } else {
            let mut linker = self.linker.clone();
            linker
                .define_unknown_imports_as_traps(&component)
                .and_then(|()| linker.instantiate_pre(&component))
        };
        W::pre(pre.map_err(refused)?)
            .map_err(|error| LoadError::Malformed(clean(&format!("{error:#}"), 2000)))
    }

    /// From the cache if it is there and ours, else compiled.
    fn component(&self, bytes: &[u8], sha256: &str) -> Result<Component, LoadError> {
        let fingerprint = self.engine.fingerprint();
        let cached = self
            .cache
            .as_ref()
            .and_then(|c| c.get(sha256, &fingerprint));
        if let Some(code) = &cached
            && let Ok(component) = deserialize(&self.engine, code)
        {
            return Ok(component);
        }
        let code = self.compiler.compile(bytes, self.engine.limits())?;
        let component = deserialize(&self.engine, &code)
            .map_err(|error| LoadError::Compile(clean(&format!("{error:#}"), 2000)))?;
        if let Some(cache) = &self.cache {
            // A full disk costs the next load its time, not this one its plugin.
            let _ = cache.put(sha256, &fingerprint, &code);
        }
        Ok(component)
    }

    fn describe<W: World>(&self, pre: &W::Pre) -> Result<Description, LoadError> {
        let nobody = Description {
            name: "unknown".into(),
            version: "0".into(),
            summary: String::new(),
            settings_schema: String::new(),
        };
        let voice = self.voice(W::HOOK, &nobody, 0, Arc::default());
        let failed = |step| move |fault| LoadError::SelfTest { step, fault };
        let mut live =
            Live::<W>::instantiate(&self.engine, pre, voice).map_err(failed("instantiate"))?;
        let deadline = self.engine.limits().start_deadline;
        let description = live.describe(deadline).map_err(failed("describe"))?;
        check_description(description)
    }

    fn self_test<W: World>(
        &self,
        pre: &W::Pre,
        voice: &Voice,
        settings: &str,
    ) -> Result<(), LoadError> {
        let failed = |step| move |fault| LoadError::SelfTest { step, fault };
        let mut live = Live::<W>::instantiate(&self.engine, pre, voice.clone())
            .map_err(failed("instantiate"))?;
        live.init(self.engine.limits().start_deadline, settings)
            .map_err(failed("init"))?;
        W::canary(&mut live).map_err(failed("its hook"))
    }

    fn voice(&self, hook: Hook, of: &Description, number: u64, meter: Arc<Meter>) -> Voice {
        Voice {
            hook,
            origin: Origin {
                plugin: of.name.as_str().into(),
                version: of.version.as_str().into(),
                generation: number,
            },
            meter,
            sink: self.sink.clone(),
        }
    }
}

/// Makes a component of machine code.
#[allow(unsafe_code, reason = "wasmtime cannot check machine code; see below")]
fn deserialize(engine: &PluginEngine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` must come from wasmtime's compiler unchanged. It is either what our own
    // compiler just handed over (this process, or our child over a pipe that nobody else holds),
    // or content of the cache, which is held in memory and which was opened with the key of
    // this gateway, exactly these octets. wasmtime itself refuses another version,
    // configuration or processor.
    unsafe { Component::deserialize(engine.wasmtime(), code) }
}

fn check_description(mut description: Description) -> Result<Description, LoadError> {
    let name = &description.name;
    let named = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !named {
        let name = clean(name, 80);
        return Err(LoadError::Description(format!(
            "the name `{name}` is not [a-z][a-z0-9-]* of at most 64 octets"
        )));
    }
    let version = &description.version;
    let dots = version.split(['-', '+']).next().unwrap_or("").split('.');
    let numbers = dots.filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if version.len() > 64 || numbers.count() != 3 || version.chars().any(char::is_control) {
        let version = clean(version, 80);
        return Err(LoadError::Description(format!(
            "the version `{version}` is not a semantic version such as 1.0.0"
        )));
    }
    description.summary = clean(&description.summary, 256);
    Ok(description)
}

/// The settings as the plugin gets them.
fn check_settings(description: &Description, settings: &Value) -> Result<String, LoadError> {
    let schema = settings::parse_schema(&description.settings_schema)?;
    let empty = Value::Object(serde_json::Map::new());
    let settings = if settings.is_null() { &empty } else { settings };
    settings::validate(&schema, settings)?;
    Ok(settings.to_string())
}
