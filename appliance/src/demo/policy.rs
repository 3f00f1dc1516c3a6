//! The two ends' configurations, as the configuration readers would make them, with short times.

use crate::branch::policy::{Accepting as _, Calling, Kind, common, secret, template};
use hawser_policy::{
    Identity, IdentityPattern, Lifetimes, Listen, Pad, PadEntry, Policy, TemplateId,
    TrafficSelector,
};
use ipnet::{IpNet, Ipv4Net};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where the gateway is.
const OUTER: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The host behind the gateway that the branches ping.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 100, 1);
/// Between two probes, of either end.
const DPD: Duration = Duration::from_secs(3);
const DAY: Duration = Duration::from_secs(86_400);

/// As in the case: every one of them says it is `test`.
const CASE: Kind<'_> = Kind {
    template: "case",
    ike: "aes128-sha1-modp1024",
    esp: "aes128-sha1",
    secret: "test",
};
/// As one would set it up today.
const MODERN: Kind<'_> = Kind {
    template: "modern",
    ike: "aes256gcm16-prfsha384-x25519",
    esp: "aes256gcm16",
    secret: "a secret of the demo, known to all",
};

fn kind(number: u8) -> Kind<'static> {
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
    let template = |id, kind| template(id, kind, lifetimes, lifetimes, DPD);
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
    let part = |p: f64| length.mul_f64(p);
    let lives = |time, margin| Lifetimes {
        time: Some(part(time)),
        bytes: None,
        margin: part(margin),
    };
    Calling {
        kind: kind(number),
        identity: identity(number),
        gateway,
        gateway_identity: Identity::from_ip(OUTER.into()),
        local: branch_net(number),
        remote: headquarters_net(),
        ike: lives(1.2, 0.6),
        child: lives(0.8, 0.4),
        dpd: DPD,
    }
    .policy()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_branches_propose_the_gateway_accepts() {
        let gateway = gateway();
        let at = SocketAddr::new(OUTER.into(), 10_500);
        for number in [1, 2] {
            let branch = branch(number, at, Duration::from_secs(20));
            let proposals = branch.ike_proposals(branch.listen.addresses[0]);
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
