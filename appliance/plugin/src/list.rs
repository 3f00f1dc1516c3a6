//! What `plugin list` and the metrics show.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::generation::Slot;
use crate::scope::Scope;
use crate::world::World;

/// A plugin in one place, with its counters since it was first loaded there. Counters go on over
/// swaps between generations of one name.
#[derive(Clone, Debug, Serialize)]
pub struct PluginInfo {
    /// Its own name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// What it says about itself.
    pub summary: String,
    /// The name of its world.
    pub hook: &'static str,
    /// Where it decides.
    pub scope: Scope,
    /// The generation that decides now.
    pub generation: u64,
    /// What a rollback would bring back.
    pub previous: Option<PreviousInfo>,
    /// Why it is disabled; `None`: it decides.
    pub disabled: Option<String>,
    /// The version of `hawser:plugin` that it was built against.
    pub package_version: String,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// Octets of its file.
    pub size: usize,
    /// When this generation was loaded.
    pub loaded: SystemTime,
    /// Calls of the hook; a call may be a batch.
    pub calls: u64,
    /// Decisions, verdicts or formatted events.
    pub answers: u64,
    /// The same, by outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Faults by code.
    pub faults: BTreeMap<&'static str, u64>,
    /// Time in all calls, starts of instances included where a call made one.
    pub busy: Duration,
    /// The longest call.
    pub longest: Duration,
    /// Instances made.
    pub instances: u64,
    /// The most memory that an instance had, in octets.
    pub memory: u64,
    /// Lines in the gateway's log.
    pub lines: u64,
    /// Lines over the limit, dropped.
    pub lines_dropped: u64,
    /// The plugin's own counters.
    pub counters: BTreeMap<String, u64>,
}

/// The generation before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PreviousInfo {
    /// Its own name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// Its number.
    pub generation: u64,
}

pub(crate) fn info<W: World>(slot: &Slot<W>) -> PluginInfo {
    let held = slot.held();
    let (current, meter) = (&held.current, held.current.meter());
    let get = |counter: &AtomicU64| counter.load(Relaxed);
    let previous = held.previous.as_ref().map(|previous| PreviousInfo {
        name: previous.origin().plugin.to_string(),
        version: previous.origin().version.to_string(),
        generation: previous.origin().generation,
    });
    let outcomes = W::OUTCOMES.iter().copied();
    PluginInfo {
        name: current.description.name.clone(),
        version: current.description.version.clone(),
        summary: current.description.summary.clone(),
        hook: W::HOOK.as_str(),
        scope: slot.scope.clone(),
        generation: current.origin().generation,
        previous,
        disabled: held.disabled.clone(),
        package_version: current.inspection.package_version.clone(),
        sha256: current.inspection.sha256.clone(),
        size: current.inspection.size,
        loaded: current.loaded,
        calls: get(&meter.calls),
        answers: get(&meter.answers),
        outcomes: outcomes.zip(meter.outcomes.iter().map(get)).collect(),
        faults: meter.faults(),
        busy: Duration::from_nanos(get(&meter.busy_ns)),
        longest: Duration::from_nanos(get(&meter.longest_ns)),
        instances: get(&meter.starts),
        memory: get(&meter.memory),
        lines: get(&meter.lines),
        lines_dropped: get(&meter.lines_dropped),
        counters: meter.counters(),
    }
}
