//! What headquarters and branches are configured with.

use crate::habits::Habits;
use hawser_policy::*;
use hawser_shard::hooks::{HookScope, Hooks};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Headquarters' outer address.
pub const HEADQUARTERS: &str = "192.0.2.1";
/// Its inner network.
pub const HOME: &str = "192.168.100.0/24";

/// Algorithms: IKE, ESP.
pub type Suites = (&'static str, &'static str);

/// The case's algorithms with a quick key exchange, and modern ones.
pub const SUITES: [Suites; 2] = [
    ("aes128-sha1-x25519", "aes128-sha1"),
    ("aes128gcm16-prfsha256-x25519", "aes128gcm16"),
];

/// What headquarters is configured with.
#[derive(Clone, Copy, Debug)]
pub struct Headquarters {
    /// Tenants, each with a secret and a template of its own.
    pub tenants: u16,
    /// Hard lifetime of IKE SAs.
    pub ike_life: Duration,
    /// Hard lifetime of Child SAs.
    pub child_life: Duration,
    /// DPD.
    pub dpd: Option<DpdSettings>,
    /// What becomes of earlier SAs of an identity.
    pub uniqueness: Uniqueness,
    /// Plugins authorize peers, and decide about DPD.
    pub plugins: bool,
    /// Its algorithms.
    pub suites: &'static [Suites],
}

fn secret(tenant: u16) -> Secret {
    Secret::new(format!("secret of tenant {tenant}").into_bytes())
}

fn parsed<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.expect("a constant of the simulator")
}

fn selector(text: &str) -> TrafficSelector {
    TrafficSelector::parse(text).expect("a selector")
}

fn lifetimes(time: Option<Duration>) -> Lifetimes {
    Lifetimes::with_default_margin(time, None)
}

fn template(tenant: u16, suites: &[Suites], local: &str, remote: &str) -> PeerTemplate {
    let ike = |s: &Suites| parsed(IkeProposal::parse(s.0));
    let esp = |s: &Suites| parsed(EspProposal::parse(s.1));
    PeerTemplate {
        id: TemplateId(tenant),
        name: format!("template{tenant}").into(),
        tenant: TenantId(tenant),
        local_identity: None,
        ike_proposals: suites.iter().map(ike).collect(),
        ike_lifetimes: lifetimes(None),
        children: vec![ChildTemplate {
            name: "net".into(),
            proposals: suites.iter().map(esp).collect(),
            local: vec![selector(local)],
            remote: vec![selector(remote)],
            lifetimes: lifetimes(None),
            replay_window: 4096,
        }],
        dpd: None,
        nat_keepalive: Some(Duration::from_secs(20)),
        retransmission: Retransmission::default(),
        upkeep: hawser_policy::Upkeep {
            revive_weak_secret: true,
            ..hawser_policy::Upkeep::default()
        },
        allow_any_route: false,
        fragment_size: 1280,
        initiate: None,
    }
}

fn policy(templates: Vec<PeerTemplate>, listen: IpAddr, pad: Vec<PadEntry>) -> Policy {
    let tenant = |t: &PeerTemplate| Tenant {
        id: t.tenant,
        name: format!("tenant{}", t.tenant.0).into(),
        interface: format!("tun{}", t.tenant.0),
        mtu: 1400,
        addresses: Vec::new(),
        namespace: None,
        protected: Vec::new(),
    };
    Policy {
        revision: 1,
        listen: Listen {
            addresses: vec![listen],
            port: 500,
            nat_port: 4500,
            native_esp: false,
        },
        shards: None,
        admission: Admission::default(),
        observability: Observability::default(),
        tenants: templates.iter().map(tenant).collect(),
        ike_policies: vec![IkePolicy {
            name: "any".into(),
            local: Vec::new(),
            proposals: templates[0].ike_proposals.clone(),
        }],
        templates: templates.into_iter().map(Arc::new).collect(),
        pad: Pad::new(pad),
        plugins: hawser_policy::PluginPolicy::default(),
    }
}

fn anybody(tenant: u16) -> PadEntry {
    PadEntry {
        remote: IdentityPattern::Any,
        local: Vec::new(),
        remote_networks: Vec::new(),
        template: TemplateId(tenant),
        secret: secret(tenant),
    }
}

impl Headquarters {
    /// What plugins are asked.
    pub fn hooks(&self) -> Hooks {
        let scopes = || self.plugins.then(HookScope::default).into_iter().collect();
        Hooks {
            authorization: scopes(),
            dpd: scopes(),
        }
    }

    /// With other lifetimes, in percent, and other times of DPD.
    pub fn changed(&self, percent: u8) -> Self {
        let scaled = |time: Duration| time * u32::from(percent) / 100;
        let dpd = self.dpd.map(|dpd| DpdSettings {
            interval: Duration::from_secs(10 + u64::from(percent % 11)),
            ..dpd
        });
        Self {
            ike_life: scaled(self.ike_life),
            child_life: scaled(self.child_life),
            dpd,
            ..*self
        }
    }

    /// Its policy: whoever has the secret of a tenant, whatever he is called.
    pub fn policy(&self) -> Policy {
        let of_tenant = |tenant| {
            let mut own = template(tenant, self.suites, HOME, "10.0.0.0/8");
            own.ike_lifetimes = lifetimes(Some(self.ike_life));
            own.children[0].lifetimes = lifetimes(Some(self.child_life));
            own.dpd = self.dpd;
            own.upkeep.uniqueness = self.uniqueness;
            own
        };
        policy(
            (0..self.tenants).map(of_tenant).collect(),
            parsed(HEADQUARTERS.parse()),
            (0..self.tenants).map(anybody).collect(),
        )
    }
}

/// What a branch is configured with: its template, and the policy by which it answers others.
pub fn branch(
    tenant: u16,
    identity: &str,
    lan: u16,
    suites: Suites,
    habits: &Habits,
    address: IpAddr,
) -> (Arc<PeerTemplate>, Policy) {
    let [high, low] = lan.to_be_bytes();
    let net = format!("10.{high}.{low}.0/24");
    let mut own = template(0, &[suites], &net, HOME);
    own.local_identity = Identity::parse(identity);
    own.ike_lifetimes = lifetimes(habits.ike_life);
    own.children[0].lifetimes = lifetimes(Some(habits.child_life));
    own.retransmission = habits.retransmission;
    own.initiate = Some(Initiate {
        remote: parsed(format!("{HEADQUARTERS}:500").parse()),
        remote_identity: Identity::parse(HEADQUARTERS).expect("an address"),
        secret: secret(tenant),
    });
    let pad = vec![PadEntry {
        template: TemplateId(0),
        ..anybody(tenant)
    }];
    let policy = policy(vec![own], address, pad);
    (Arc::clone(&policy.templates[0]), policy)
}
