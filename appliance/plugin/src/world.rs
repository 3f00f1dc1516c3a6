//! The three worlds behind one trait, so that loading, swapping and counting are written once.

use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::bindings::dpd_policy::exports::hawser::plugin::plugin as dpd_plugin;
use crate::bindings::log_format::exports::hawser::plugin::plugin as log_plugin;
use crate::bindings::peer_authorization::exports::hawser::plugin::plugin as authorization_plugin;
use crate::bindings::{dpd_policy, log_format, peer_authorization};
use crate::component::Hook;
use crate::entry::{Decide, Format};
use crate::fault::PluginFault;
use crate::instance::{HostState, Live};
use crate::{authorization, dpd, log};

/// What a plugin says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `[a-z][a-z0-9-]*`, at most 64 octets.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// JSON Schema of its settings; see [`crate::settings`].
    pub settings_schema: String,
}

/// JSON pointer and message.
pub(crate) type Refusal = (String, String);

/// One of the three worlds.
pub(crate) trait World: Sized + Send + Sync + 'static {
    const HOOK: Hook;
    /// Names of what is counted of the answers, at most four.
    const OUTCOMES: &'static [&'static str];
    type Pre: Send + Sync;
    /// The exports of an instance.
    type Bindings: Send;

    /// Checks that the exports have the world's types.
    fn pre(pre: InstancePre<HostState>) -> wasmtime::Result<Self::Pre>;
    fn instantiate(
        pre: &Self::Pre,
        store: &mut Store<HostState>,
    ) -> wasmtime::Result<Self::Bindings>;
    fn describe(
        bindings: &Self::Bindings,
        store: &mut Store<HostState>,
    ) -> wasmtime::Result<Description>;
    fn init(
        bindings: &Self::Bindings,
        store: &mut Store<HostState>,
        settings: &str,
    ) -> wasmtime::Result<Result<(), Refusal>>;
    /// Calls the hook with made-up evidence and checks the answer as a real one.
    fn canary(live: &mut Live<Self>) -> Result<(), PluginFault>;
}

/// The exports of an instance, and its hook's function for records that are copied whole.
pub(crate) struct Bound<A, H> {
    pub(crate) all: A,
    pub(crate) hook: H,
}

macro_rules! world {
    ($name:ident, $hook:ident, $outcomes:expr, $pre:ty, $bindings:ty, $hook_function:ty, $bind:expr, $plugin:ident, $canary:path) => {
        /// Marks the world of this name.
        #[derive(Debug)]
        pub(crate) struct $name;

        impl World for $name {
            const HOOK: Hook = Hook::$hook;
            const OUTCOMES: &'static [&'static str] = $outcomes;
            type Pre = $pre;
            type Bindings = Bound<$bindings, $hook_function>;

            fn pre(pre: InstancePre<HostState>) -> wasmtime::Result<Self::Pre> {
                <$pre>::new(pre)
            }

            fn instantiate(
                pre: &Self::Pre,
                store: &mut Store<HostState>,
            ) -> wasmtime::Result<Self::Bindings> {
                let all = pre.instantiate(&mut *store)?;
                let hook = $bind(&all, store)?;
                Ok(Bound { all, hook })
            }

            fn describe(
                bindings: &Self::Bindings,
                store: &mut Store<HostState>,
            ) -> wasmtime::Result<Description> {
                let $plugin::Description {
                    name,
                    version,
                    summary,
                    settings_schema,
                } = bindings.all.hawser_plugin_plugin().call_describe(store)?;
                Ok(Description {
                    name,
                    version,
                    summary,
                    settings_schema,
                })
            }

            fn init(
                bindings: &Self::Bindings,
                store: &mut Store<HostState>,
                settings: &str,
            ) -> wasmtime::Result<Result<(), Refusal>> {
                let result = bindings
                    .all
                    .hawser_plugin_plugin()
                    .call_init(store, settings)?;
                Ok(result.map_err(|error| (error.path, error.message)))
            }

            fn canary(live: &mut Live<Self>) -> Result<(), PluginFault> {
                $canary(live)
            }
        }
    };
}

world!(
    Dpd,
    DpdPolicy,
    &["wait_until", "wait", "probe", "give_up"],
    dpd_policy::DpdPolicyPre<HostState>,
    dpd_policy::DpdPolicy,
    Decide,
    Decide::bind,
    dpd_plugin,
    dpd::canary
);
world!(
    Authorization,
    PeerAuthorization,
    &["allow", "narrow", "deny"],
    peer_authorization::PeerAuthorizationPre<HostState>,
    peer_authorization::PeerAuthorization,
    (),
    |_, _| -> wasmtime::Result<()> { Ok(()) },
    authorization_plugin,
    authorization::canary
);
world!(
    Log,
    LogFormat,
    &["format"],
    log_format::LogFormatPre<HostState>,
    log_format::LogFormat,
    Format,
    Format::bind,
    log_plugin,
    log::canary
);
