//! The validated model of what Hawser is configured to do.
//!
//! `config` makes a [`Policy`]; `ike` and `shard` read it. A `Policy` is immutable and shared by
//! `Arc`; a reload makes a new one. Everything in it is already checked: ranges hold, references
//! resolve, names are unique.

pub mod change;
pub mod identity;
pub mod log;
pub mod pad;
pub mod plugins;
pub mod proposal;
pub mod selector;
pub mod settings;
pub mod template;
pub mod tenant;
pub mod upkeep;

pub use identity::{Identity, IdentityPattern};
pub use log::{LogLevel, LogOutput, LogSettings, SyslogServer};
pub use pad::{Candidate, Pad, PadEntry, Secret};
pub use plugins::{PluginEntry, PluginHook, PluginHost, PluginPolicy};
pub use proposal::{Esn, EspProposal, IkeProposal, ProposalError};
pub use selector::TrafficSelector;
pub use settings::{Admission, CookieMode, Listen, Observability, Retransmission};
pub use template::{
    ChildTemplate, DpdMode, DpdSettings, Initiate, Lifetimes, PeerTemplate, TemplateId,
};
pub use tenant::{Tenant, TenantId};
pub use upkeep::{Revive, Uniqueness, Upkeep};

use std::net::IpAddr;
use std::sync::Arc;

/// Which proposals an IKE_SA_INIT is measured against: all that is known then is our address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IkePolicy {
    /// Name in the configuration.
    pub name: String,
    /// Our addresses that it applies to; empty: every one.
    pub local: Vec<IpAddr>,
    /// Accepted proposals, the best first.
    pub proposals: Vec<IkeProposal>,
}

/// A whole configuration, validated.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Counted from 1 in this run; stamped when applied.
    pub revision: u64,
    /// Where to listen.
    pub listen: Listen,
    /// Number of shards; `None`: one a core.
    pub shards: Option<u8>,
    /// Limits for half-open SAs and unauthenticated sources.
    pub admission: Admission,
    /// Metrics listener and log settings.
    pub observability: Observability,
    /// Tenants; a [`TenantId`] is the index.
    pub tenants: Vec<Tenant>,
    /// Templates; a [`TemplateId`] is the index.
    pub templates: Vec<Arc<PeerTemplate>>,
    /// Proposals by local address, in order of configuration.
    pub ike_policies: Vec<IkePolicy>,
    /// Who may authenticate, and with which secret.
    pub pad: Pad,
    /// Plugins.
    pub plugins: PluginPolicy,
}

impl Policy {
    /// The proposals for an IKE_SA_INIT that arrived at `local`: of the first policy that names
    /// the address, else of the first that applies to every address, else none.
    pub fn ike_proposals(&self, local: IpAddr) -> &[IkeProposal] {
        let named = self.ike_policies.iter().find(|p| p.local.contains(&local));
        let any = || self.ike_policies.iter().find(|p| p.local.is_empty());
        named.or_else(any).map_or(&[], |p| p.proposals.as_slice())
    }

    /// The tenant of an identifier made by this policy.
    pub fn tenant(&self, id: TenantId) -> &Tenant {
        &self.tenants[usize::from(id.0)]
    }

    /// The template of an identifier made by this policy.
    pub fn template(&self, id: TemplateId) -> &Arc<PeerTemplate> {
        &self.templates[usize::from(id.0)]
    }
}
