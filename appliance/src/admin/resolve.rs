//! What an operator means by PEER.
//!
//! In this order, and the first that finds somebody decides: the identity or the outer endpoint as
//! it is; the outer address, an inner address or a subnet; the beginning of any of these.

use super::answer::Refusal;
use super::api::PeerRow;
use hawser_policy::TrafficSelector;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// The one peer that is meant.
pub(super) fn one(peers: Vec<PeerRow>, name: &str) -> Result<PeerRow, Refusal> {
    let mut found = candidates(peers, name);
    match found.len() {
        0 => Err(Refusal::not_found(format!("no peer is `{name}`"))),
        1 => Ok(found.remove(0)),
        n => Err(Refusal::ambiguous(
            format!("`{name}` may be any of {n} peers:"),
            found,
        )),
    }
}

/// Everybody who may be meant.
pub(super) fn candidates(peers: Vec<PeerRow>, name: &str) -> Vec<PeerRow> {
    let name = name.trim();
    if name.is_empty() {
        return Vec::new();
    }
    for rule in [is_exactly, is_at, begins_with] {
        if peers.iter().any(|p| rule(p, name)) {
            return peers.into_iter().filter(|p| rule(p, name)).collect();
        }
    }
    Vec::new()
}

/// `test`, `120.208.142.17/8192`, `120.208.142.17:8192`.
fn is_exactly(peer: &PeerRow, name: &str) -> bool {
    let endpoint = name
        .parse::<SocketAddr>()
        .map(|a| format!("{}/{}", a.ip(), a.port()));
    peer.identity.eq_ignore_ascii_case(name)
        || (!peer.endpoint.is_empty()
            && (peer.endpoint == name || endpoint.is_ok_and(|e| peer.endpoint == e)))
}

/// `120.208.142.17`, `172.16.19.7`, `172.16.19.0/24`.
fn is_at(peer: &PeerRow, name: &str) -> bool {
    let mut selectors = peer
        .networks
        .iter()
        .filter_map(|n| TrafficSelector::parse(n));
    if let Ok(address) = name.parse::<IpAddr>() {
        let outer = peer
            .endpoint
            .rsplit_once('/')
            .and_then(|(ip, _)| ip.parse().ok());
        return outer == Some(address) || selectors.any(|s| s.contains_address(address));
    }
    match name.parse::<IpNet>() {
        Ok(net) => {
            let wanted = TrafficSelector::from_net(net.trunc());
            selectors.any(|s| covers_addresses(&s, &wanted) || covers_addresses(&wanted, &s))
        }
        Err(_) => false,
    }
}

fn covers_addresses(outside: &TrafficSelector, inside: &TrafficSelector) -> bool {
    outside.contains_address(inside.start) && outside.contains_address(inside.end)
}

/// `te`, `120.208.`, `172.16.19`.
fn begins_with(peer: &PeerRow, name: &str) -> bool {
    let identity = peer.identity.to_ascii_lowercase();
    identity.starts_with(&name.to_ascii_lowercase())
        || peer.endpoint.starts_with(name)
        || peer.networks.iter().any(|n| n.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(identity: &str, endpoint: &str, network: &str) -> PeerRow {
        PeerRow {
            identity: identity.into(),
            endpoint: endpoint.into(),
            networks: vec![network.into()],
            ..PeerRow::default()
        }
    }

    /// The case: every branch says that it is `test`.
    fn branches() -> Vec<PeerRow> {
        vec![
            peer("test", "120.208.142.17/8192", "172.16.19.0/24"),
            peer("test", "183.202.198.192/22016", "172.16.20.0/24"),
            peer(
                "test-lab.branch.example",
                "120.208.142.17/8193",
                "10.9.0.0/16",
            ),
            peer("10.9.9.9", "2001:db8::7/4500", "fd00:7::/64"),
            PeerRow {
                identity: "never.seen".into(),
                ..PeerRow::default()
            },
        ]
    }

    fn found(name: &str) -> Vec<String> {
        candidates(branches(), name)
            .iter()
            .map(|p| format!("{} {}", p.identity, p.endpoint))
            .collect()
    }

    #[test]
    fn an_endpoint_is_one_peer() {
        for name in ["120.208.142.17/8192", "120.208.142.17:8192"] {
            assert_eq!(found(name), ["test 120.208.142.17/8192"]);
        }
        assert_eq!(found("[2001:db8::7]:4500"), ["10.9.9.9 2001:db8::7/4500"]);
    }

    #[test]
    fn an_identity_is_not_a_prefix_of_longer_ones() {
        assert_eq!(found("TEST").len(), 2);
        assert_eq!(found("test-").len(), 1);
        assert_eq!(found("never.seen"), ["never.seen "]);
    }

    #[test]
    fn an_address_is_looked_for_outside_and_inside() {
        assert_eq!(found("120.208.142.17").len(), 2);
        assert_eq!(found("172.16.20.7"), ["test 183.202.198.192/22016"]);
        assert_eq!(found("fd00:7::1"), ["10.9.9.9 2001:db8::7/4500"]);
        assert_eq!(found("172.16.0.0/16").len(), 2);
        assert_eq!(found("172.16.19.128/25").len(), 1);
    }

    #[test]
    fn an_identity_that_is_an_address_goes_before_the_network_around_it() {
        assert_eq!(found("10.9.9.9"), ["10.9.9.9 2001:db8::7/4500"]);
    }

    #[test]
    fn a_beginning_is_enough_and_nothing_is_nobody() {
        assert_eq!(found("183."), ["test 183.202.198.192/22016"]);
        assert_eq!(found("172.16.").len(), 2);
        assert!(found("").is_empty() && found(" ").is_empty() && found("nobody").is_empty());
    }

    #[test]
    fn ambiguity_names_the_candidates() {
        let refusal = one(branches(), "test");
        assert!(refusal.is_err_and(|r| format!("{r:?}").contains("183.202.198.192/22016")));
    }
}
