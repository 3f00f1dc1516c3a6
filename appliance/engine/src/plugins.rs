//! Plugins: the registry, the threads that ask it, and what happens to it as events.
//!
//! A shard's question goes into a bounded queue ([`decisions`]); threads ask the plugins and put
//! the answer into the shard's mailbox. Shards are told which templates have plugins whenever
//! that changes, so that none asks in vain; a swap is none of their business.

mod authorization;
mod clock;
mod decisions;
mod dpd;
mod flaps;
mod metrics;
mod told;
mod turns;

pub(crate) use decisions::{Decisions, not_authorized, not_policed};
pub(crate) use metrics::{describe, publish};

pub use dpd::dpd_settings;

use crate::directory::Directory;
use crate::error::StartError;
use crate::events::EventBus;
use crate::mailbox::{Control, Mailbox};
use hawser_plugin::{Hook, Options, PluginEvent, Plugins, Sink};
use hawser_shard::hooks::{HookScope, Hooks};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;

/// The plugins of an engine.
pub(crate) struct Host {
    pub(crate) registry: Arc<Plugins>,
    pub(crate) decisions: Arc<Decisions>,
    mailboxes: Arc<[Mailbox]>,
    telling: Mutex<()>,
}

impl Host {
    /// An empty registry, and the threads that will ask it.
    pub(crate) fn start(
        options: Options,
        events: &EventBus,
        mailboxes: &Arc<[Mailbox]>,
        directory: &Arc<Directory>,
    ) -> Result<(Arc<Self>, Vec<JoinHandle<()>>), StartError> {
        let host = Arc::new(OnceLock::<Weak<Self>>::new());
        let sink = sink(events.clone(), Arc::clone(&host));
        let registry = Plugins::new(Options { sink, ..options }).map_err(StartError::Plugins)?;
        let decisions = Arc::new(Decisions::new(
            Arc::clone(&registry),
            Arc::clone(mailboxes),
            Arc::clone(directory),
        ));
        let threads = decisions::start(&decisions).inspect_err(|_| decisions.stop())?;
        let started = Arc::new(Self {
            registry,
            decisions,
            mailboxes: Arc::clone(mailboxes),
            telling: Mutex::default(),
        });
        let _ = host.set(Arc::downgrade(&started));
        Ok((started, threads))
    }

    /// Tells the shards which templates have plugins now.
    fn tell_shards(&self) {
        // Under the lock: the last to be told is the last to be true.
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hooks = Hooks::default();
        for info in self.registry.list() {
            let scope = HookScope {
                tenant: info.scope.tenant,
                template: info.scope.template,
            };
            if info.hook == Hook::PeerAuthorization.as_str() {
                hooks.authorization.push(scope);
            } else if info.hook == Hook::DpdPolicy.as_str() {
                hooks.dpd.push(scope);
            }
        }
        let hooks = Arc::new(hooks);
        for mailbox in self.mailboxes.iter() {
            mailbox.put(Control::Hooks(Arc::clone(&hooks)));
        }
    }
}

/// What happens to plugins becomes events, and news for the shards.
fn sink(events: EventBus, host: Arc<OnceLock<Weak<Host>>>) -> Sink {
    Sink::new(move |event| {
        let changed = matches!(
            event,
            PluginEvent::Loaded { previous: None, .. } | PluginEvent::Unloaded { .. }
        );
        told::tell(&events, event);
        if let Some(host) = host.get().filter(|_| changed).and_then(Weak::upgrade) {
            host.tell_shards();
        }
    })
}
