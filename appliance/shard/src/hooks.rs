//! What a shard asks of plugins, and what they answer: identities, clocks and counters, never keys.

use hawser_flight::Event;
use hawser_policy::{DpdSettings, Identity, TenantId, TrafficSelector};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Which tenants and templates have plugins: where there is none, nobody is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Of authorization.
    pub authorization: Vec<HookScope>,
    /// Of DPD.
    pub dpd: Vec<HookScope>,
}

/// Where a plugin decides; `None` stands for every one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookScope {
    /// Name of the tenant.
    pub tenant: Option<String>,
    /// Name of the template.
    pub template: Option<String>,
}

impl HookScope {
    fn covers(&self, tenant: &str, template: &str) -> bool {
        self.tenant.as_deref().is_none_or(|name| name == tenant)
            && self.template.as_deref().is_none_or(|name| name == template)
    }
}

impl Hooks {
    /// Whether peers of this template are authorized by a plugin.
    pub fn authorizes(&self, tenant: &str, template: &str) -> bool {
        self.authorization
            .iter()
            .any(|s| s.covers(tenant, template))
    }

    /// Whether a plugin decides about the liveness of devices of this template.
    pub fn polices(&self, tenant: &str, template: &str) -> bool {
        self.dpd.iter().any(|s| s.covers(tenant, template))
    }
}

/// Who gave an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedBy {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// Its generation in this run of the gateway.
    pub generation: u64,
}

/// May an authenticated peer have what it asks for?
#[derive(Clone, Debug)]
pub struct AuthorizeRequest {
    /// Tenant of its template.
    pub tenant: TenantId,
    /// Its name.
    pub tenant_name: Arc<str>,
    /// Name of its template.
    pub template: Arc<str>,
    /// Authenticated identity.
    pub identity: Identity,
    /// Outer endpoint.
    pub endpoint: SocketAddr,
    /// Whether it is behind NAT.
    pub behind_nat: bool,
    /// Selectors of our side, narrowed to the template; empty: it asks for no Child SA.
    pub local: Vec<TrafficSelector>,
    /// Selectors of its side, narrowed to the template.
    pub remote: Vec<TrafficSelector>,
    /// The template's lifetime of the IKE SA; `None`: unlimited.
    pub lifetime: Option<Duration>,
    /// The answer is of no use from here on.
    pub until: Instant,
}

/// What a peer is given: at most what it asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Selectors of our side.
    pub local: Vec<TrafficSelector>,
    /// Selectors of its side.
    pub remote: Vec<TrafficSelector>,
    /// Lifetime of the IKE SA; `None`: the template's.
    pub lifetime: Option<Duration>,
    /// Kept with the device and shown.
    pub attributes: Vec<(String, String)>,
}

/// A peer that may have what is granted, and what is recorded of that once it has a device.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// What.
    pub grant: Grant,
    /// Who decided so.
    pub events: Vec<Event>,
}

/// The answer to an [`AuthorizeRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorized {
    /// No plugin decides any more: what was asked for is granted.
    Unasked,
    /// Every plugin of the chain allows.
    Allowed {
        /// What.
        grant: Grant,
        /// The chain, in order.
        by: Vec<DecidedBy>,
    },
    /// Refused.
    Denied {
        /// A short word.
        code: String,
        /// More, for people.
        detail: String,
        /// The chain; the last one denied.
        by: Vec<DecidedBy>,
    },
    /// A plugin failed, and how.
    Undecided(String),
}

/// Why a DPD policy is asked; the most urgent first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Trigger {
    /// The retry interval of a probe has passed.
    Unanswered,
    /// A new IKE SA of the device.
    Established,
    /// The endpoint changed.
    Moved,
    /// A probe was answered.
    Answered,
    /// The time that the last decision named.
    Timer,
    /// An ESP packet is about to go out; asked once a second, and at the first packet after the
    /// template's interval without a sign of life.
    BeforeSend,
}

/// What is known of a device, for a DPD policy.
#[derive(Clone, Debug)]
pub struct DpdEvidence {
    /// Number of the device.
    pub device: u64,
    /// Name of its tenant.
    pub tenant: Arc<str>,
    /// Name of its template.
    pub template: Arc<str>,
    /// Authenticated identity.
    pub identity: Arc<str>,
    /// Outer endpoint.
    pub endpoint: SocketAddr,
    /// Why the question is asked.
    pub trigger: Trigger,
    /// Now.
    pub now: Instant,
    /// Since when it is up.
    pub established: Instant,
    /// When the last authentic IKE message came.
    pub ike_in: Option<Instant>,
    /// When the last authentic ESP packet came.
    pub esp_in: Option<Instant>,
    /// When the last ESP packet went out.
    pub esp_out: Option<Instant>,
    /// How often the request that is under way was transmitted, and when last.
    pub under_way: Option<(u8, Instant)>,
    /// Round-trip time of the last answered probe.
    pub rtt: Option<Duration>,
    /// Whether it is behind NAT.
    pub behind_nat: bool,
    /// Changes of the endpoint since it was established.
    pub moves: u32,
    /// Probes sent.
    pub probes: u32,
    /// Probes given up.
    pub losses: u32,
    /// Its IKE SAs.
    pub ike_sas: u32,
    /// Its Child SA pairs.
    pub child_sas: u32,
    /// The template's settings; `None`: off.
    pub settings: Option<DpdSettings>,
    /// What the last decision left, at most 256 octets.
    pub memo: Vec<u8>,
}

/// What a DPD policy decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DpdAction {
    /// Ask again at this time. A probe under way stays so.
    WaitUntil(Instant),
    /// Ask again when something happens. A probe under way stays so.
    Wait,
    /// Send the probe, or send it again; ask again after this time without an answer.
    Probe(Duration),
    /// The device is dead, and why.
    GiveUp(String),
}

/// The answer to a [`DpdEvidence`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DpdDecided {
    /// A plugin decided.
    Decided {
        /// What.
        action: DpdAction,
        /// A new memo; `None` keeps the old one.
        memo: Option<Vec<u8>>,
        /// Who.
        by: DecidedBy,
    },
    /// A plugin failed, and how: the template's settings decide.
    Undecided(String),
}
