//! Plugins: the registry, and what happens to it as events.

mod told;

use crate::events::EventBus;
use hawser_plugin::{LoadError, Options, Plugins, Sink};
use std::sync::Arc;

/// The registry of this engine, empty.
pub(crate) fn open(options: Options, events: &EventBus) -> Result<Arc<Plugins>, LoadError> {
    let events = events.clone();
    Plugins::new(Options {
        sink: Sink::new(move |event| told::tell(&events, event)),
        ..options
    })
}
