//! What the gateway and the branches of the benches want.

use hawser_policy::{
    Admission, ChildTemplate, CookieMode, DpdMode, DpdSettings, EspProposal, Identity,
    IdentityPattern, IkePolicy, IkeProposal, Initiate, Lifetimes, Listen, Observability, Pad,
    PadEntry, PeerTemplate, Policy, Retransmission, Secret, TemplateId, Tenant, TenantId,
    TrafficSelector, Upkeep,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Where a branch is behind its NAT.
pub(super) const INSIDE: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 168, 1, 100)), 4500);

/// A host behind the gateway.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 100, 1);

const SECRET: &[u8] = b"bench of sixteen octets";

/// What they speak, as strongSwan writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suites {
    pub(crate) ike: &'static str,
    pub(crate) esp: &'static str,
}

impl Default for Suites {
    fn default() -> Self {
        Self {
            ike: "aes128-sha256-x25519",
            esp: "aes128gcm16",
        }
    }
}

/// The host of branch `number`, one of 65,536.
pub(super) fn host(number: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, (number >> 8) as u8, number as u8, 1)
}

fn template(suites: Suites, local: &str, remote: &str) -> PeerTemplate {
    let selector = |text: &str| TrafficSelector::parse(text).expect("a network");
    let hours = |n: u64| Lifetimes::with_default_margin(Some(Duration::from_secs(n * 3600)), None);
    PeerTemplate {
        id: TemplateId(0),
        name: "bench".into(),
        tenant: TenantId(0),
        local_identity: None,
        ike_proposals: vec![IkeProposal::parse(suites.ike).expect("an IKE proposal")],
        ike_lifetimes: hours(24),
        children: vec![ChildTemplate {
            name: "lan".into(),
            proposals: vec![EspProposal::parse(suites.esp).expect("an ESP proposal")],
            local: vec![selector(local)],
            remote: vec![selector(remote)],
            lifetimes: hours(1),
            replay_window: 4096,
        }],
        dpd: Some(DpdSettings {
            mode: DpdMode::Periodic,
            interval: Duration::from_secs(60),
            retry: Duration::from_secs(5),
            retries: 3,
        }),
        nat_keepalive: None,
        retransmission: Retransmission::default(),
        upkeep: Upkeep::default(),
        allow_any_route: false,
        fragment_size: 1280,
        initiate: None,
    }
}

fn policy(template: PeerTemplate, address: IpAddr, pad: Vec<PadEntry>) -> Policy {
    let ike_policies = vec![IkePolicy {
        name: "bench".into(),
        local: Vec::new(),
        proposals: template.ike_proposals.clone(),
    }];
    Policy {
        revision: 1,
        listen: Listen {
            addresses: vec![address],
            port: 500,
            nat_port: 4500,
            native_esp: false,
        },
        shards: None,
        // Nobody is to be kept waiting.
        admission: Admission {
            cookies: CookieMode::Threshold(u32::MAX),
            source_rate: u32::MAX,
            ..Admission::default()
        },
        observability: Observability::default(),
        tenants: vec![Tenant {
            id: TenantId(0),
            name: "default".into(),
            interface: "bench0".into(),
            mtu: 1400,
            addresses: Vec::new(),
            namespace: None,
            protected: Vec::new(),
        }],
        templates: vec![Arc::new(template)],
        ike_policies,
        plugins: hawser_policy::PluginPolicy::default(),
        pad: Pad::new(pad),
    }
}

pub(super) fn gateway(suites: Suites) -> Policy {
    let mut template = template(suites, "192.168.100.0/24", "10.0.0.0/8");
    template.local_identity = Identity::parse("hq");
    let entry = PadEntry {
        remote: IdentityPattern::Any,
        local: Vec::new(),
        remote_networks: Vec::new(),
        template: TemplateId(0),
        secret: Secret::new(SECRET.to_vec()),
    };
    policy(template, super::GATEWAY.ip(), vec![entry])
}

pub(super) fn branch(suites: Suites, number: u32) -> Policy {
    let [_, b, c, _] = host(number).octets();
    let mut template = template(suites, &format!("10.{b}.{c}.0/24"), "192.168.100.0/24");
    template.local_identity = Identity::parse(&format!("branch{number}.example"));
    template.initiate = Some(Initiate {
        remote: super::GATEWAY,
        remote_identity: Identity::parse("hq").expect("a name"),
        secret: Secret::new(SECRET.to_vec()),
    });
    policy(template, INSIDE.ip(), Vec::new())
}
