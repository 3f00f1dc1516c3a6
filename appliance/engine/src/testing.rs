//! A policy for tests.

use hawser_policy::{
    Admission, Lifetimes, Listen, Observability, Pad, PeerTemplate, Policy, Retransmission,
    TemplateId, Tenant, TenantId,
};
use std::sync::Arc;

/// One tenant, one template, loopback, any ports.
pub(crate) fn policy(shards: u8) -> Policy {
    Policy {
        revision: 0,
        listen: Listen {
            addresses: vec![[127, 0, 0, 1].into()],
            port: 0,
            nat_port: 0,
            native_esp: false,
        },
        shards: Some(shards),
        admission: Admission::default(),
        observability: Observability::default(),
        tenants: vec![tenant()],
        templates: vec![Arc::new(template())],
        ike_policies: Vec::new(),
        pad: Pad::default(),
        plugins: hawser_policy::PluginPolicy::default(),
    }
}

fn tenant() -> Tenant {
    Tenant {
        id: TenantId(0),
        name: "default".into(),
        interface: "hawser-test".into(),
        mtu: 1400,
        addresses: Vec::new(),
        namespace: None,
        protected: Vec::new(),
    }
}

fn template() -> PeerTemplate {
    PeerTemplate {
        id: TemplateId(0),
        name: "branches".into(),
        tenant: TenantId(0),
        local_identity: None,
        ike_proposals: Vec::new(),
        ike_lifetimes: Lifetimes::with_default_margin(None, None),
        children: Vec::new(),
        dpd: None,
        nat_keepalive: None,
        retransmission: Retransmission::default(),
        upkeep: hawser_policy::Upkeep::default(),
        allow_any_route: false,
        fragment_size: 1280,
        initiate: None,
    }
}
