//! What a branch speaks and wants, as a policy.

use hawser_policy::{
    Admission, ChildTemplate, DpdMode, DpdSettings, EspProposal, Identity, IkePolicy, IkeProposal,
    Initiate, Lifetimes, Listen, Observability, Pad, PeerTemplate, Policy, Retransmission, Secret,
    TemplateId, Tenant, TenantId, TrafficSelector,
};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A branch's own outer address, before its NAT: that of the case.
const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 100);

/// What a kind of branch speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind<'a> {
    /// The name of its template.
    pub(crate) template: &'a str,
    /// Its IKE proposal, as strongSwan writes it.
    pub(crate) ike: &'a str,
    /// Its ESP proposal.
    pub(crate) esp: &'a str,
    /// The pre-shared key.
    pub(crate) secret: &'a str,
}

/// A branch that calls a gateway.
#[derive(Clone, Debug)]
pub(crate) struct Calling<'a> {
    /// What it speaks.
    pub(crate) kind: Kind<'a>,
    /// What it calls itself.
    pub(crate) identity: Identity,
    /// Where the gateway is.
    pub(crate) gateway: SocketAddr,
    /// What the gateway must prove to be.
    pub(crate) gateway_identity: Identity,
    /// The network behind the branch.
    pub(crate) local: TrafficSelector,
    /// The network behind the gateway.
    pub(crate) remote: TrafficSelector,
    /// How long its IKE SA lives.
    pub(crate) ike: Lifetimes,
    /// How long its Child SA lives.
    pub(crate) child: Lifetimes,
    /// Between two probes.
    pub(crate) dpd: Duration,
}

impl Calling<'_> {
    /// The branch's policy.
    pub(crate) fn policy(self) -> Policy {
        let mut template = template(0, self.kind, self.ike, self.child, self.dpd);
        template.local_identity = Some(self.identity);
        template.initiate = Some(Initiate {
            remote: self.gateway,
            remote_identity: self.gateway_identity,
            secret: secret(self.kind.secret),
        });
        let listen = Listen {
            addresses: vec![INSIDE.into()],
            port: 500,
            nat_port: 4500,
            native_esp: false,
        };
        Policy {
            listen,
            shards: Some(1),
            templates: vec![template.accepting(self.local, self.remote)],
            ..common("branch", &[self.kind])
        }
    }
}

/// What every policy here has: a tenant and the kinds' IKE proposals.
pub(crate) fn common(interface: &str, kinds: &[Kind<'_>]) -> Policy {
    Policy {
        revision: 1,
        listen: Listen {
            addresses: Vec::new(),
            port: 0,
            nat_port: 0,
            native_esp: false,
        },
        shards: None,
        admission: Admission::default(),
        observability: Observability::default(),
        tenants: vec![Tenant {
            id: TenantId(0),
            name: "default".into(),
            interface: interface.to_owned(),
            mtu: 1400,
            addresses: Vec::new(),
            namespace: None,
            protected: Vec::new(),
        }],
        templates: Vec::new(),
        ike_policies: vec![IkePolicy {
            name: "demo".to_owned(),
            local: Vec::new(),
            proposals: kinds
                .iter()
                .filter_map(|k| IkeProposal::parse(k.ike).ok())
                .collect(),
        }],
        pad: Pad::default(),
        plugins: hawser_policy::PluginPolicy::default(),
    }
}

/// A template with one Child SA without selectors, see [`Accepting`].
pub(crate) fn template(
    id: u16,
    kind: Kind<'_>,
    ike: Lifetimes,
    child: Lifetimes,
    dpd: Duration,
) -> PeerTemplate {
    PeerTemplate {
        id: TemplateId(id),
        name: kind.template.into(),
        tenant: TenantId(0),
        local_identity: None,
        ike_proposals: IkeProposal::parse(kind.ike).into_iter().collect(),
        ike_lifetimes: ike,
        children: vec![ChildTemplate {
            name: "lan".to_owned(),
            proposals: EspProposal::parse(kind.esp).into_iter().collect(),
            local: Vec::new(),
            remote: Vec::new(),
            lifetimes: child,
            replay_window: 4096,
        }],
        dpd: Some(DpdSettings {
            mode: DpdMode::Periodic,
            interval: dpd,
            retry: Duration::from_secs(1),
            retries: 2,
        }),
        nat_keepalive: Some(Duration::from_secs(5)),
        retransmission: Retransmission::default(),
        upkeep: hawser_policy::Upkeep::default(),
        allow_any_route: false,
        fragment_size: 1280,
        initiate: None,
    }
}

/// Sets the selectors of a template's only Child SA.
pub(crate) trait Accepting {
    /// With these selectors.
    fn accepting(self, local: TrafficSelector, remote: TrafficSelector) -> Arc<PeerTemplate>;
}

impl Accepting for PeerTemplate {
    fn accepting(mut self, local: TrafficSelector, remote: TrafficSelector) -> Arc<PeerTemplate> {
        for child in &mut self.children {
            (child.local, child.remote) = (vec![local], vec![remote]);
        }
        Arc::new(self)
    }
}

/// A pre-shared key as it is.
pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}
