//! Policies of a headquarters and of its branches.

use super::HQ;
use hawser_policy::*;
use std::sync::Arc;
use std::time::Duration;

pub struct Spec<'a> {
    pub ike: &'a str,
    pub esp: &'a str,
    pub identity: &'a str,
    pub lan: &'a str,
    pub ike_life: u64,
    pub child_life: u64,
    pub dpd: Option<DpdSettings>,
    pub upkeep: Upkeep,
}

impl Default for Spec<'_> {
    fn default() -> Self {
        Self {
            ike: "aes128-sha1-x25519",
            esp: "aes128-sha1",
            identity: "test",
            lan: "172.16.1.0/24",
            ike_life: 86400,
            child_life: 3600,
            dpd: None,
            // The secret of the tests is short.
            upkeep: Upkeep {
                revive_weak_secret: true,
                ..Upkeep::default()
            },
        }
    }
}

pub fn template(
    spec: &Spec<'_>,
    identity: Option<&str>,
    local: &str,
    remote: &[&str],
) -> PeerTemplate {
    let secs = |s| Some(Duration::from_secs(s));
    let ts = |t: &str| TrafficSelector::parse(t).unwrap();
    PeerTemplate {
        id: TemplateId(0),
        name: "t".into(),
        tenant: TenantId(0),
        local_identity: identity.map(|i| Identity::parse(i).unwrap()),
        ike_proposals: vec![IkeProposal::parse(spec.ike).unwrap()],
        ike_lifetimes: Lifetimes::with_default_margin(secs(spec.ike_life), None),
        children: vec![ChildTemplate {
            name: "c".into(),
            proposals: vec![EspProposal::parse(spec.esp).unwrap()],
            local: vec![ts(local)],
            remote: remote.iter().map(|t| ts(t)).collect(),
            lifetimes: Lifetimes::with_default_margin(secs(spec.child_life), None),
            replay_window: 4096,
        }],
        dpd: spec.dpd,
        nat_keepalive: Some(Duration::from_secs(10)),
        retransmission: Retransmission::default(),
        upkeep: spec.upkeep,
        allow_any_route: false,
        fragment_size: 1280,
        initiate: None,
    }
}

pub fn policy(template: PeerTemplate, listen: &str, pad: Vec<PadEntry>) -> Policy {
    let ike = template.ike_proposals.clone();
    Policy {
        revision: 1,
        listen: Listen {
            addresses: vec![listen.parse().unwrap()],
            port: 500,
            nat_port: 4500,
            native_esp: false,
        },
        shards: None,
        admission: Admission::default(),
        observability: Observability::default(),
        tenants: vec![Tenant {
            id: TenantId(0),
            name: "default".into(),
            interface: "tun0".into(),
            mtu: 1400,
            addresses: Vec::new(),
            namespace: None,
            protected: Vec::new(),
        }],
        templates: vec![Arc::new(template)],
        ike_policies: vec![IkePolicy {
            name: "p".into(),
            local: Vec::new(),
            proposals: ike,
        }],
        pad: Pad::new(pad),
        plugins: hawser_policy::PluginPolicy::default(),
    }
}

/// Headquarters: takes every peer named `spec.identity`, or anybody.
pub fn hq(spec: &Spec<'_>) -> Policy {
    let entry = PadEntry {
        remote: IdentityPattern::Any,
        local: Vec::new(),
        remote_networks: Vec::new(),
        template: TemplateId(0),
        secret: Secret::new(b"test".to_vec()),
    };
    let template = template(spec, None, "192.168.100.0/24", &["0.0.0.0/0"]);
    policy(template, HQ, vec![entry])
}

/// A branch that only answers.
pub fn passive(spec: &Spec<'_>) -> Policy {
    let mut template = template(spec, Some(spec.identity), spec.lan, &["192.168.100.0/24"]);
    let entry = PadEntry {
        remote: IdentityPattern::Any,
        local: Vec::new(),
        remote_networks: Vec::new(),
        template: TemplateId(0),
        secret: Secret::new(b"test".to_vec()),
    };
    template.upkeep.revive = Revive::Off;
    policy(template, "192.168.1.100", vec![entry])
}

/// A branch that begins.
pub fn branch(spec: &Spec<'_>) -> Policy {
    let mut template = template(spec, Some(spec.identity), spec.lan, &["192.168.100.0/24"]);
    template.initiate = Some(Initiate {
        remote: format!("{HQ}:500").parse().unwrap(),
        remote_identity: Identity::parse(HQ).unwrap(),
        secret: Secret::new(b"test".to_vec()),
    });
    policy(template, "192.168.1.100", Vec::new())
}
