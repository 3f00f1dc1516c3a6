//! All plugins of a gateway: by hook and scope.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::cache::Cache;
use crate::compile::Compiler;
use crate::component::{Hook, Inspection};
use crate::engine::{Limits, PluginEngine};
use crate::event::{PluginEvent, Sink};
use crate::fault::{LoadError, Origin};
use crate::generation::{Generation, Slot};
use crate::list::{PluginInfo, info};
use crate::load::{Loader, Source};
use crate::meter::{Meter, lock};
use crate::scope::Scope;
use crate::world::{Authorization, Description, Dpd, Log, World};

/// Slots of one hook; those of one scope in the order in which they are asked.
type Table<W> = RwLock<Vec<Arc<Slot<W>>>>;

/// How the plugins of a gateway are set up.
#[derive(Debug)]
pub struct Options {
    /// What a plugin may use.
    pub limits: Limits,
    /// Who compiles.
    pub compiler: Compiler,
    /// Where compiled code is kept; `None`: nowhere.
    pub cache: Option<Cache>,
    /// Public ed25519 keys; with any, what none of them signed is refused.
    pub keys: Vec<[u8; 32]>,
    /// Prefixes of import names that are let in as stubs that trap when called, such as `wasi:`.
    pub granted: Vec<String>,
    /// Where events go.
    pub sink: Sink,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            compiler: Compiler::InProcess,
            cache: None,
            keys: Vec::new(),
            granted: Vec::new(),
            sink: Sink::default(),
        }
    }
}

/// What `check` found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What the file shows.
    pub inspection: Inspection,
    /// What the plugin says about itself.
    pub description: Description,
}

/// The registry. Loading, rolling back and unloading are serialized; deciding goes on meanwhile.
pub struct Plugins {
    loader: Loader,
    dpd: Table<Dpd>,
    authorization: Table<Authorization>,
    log: Table<Log>,
    /// Counts slots that came and went, from 1.
    revision: AtomicU64,
    generations: AtomicU64,
    changing: Mutex<()>,
}

impl Plugins {
    /// An empty registry.
    pub fn new(options: Options) -> Result<Arc<Self>, LoadError> {
        let failed = |error: wasmtime::Error| LoadError::Absent(format!("no engine: {error:#}"));
        let engine = Arc::new(PluginEngine::new(options.limits).map_err(failed)?);
        let loader = Loader::new(
            engine,
            options.sink,
            options.compiler,
            options.cache,
            options.keys,
            options.granted,
        );
        Ok(Arc::new(Self {
            loader: loader.map_err(failed)?,
            dpd: Table::default(),
            authorization: Table::default(),
            log: Table::default(),
            revision: AtomicU64::new(1),
            generations: AtomicU64::new(0),
            changing: Mutex::default(),
        }))
    }

    /// Loads a plugin where it shall decide; it takes this process some ms, and a child seconds for
    /// large components: not for a thread that carries packets.
    ///
    /// Where one decides already it is swapped: of `peer-authorization` that of the same name,
    /// else the new one joins the end of the scope's chain. On an error nothing has changed.
    pub fn load(
        &self,
        hook: Hook,
        scope: &Scope,
        source: &Source,
    ) -> Result<PluginInfo, LoadError> {
        let _changing = self.changing();
        let result = match hook {
            Hook::DpdPolicy => self.load_into(&self.dpd, scope, source, false),
            Hook::PeerAuthorization => self.load_into(&self.authorization, scope, source, true),
            Hook::LogFormat if *scope != Scope::global() => Err(LoadError::Absent(
                "log-format has no tenants and templates: one plugin formats the gateway's log"
                    .into(),
            )),
            Hook::LogFormat => self.load_into(&self.log, scope, source, false),
        };
        if let Err(error) = &result {
            self.tell_failed(hook, scope, error.to_string());
        }
        result
    }

    /// Brings the authorization plugins of a scope into this order, by name: that in which they are asked. Those that are
    /// not named come after them, as they are.
    pub fn order_authorization(&self, scope: &Scope, names: &[&str]) {
        let _changing = self.changing();
        let place = |slot: &Arc<Slot<Authorization>>| {
            let named = names.iter().position(|name| is_named(slot, name));
            named.unwrap_or(names.len())
        };
        let mut ordered = of_scope(&self.authorization, scope);
        ordered.sort_by_key(place);
        let mut table = write(&self.authorization);
        let places = table.iter_mut().filter(|slot| slot.scope == *scope);
        places.zip(ordered).for_each(|(place, slot)| *place = slot);
    }

    /// Tells that a plugin could not even be read, as a load that failed is told.
    pub fn tell_failed(&self, hook: Hook, scope: &Scope, reason: String) {
        self.loader.sink.send(PluginEvent::LoadFailed {
            hook,
            scope: scope.clone(),
            reason,
        });
    }

    /// Everything that `load` does, but lets it decide nothing: for `plugin check` and
    /// `config check`. `hook`: what it must be for; `None`: what it is for.
    pub fn check(&self, hook: Option<Hook>, source: &Source) -> Result<Checked, LoadError> {
        let inspection = self.loader.inspect(source)?;
        match hook.unwrap_or(inspection.hook) {
            Hook::DpdPolicy => self.check_as::<Dpd>(source, inspection),
            Hook::PeerAuthorization => self.check_as::<Authorization>(source, inspection),
            Hook::LogFormat => self.check_as::<Log>(source, inspection),
        }
    }

    fn check_as<W: World>(
        &self,
        source: &Source,
        inspection: Inspection,
    ) -> Result<Checked, LoadError> {
        let generation: Generation<W> = self
            .loader
            .generation(source, inspection, 0, |_| Arc::default())?;
        Ok(Checked {
            inspection: generation.inspection,
            description: generation.description,
        })
    }

    /// Lets the previous generation decide again; the present one becomes the previous. `name`
    /// picks one of a chain.
    pub fn rollback(
        &self,
        hook: Hook,
        scope: &Scope,
        name: Option<&str>,
    ) -> Result<PluginInfo, LoadError> {
        let _changing = self.changing();
        match hook {
            Hook::DpdPolicy => self.roll_back_in(&self.dpd, scope, name),
            Hook::PeerAuthorization => self.roll_back_in(&self.authorization, scope, name),
            Hook::LogFormat => self.roll_back_in(&self.log, scope, name),
        }
    }

    /// Takes a plugin away: the next scope's plugin decides, or the fallback of the hook.
    pub fn unload(&self, hook: Hook, scope: &Scope, name: Option<&str>) -> Result<(), LoadError> {
        let _changing = self.changing();
        match hook {
            Hook::DpdPolicy => self.unload_from(&self.dpd, scope, name),
            Hook::PeerAuthorization => self.unload_from(&self.authorization, scope, name),
            Hook::LogFormat => self.unload_from(&self.log, scope, name),
        }
    }

    /// Every plugin with its counters, by hook and then in the order of loading.
    pub fn list(&self) -> Vec<PluginInfo> {
        let mut all: Vec<PluginInfo> = read(&self.dpd).iter().map(|slot| info(slot)).collect();
        all.extend(read(&self.authorization).iter().map(|slot| info(slot)));
        all.extend(read(&self.log).iter().map(|slot| info(slot)));
        all
    }

    /// The limits of every plugin.
    pub fn limits(&self) -> &Limits {
        self.loader.engine.limits()
    }

    /// Changes whenever a slot came or went, not at swaps.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The DPD plugin of the most specific scope.
    pub(crate) fn dpd(&self, tenant: &str, template: &str) -> Option<Arc<Slot<Dpd>>> {
        chain(&self.dpd, tenant, template).into_iter().next()
    }

    /// The authorization plugins of the most specific scope, in order; `None`: there is none.
    pub(crate) fn authorization(
        &self,
        tenant: &str,
        template: &str,
    ) -> Option<Vec<Arc<Slot<Authorization>>>> {
        Some(chain(&self.authorization, tenant, template)).filter(|chain| !chain.is_empty())
    }

    /// The log-format plugin.
    pub(crate) fn log(&self) -> Option<Arc<Slot<Log>>> {
        read(&self.log).first().cloned()
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        lock(&self.changing)
    }

    fn load_into<W: World>(
        &self,
        table: &Table<W>,
        scope: &Scope,
        source: &Source,
        chained: bool,
    ) -> Result<PluginInfo, LoadError> {
        let inspection = self.loader.inspect(source)?;
        let of_scope: Vec<_> = of_scope(table, scope);
        let number = self.generations.load(Ordering::Relaxed) + 1;
        let next: Generation<W> = self
            .loader
            .generation(source, inspection, number, |name| meter(&of_scope, name))?;
        self.generations.store(number, Ordering::Relaxed);
        let origin = next.origin().clone();
        let replaced = of_scope
            .iter()
            .find(|slot| !chained || is_named(slot, &origin.plugin));
        let (slot, previous) = match replaced {
            Some(slot) => {
                let previous = slot.swap(next);
                (Arc::clone(slot), Some(previous))
            }
            None => {
                let sink = self.loader.sink.clone();
                let slot = Arc::new(Slot::new(scope.clone(), next, sink));
                write(table).push(Arc::clone(&slot));
                self.revision.fetch_add(1, Ordering::Release);
                (slot, None)
            }
        };
        self.loader.sink.send(PluginEvent::Loaded {
            hook: W::HOOK,
            scope: scope.clone(),
            origin,
            previous,
        });
        Ok(info(&slot))
    }

    fn roll_back_in<W: World>(
        &self,
        table: &Table<W>,
        scope: &Scope,
        name: Option<&str>,
    ) -> Result<PluginInfo, LoadError> {
        let slot = one(table, scope, name)?;
        let origin = slot.roll_back().ok_or_else(|| {
            LoadError::Absent(format!(
                "{} {scope} has no previous generation",
                W::HOOK.as_str()
            ))
        })?;
        self.loader.sink.send(PluginEvent::RolledBack {
            hook: W::HOOK,
            scope: scope.clone(),
            origin,
        });
        Ok(info(&slot))
    }

    fn unload_from<W: World>(
        &self,
        table: &Table<W>,
        scope: &Scope,
        name: Option<&str>,
    ) -> Result<(), LoadError> {
        let slot = one(table, scope, name)?;
        write(table).retain(|other| !Arc::ptr_eq(other, &slot));
        self.revision.fetch_add(1, Ordering::Release);
        let origin: Origin = slot.held().current.origin().clone();
        self.loader.sink.send(PluginEvent::Unloaded {
            hook: W::HOOK,
            scope: scope.clone(),
            origin,
        });
        Ok(())
    }
}

fn read<T>(table: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    table.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(table: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    table.write().unwrap_or_else(PoisonError::into_inner)
}

fn of_scope<W: World>(table: &Table<W>, scope: &Scope) -> Vec<Arc<Slot<W>>> {
    let of_it = |slot: &&Arc<Slot<W>>| slot.scope == *scope;
    read(table).iter().filter(of_it).cloned().collect()
}

fn is_named<W: World>(slot: &Slot<W>, name: &str) -> bool {
    &*slot.held().current.origin().plugin == name
}

/// Counters of the plugin of this name in the scope, so that they go on over a swap.
fn meter<W: World>(slots: &[Arc<Slot<W>>], name: &str) -> Arc<Meter> {
    for slot in slots {
        let held = slot.held();
        let both = [Some(&held.current), held.previous.as_ref()];
        let same = both
            .into_iter()
            .flatten()
            .find(|g| &*g.origin().plugin == name);
        if let Some(generation) = same {
            return Arc::clone(generation.meter());
        }
    }
    Arc::default()
}

/// The one slot that is meant.
fn one<W: World>(
    table: &Table<W>,
    scope: &Scope,
    name: Option<&str>,
) -> Result<Arc<Slot<W>>, LoadError> {
    let mut slots = of_scope(table, scope);
    if let Some(name) = name {
        slots.retain(|slot| is_named(slot, name));
    }
    let hook = W::HOOK;
    match slots.len() {
        1 => Ok(slots.remove(0)),
        0 => Err(LoadError::Absent(format!(
            "no plugin of {hook} decides {scope}"
        ))),
        _ => Err(LoadError::Absent(format!(
            "several plugins of {hook} decide {scope}; name one"
        ))),
    }
}

/// The slots of the most specific scope that covers the tenant and template.
fn chain<W: World>(table: &Table<W>, tenant: &str, template: &str) -> Vec<Arc<Slot<W>>> {
    let slots = read(table);
    let covering = || slots.iter().filter(|s| s.scope.covers(tenant, template));
    let Some(rank) = covering().map(|slot| slot.scope.rank()).max() else {
        return Vec::new();
    };
    covering()
        .filter(|slot| slot.scope.rank() == rank)
        .cloned()
        .collect()
}
