//! What both readers make: a configuration with names instead of indices, lines beside values, and
//! nothing where the author wrote nothing.

use crate::problem::{At, Place};
use hawser_policy::{
    DpdMode, EspProposal, Identity, IdentityPattern, IkeProposal, LogLevel, LogOutput, PluginHook,
    Revive, TrafficSelector, Uniqueness,
};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// A whole configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) shards: Option<At<u8>>,
    pub(crate) listen: Listen,
    pub(crate) admission: Admission,
    pub(crate) metrics: Option<At<SocketAddr>>,
    pub(crate) observability: Observability,
    pub(crate) log: Log,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) ike_policies: Vec<IkePolicy>,
    pub(crate) templates: Vec<Template>,
    pub(crate) secrets: Vec<PadSecret>,
    pub(crate) plugins: Vec<Plugin>,
    pub(crate) plugin_host: PluginHost,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Listen {
    pub(crate) addresses: Vec<At<IpAddr>>,
    pub(crate) port: Option<At<u16>>,
    pub(crate) nat_port: Option<At<u16>>,
    pub(crate) native_esp: Option<bool>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Observability {
    pub(crate) recorder: Option<At<u32>>,
    pub(crate) incidents: Option<PathBuf>,
    pub(crate) capture_keys: Option<bool>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) level: Option<LogLevel>,
    pub(crate) rate: Option<u32>,
    pub(crate) line: Option<u32>,
    /// Files with neither size nor number.
    pub(crate) outputs: Option<Vec<At<LogOutput>>>,
    pub(crate) file_size: Option<u64>,
    pub(crate) file_keep: Option<u16>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    pub(crate) cookie_threshold: Option<u32>,
    pub(crate) max_half_open: Option<u32>,
    pub(crate) source_rate: Option<u32>,
    pub(crate) half_open_timeout: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) name: At<String>,
    pub(crate) interface: Option<At<String>>,
    pub(crate) mtu: Option<u16>,
    pub(crate) addresses: Vec<IpNet>,
    pub(crate) namespace: Option<At<String>>,
    pub(crate) protected: Vec<IpNet>,
}

#[derive(Clone, Debug)]
pub(crate) struct IkePolicy {
    pub(crate) name: At<String>,
    pub(crate) local: Vec<At<IpAddr>>,
    pub(crate) proposals: Vec<At<IkeProposal>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) name: At<String>,
    pub(crate) tenant: Option<At<String>>,
    pub(crate) local_identity: Option<At<Identity>>,
    pub(crate) ike_proposals: Vec<At<IkeProposal>>,
    pub(crate) ike_lifetimes: Lifetimes,
    pub(crate) dpd: Option<Dpd>,
    pub(crate) nat_keepalive: Option<Limit>,
    pub(crate) retransmission: Retransmission,
    pub(crate) upkeep: Upkeep,
    pub(crate) allow_any_route: Option<bool>,
    pub(crate) fragment_size: Option<u16>,
    pub(crate) children: Vec<Child>,
    pub(crate) initiate: Option<Initiate>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Upkeep {
    pub(crate) revive: Option<Revive>,
    pub(crate) revive_weak_secret: Option<bool>,
    pub(crate) audit: Option<Limit>,
    pub(crate) uniqueness: Option<Uniqueness>,
    pub(crate) admit_undecided: Option<bool>,
}

/// A duration, or none on purpose (`"off"`).
pub(crate) type Limit = Option<Duration>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Lifetimes {
    pub(crate) time: Option<Limit>,
    pub(crate) bytes: Option<u64>,
    pub(crate) margin: Option<At<Duration>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Dpd {
    pub(crate) place: Place,
    pub(crate) mode: DpdMode,
    pub(crate) interval: Duration,
    pub(crate) retry: Option<Duration>,
    pub(crate) retries: Option<u8>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Retransmission {
    pub(crate) place: Place,
    pub(crate) initial: Option<Duration>,
    pub(crate) backoff_percent: Option<u16>,
    pub(crate) max: Option<Duration>,
    pub(crate) tries: Option<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub(crate) name: At<String>,
    pub(crate) proposals: Vec<At<EspProposal>>,
    pub(crate) local: Vec<At<TrafficSelector>>,
    pub(crate) remote: Vec<At<TrafficSelector>>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) replay_window: Option<At<u32>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Initiate {
    pub(crate) remote: At<SocketAddr>,
    pub(crate) identity: At<Identity>,
    pub(crate) secret: At<SecretSource>,
}

/// An entry of the PAD.
#[derive(Clone, Debug)]
pub(crate) struct PadSecret {
    pub(crate) identity: At<IdentityPattern>,
    pub(crate) template: At<String>,
    pub(crate) local: Vec<At<IpAddr>>,
    pub(crate) networks: Vec<IpNet>,
    pub(crate) secret: At<SecretSource>,
}

#[derive(Clone, Debug)]
pub(crate) struct Plugin {
    pub(crate) place: Place,
    pub(crate) hook: PluginHook,
    pub(crate) plugin: At<String>,
    pub(crate) tenant: Option<At<String>>,
    pub(crate) template: Option<At<String>>,
    pub(crate) settings: Option<Free>,
}

/// A table of whatever keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Free {
    pub(crate) value: serde_json::Map<String, serde_json::Value>,
    /// Of every value, by its JSON pointer; of the table itself `""`.
    pub(crate) places: BTreeMap<String, Place>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct PluginHost {
    pub(crate) deadline: Option<Duration>,
    pub(crate) memory: Option<u64>,
    pub(crate) keys: Vec<[u8; 32]>,
    pub(crate) granted: Vec<String>,
    pub(crate) watch: Option<PathBuf>,
    pub(crate) cache: Option<PathBuf>,
}

/// Where a pre-shared key is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SecretSource {
    /// Here, already decoded.
    Inline(Zeroizing<Vec<u8>>),
    /// Elsewhere: `env:NAME` or `file:PATH`.
    Reference(String),
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("Inline(..)"),
            Self::Reference(to) => f.debug_tuple("Reference").field(to).finish(),
        }
    }
}
