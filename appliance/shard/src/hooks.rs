//! What a shard asks of plugins, and what they answer: identities, clocks and counters, never keys.

use hawser_flight::Event;
use hawser_policy::{Identity, TenantId, TrafficSelector};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Which tenants and templates have plugins: where there is none, nobody is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Of authorization.
    pub authorization: Vec<HookScope>,
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
