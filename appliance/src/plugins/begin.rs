//! Plugins that decide from the first packet on.

use super::{Configured, Wanted, Watch};
use hawser_engine::Prepare;
use hawser_policy::Policy;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is loaded when a gateway starts.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    /// Because the configuration says so.
    pub(crate) configured: Configured,
    /// Because it lies in the watched directory, where there is one.
    pub(crate) watch: Option<Watch>,
}

/// A [`Begun`] that comes out of the start of an engine.
#[derive(Clone, Debug)]
pub(crate) struct Beginning(Arc<Mutex<Begun>>);

impl Beginning {
    /// Once the engine has started.
    pub(crate) fn take(&self) -> Begun {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Begun> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an engine has to do to load the plugins of a configuration called `name`, and those of the watched directory.
pub(crate) fn begin(policy: &Policy, wanted: Vec<Wanted>, name: String) -> (Prepare, Beginning) {
    let watch = policy.plugins.host.watch.clone().map(Watch::new);
    let configured = Configured::default();
    let begun = Beginning(Arc::new(Mutex::new(Begun { configured, watch })));
    let own = begun.clone();
    let prepare = Prepare::new(move |plugins| {
        let mut begun = own.lock();
        let Begun { configured, watch } = &mut *begun;
        let followed = configured.follow(plugins, wanted, &name).map(drop);
        let all = followed.and_then(|()| watch.iter_mut().try_for_each(|w| w.begin(plugins)));
        all.map_err(|error| format!("{error:#}"))
    });
    (prepare, begun)
}
