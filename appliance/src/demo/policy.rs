//! The two ends' configurations, as the configuration readers would make them, with short times.

use hawser_policy::{
    Admission, ChildTemplate, DpdMode, DpdSettings, EspProposal, Identity, IdentityPattern,
    IkePolicy, IkeProposal, Initiate, Lifetimes, Listen, Observability, Pad, PadEntry,
    PeerTemplate, Policy, Retransmission, Secret, TemplateId, Tenant, TenantId, TrafficSelector,
};
use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Where the gateway is.
const OUTER: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The host behind the gateway that the branches ping.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 100, 1);
/// A branch's own outer address, before its NAT: that of the case.
const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 100);
const DAY: Duration = Duration::from_secs(86_400);

/// What a kind of branch speaks.
#[derive(Clone, Copy, Debug)]
struct Kind {
    template: &'static str,
    ike: &'static str,
    esp: &'static str,
    secret: &'static str,
}

/// As in the case: every one of them says it is `test`.
const CASE: Kind = Kind {
    template: "case",
    ike: "aes128-sha1-modp1024",
    esp: "aes128-sha1",
    secret: "test",
};
/// As one would set it up today.
const MODERN: Kind = Kind {
    template: "modern",
    ike: "aes256gcm16-prfsha384-x25519",
    esp: "aes256gcm16",
    secret: "a secret of the demo, known to all",
};

fn kind(number: u8) -> Kind {
    if is_of_the_case(number) { CASE } else { MODERN }
}

/// Whether a branch speaks AES-CBC with SHA-1 and calls itself `test`.
pub(super) fn is_of_the_case(number: u8) -> bool {
    number % 2 == 1
}

/// What a branch calls itself.
fn identity(number: u8) -> Identity {
    if is_of_the_case(number) {
        Identity::Fqdn("test".to_owned())
    } else {
        Identity::Fqdn(format!("b{number:02}.branch.example"))
    }
}

/// The host of a branch that pings.
pub(super) fn branch_host(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 16, number, 1)
}

/// The network behind a branch.
fn branch_net(number: u8) -> TrafficSelector {
    net(Ipv4Addr::new(172, 16, number, 0), 24)
}

fn headquarters_net() -> TrafficSelector {
    net(SERVER, 24)
}

fn net(address: Ipv4Addr, prefix: u8) -> TrafficSelector {
    TrafficSelector::from_net(IpNet::V4(Ipv4Net::new_assert(address, prefix).trunc()))
}

/// The gateway, on ports that the system chooses.
pub(crate) fn gateway() -> Policy {
    let lifetimes = Lifetimes::with_default_margin(Some(DAY), None);
    let template = |id, kind| template(id, kind, lifetimes, lifetimes);
    let any = TrafficSelector::any_v4();
    Policy {
        listen: Listen {
            addresses: vec![OUTER.into()],
            port: 0,
            nat_port: 0,
            native_esp: false,
        },
        shards: Some(2),
        templates: vec![
            template(0, CASE).accepting(headquarters_net(), any),
            template(1, MODERN).accepting(headquarters_net(), any),
        ],
        pad: Pad::new(vec![
            entry(IdentityPattern::Exact(identity(1)), 0, CASE.secret),
            entry(
                IdentityPattern::FqdnSuffix("branch.example".to_owned()),
                1,
                MODERN.secret,
            ),
        ]),
        ..common("hawser-demo", &[MODERN, CASE])
    }
}

/// A branch that calls the gateway at its NAT traversal port, where RFC 7296 2.23 allows to begin;
/// it renews its keys within `length`.
pub(super) fn branch(number: u8, gateway: SocketAddr, length: Duration) -> Policy {
    let kind = kind(number);
    let part = |p: f64| length.mul_f64(p);
    let lives = |time, margin| Lifetimes {
        time: Some(part(time)),
        bytes: None,
        margin: part(margin),
    };
    let mut template = template(0, kind, lives(1.2, 0.6), lives(0.8, 0.4));
    template.local_identity = Some(identity(number));
    template.initiate = Some(Initiate {
        remote: gateway,
        remote_identity: Identity::from_ip(OUTER.into()),
        secret: secret(kind.secret),
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
        templates: vec![template.accepting(branch_net(number), headquarters_net())],
        ..common("branch", &[kind])
    }
}

fn common(interface: &str, kinds: &[Kind]) -> Policy {
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
    }
}

fn template(id: u16, kind: Kind, ike: Lifetimes, child: Lifetimes) -> PeerTemplate {
    PeerTemplate {
        id: TemplateId(id),
        name: kind.template.into(),
        tenant: TenantId(0),
        local_identity: Some(Identity::from_ip(IpAddr::V4(OUTER))),
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
            interval: Duration::from_secs(3),
            retry: Duration::from_secs(1),
            retries: 2,
        }),
        nat_keepalive: Some(Duration::from_secs(5)),
        retransmission: Retransmission::default(),
        allow_any_route: false,
        fragment_size: 1280,
        initiate: None,
    }
}

/// Sets the selectors of a template's only Child SA.
trait Accepting {
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

fn entry(remote: IdentityPattern, template: u16, key: &str) -> PadEntry {
    PadEntry {
        remote,
        local: Vec::new(),
        remote_networks: Vec::new(),
        template: TemplateId(template),
        secret: secret(key),
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_branches_propose_the_gateway_accepts() {
        let gateway = gateway();
        let at = SocketAddr::new(OUTER.into(), 10_500);
        for number in [1, 2] {
            let branch = branch(number, at, Duration::from_secs(20));
            let proposals = branch.ike_proposals(INSIDE.into());
            assert_eq!(proposals.len(), 1);
            assert!(gateway.ike_proposals(OUTER.into()).contains(&proposals[0]));
            assert_eq!(branch.templates[0].children[0].proposals.len(), 1);
            let found = gateway
                .pad
                .candidates(OUTER.into(), OUTER.into(), &identity(number));
            assert_eq!(found.len(), 1);
        }
    }
}
