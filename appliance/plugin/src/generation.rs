//! Generations: one loaded component each, and the slot in which they follow one another.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime};

use crate::component::Inspection;
use crate::engine::PluginEngine;
use crate::event::{PluginEvent, Sink};
use crate::fault::{Decided, Failure, Origin, PluginFault};
use crate::instance::Live;
use crate::meter::{Meter, Voice, lock};
use crate::scope::Scope;
use crate::world::{Description, World};

const STRIKE_WINDOW: Duration = Duration::from_secs(60);

/// A component that passed its self-test, with the settings it was tested with.
pub(crate) struct Generation<W: World> {
    pub(crate) engine: Arc<PluginEngine>,
    pub(crate) pre: W::Pre,
    pub(crate) settings: String,
    pub(crate) voice: Voice,
    pub(crate) description: Description,
    pub(crate) inspection: Inspection,
    pub(crate) loaded: SystemTime,
}

impl<W: World> Generation<W> {
    pub(crate) fn origin(&self) -> &Origin {
        &self.voice.origin
    }

    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.voice.meter
    }

    fn start(&self) -> Result<Live<W>, PluginFault> {
        Live::start(&self.engine, &self.pre, self.voice.clone(), &self.settings)
    }

    fn failure(&self, fault: PluginFault) -> Failure {
        Failure {
            origin: self.origin().clone(),
            fault,
        }
    }
}

/// What a slot holds.
pub(crate) struct Held<W: World> {
    pub(crate) current: Arc<Generation<W>>,
    pub(crate) previous: Option<Arc<Generation<W>>>,
    pub(crate) disabled: Option<String>,
}

/// One place for a plugin: a hook and a scope. Calls hold the generation they began with.
pub(crate) struct Slot<W: World> {
    pub(crate) scope: Scope,
    held: RwLock<Held<W>>,
    /// Counts changes of `held`, so that those who keep an instance see them without the lock.
    changes: AtomicU64,
    strikes: Mutex<VecDeque<Instant>>,
    sink: Sink,
}

impl<W: World> Slot<W> {
    pub(crate) fn new(scope: Scope, first: Generation<W>, sink: Sink) -> Self {
        Self {
            scope,
            held: RwLock::new(Held {
                current: Arc::new(first),
                previous: None,
                disabled: None,
            }),
            changes: AtomicU64::new(0),
            strikes: Mutex::default(),
            sink,
        }
    }

    /// What is held; nothing that panics runs under this lock.
    pub(crate) fn held(&self) -> RwLockReadGuard<'_, Held<W>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Held<W>> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The generation that decides now.
    fn current(&self) -> Result<Arc<Generation<W>>, Failure> {
        let held = self.held();
        match &held.disabled {
            None => Ok(Arc::clone(&held.current)),
            Some(why) => Err(held.current.failure(PluginFault::Disabled(why.clone()))),
        }
    }

    /// Lets `next` decide from now on; calls under way end on the generation they began with.
    pub(crate) fn swap(&self, next: Generation<W>) -> Origin {
        let mut held = self.change();
        let old = std::mem::replace(&mut held.current, Arc::new(next));
        let origin = old.origin().clone();
        let dropped = held.previous.replace(old);
        held.disabled = None;
        lock(&self.strikes).clear();
        self.changes.fetch_add(1, Ordering::Release);
        drop(held);
        // Unmapping its code takes time that nobody has to wait for.
        drop(dropped);
        origin
    }

    /// Exchanges current and previous; `None`: there is no previous.
    pub(crate) fn roll_back(&self) -> Option<Origin> {
        let mut held = self.change();
        let previous = held.previous.take()?;
        let origin = previous.origin().clone();
        let current = std::mem::replace(&mut held.current, previous);
        held.previous = Some(current);
        held.disabled = None;
        lock(&self.strikes).clear();
        self.changes.fetch_add(1, Ordering::Release);
        Some(origin)
    }

    /// Counts a fault of `generation`, and disables it after too many within a minute.
    fn strike(&self, generation: &Generation<W>, fault: PluginFault) -> Failure {
        let failure = generation.failure(fault);
        generation.meter().fault(&failure.fault);
        let (hook, scope) = (W::HOOK, self.scope.clone());
        self.sink.send(PluginEvent::Fault {
            hook,
            scope: scope.clone(),
            origin: failure.origin.clone(),
            fault: failure.fault.clone(),
        });
        if failure.fault.is_its_own() && self.disable_after(generation) {
            self.sink.send(PluginEvent::Disabled {
                hook,
                scope,
                origin: failure.origin.clone(),
                fault: failure.fault.clone(),
            });
        }
        failure
    }

    /// Whether this fault was the one too many of the generation that decides now.
    fn disable_after(&self, generation: &Generation<W>) -> bool {
        let most = generation.engine.limits().strikes;
        let mut held = self.change();
        if held.current.origin() != generation.origin() || held.disabled.is_some() {
            return false;
        }
        let now = Instant::now();
        let mut strikes = lock(&self.strikes);
        strikes.retain(|strike| now - *strike < STRIKE_WINDOW);
        strikes.push_back(now);
        let disabled = strikes.len() >= most;
        if disabled {
            held.disabled = Some(format!(
                "{} faults within a minute; load it anew or roll back",
                strikes.len()
            ));
            self.changes.fetch_add(1, Ordering::Release);
        }
        disabled
    }

    /// A decision by a fresh instance that nobody used before and nobody will use again.
    pub(crate) fn call_fresh<T>(
        &self,
        call: impl FnOnce(&mut Live<W>) -> Result<T, PluginFault>,
    ) -> Result<Decided<T>, Failure> {
        let generation = self.current()?;
        let begun = Instant::now();
        let result = generation.start().and_then(|mut live| call(&mut live));
        generation.meter().called(begun.elapsed());
        match result {
            Ok(value) => Ok(Decided {
                value,
                origin: generation.origin().clone(),
            }),
            Err(fault) => Err(self.strike(&generation, fault)),
        }
    }
}

/// One instance of a slot's plugin, used again and again by one worker.
pub(crate) struct Reused<W: World> {
    slot: Arc<Slot<W>>,
    live: Option<Kept<W>>,
}

struct Kept<W: World> {
    generation: Arc<Generation<W>>,
    live: Live<W>,
    changes: u64,
}

impl<W: World> Reused<W> {
    pub(crate) fn new(slot: Arc<Slot<W>>) -> Self {
        Self { slot, live: None }
    }

    pub(crate) fn is_of(&self, slot: &Arc<Slot<W>>) -> bool {
        Arc::ptr_eq(&self.slot, slot)
    }

    /// Whether it keeps an instance.
    pub(crate) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Keeps none; the next call makes another.
    pub(crate) fn let_go(&mut self) {
        self.live = None;
    }

    /// Calls the current generation, on an instance that is made where there is none, where the
    /// one that is there is of an older generation, and where it has served long enough.
    pub(crate) fn call<T>(
        &mut self,
        call: impl FnOnce(&mut Live<W>) -> Result<T, PluginFault>,
    ) -> Result<Decided<T>, Failure> {
        let begun = Instant::now();
        let mut kept = self.kept()?;
        let result = call(&mut kept.live);
        kept.generation.meter().called(begun.elapsed());
        match result {
            Ok(value) => {
                let origin = kept.generation.origin().clone();
                self.live = Some(kept);
                Ok(Decided { value, origin })
            }
            Err(fault) => Err(self.slot.strike(&kept.generation, fault)),
        }
    }

    /// Takes the instance out: it comes back only after a call without a fault.
    fn kept(&mut self) -> Result<Kept<W>, Failure> {
        let changes = self.slot.changes();
        let still_good = |kept: &Kept<W>| kept.changes == changes && !kept.live.is_tired();
        if let Some(kept) = self.live.take().filter(still_good) {
            return Ok(kept);
        }
        let generation = self.slot.current()?;
        match generation.start() {
            Ok(live) => Ok(Kept {
                generation,
                live,
                changes,
            }),
            Err(fault) => Err(self.slot.strike(&generation, fault)),
        }
    }
}
