//! The PAD: the peers of a profile's keychain that fit what the profile matches.

use super::Resolve;
use super::ike::PRIORITY;
use super::names::find;
use super::tunnel::Tunnel;
use crate::comware::model::{Keychain, Peer};
use crate::document::{PadSecret, SecretSource};
use crate::problem::At;
use hawser_policy::{Identity, IdentityPattern};
use ipnet::IpNet;
use std::net::IpAddr;

impl Resolve<'_> {
    /// The entries of every tunnel: profiles with `match local address` first, then by priority.
    pub(super) fn secrets(&mut self, tunnels: &[Tunnel<'_>]) -> Vec<PadSecret> {
        let mut ordered: Vec<&Tunnel<'_>> = tunnels.iter().collect();
        ordered.sort_by_key(|t| {
            (
                t.profile.match_local.is_empty(),
                t.profile.priority.unwrap_or(PRIORITY),
            )
        });
        ordered
            .into_iter()
            .flat_map(|t| self.secrets_of(t))
            .collect()
    }

    fn secrets_of(&mut self, tunnel: &Tunnel<'_>) -> Vec<PadSecret> {
        let profile = tunnel.profile;
        let keychain = profile.keychain.as_ref();
        let Some(keychain) = keychain.and_then(|k| find(&self.config.keychains, &k.value)) else {
            return Vec::new();
        };
        let Some(local) = self.pad_local(tunnel) else {
            return Vec::new();
        };
        let remote = tunnel
            .settings
            .remote
            .as_ref()
            .map(|at| IpNet::from(at.value));
        let mut entries: Vec<PadSecret> = Vec::new();
        for peer in &keychain.peers {
            let Some(secret) = self.peer_secret(keychain, peer) else {
                continue;
            };
            for (identity, networks) in fitting(peer, &profile.match_remote, remote) {
                entries.push(PadSecret {
                    identity,
                    template: At::new(tunnel.place, tunnel.name.clone()),
                    local: local.clone(),
                    networks,
                    secret: secret.clone(),
                });
            }
        }
        let sound = !profile.faulty && !keychain.faulty && !profile.match_remote.is_empty();
        if entries.is_empty() && sound {
            let message = format!(
                "no peer of the keychain {} fits what the profile matches",
                keychain.name.value
            );
            let field = format!("ikev2 profile {}", profile.name.value);
            self.report.problem(profile.name.place, field, message);
        }
        entries
    }

    /// Our addresses that the entries are for; `None`: the profile is for none of the tunnel's.
    fn pad_local(&mut self, tunnel: &Tunnel<'_>) -> Option<Vec<At<IpAddr>>> {
        let profile = tunnel.profile;
        let own: Vec<At<IpAddr>> = tunnel
            .local
            .iter()
            .filter(|at| !at.value.is_unspecified())
            .cloned()
            .collect();
        if profile.match_local.is_empty() {
            return Some(own);
        }
        let field = format!("ikev2 profile {}", profile.name.value);
        let wanted = self.local_addresses(&field, &profile.match_local);
        if own.is_empty() {
            return Some(wanted);
        }
        let both: Vec<At<IpAddr>> = own
            .into_iter()
            .filter(|at| wanted.iter().any(|w| w.value == at.value))
            .collect();
        if both.is_empty() && !wanted.is_empty() {
            let message = format!(
                "`match local` names none of the addresses of `{}`, which uses the profile",
                tunnel.settings.title()
            );
            self.report.problem(profile.name.place, field, message);
        }
        (!both.is_empty()).then_some(both)
    }

    fn peer_secret(&mut self, keychain: &Keychain, peer: &Peer) -> Option<At<SecretSource>> {
        let field = format!(
            "ikev2 keychain {} peer {}",
            keychain.name.value, peer.name.value
        );
        if peer.identity.is_none() && peer.address.is_none() && !peer.faulty {
            let message = "it has neither `identity` nor `address`: no peer can use it";
            self.report.problem(peer.name.place, &field, message);
        }
        let (key, message) = match (&peer.local_secret, &peer.remote_secret) {
            (Some(local), Some(remote)) if local.value == remote.value => (local, None),
            (Some(_), Some(remote)) => (
                remote,
                Some("different keys for each direction are not supported yet"),
            ),
            (Some(key), None) => (key, Some("the `pre-shared-key remote` is missing")),
            (None, Some(key)) => (key, Some("the `pre-shared-key local` is missing")),
            (None, None) => {
                if !peer.faulty {
                    let message = "the `pre-shared-key` is missing";
                    self.report.problem(peer.name.place, field, message);
                }
                return None;
            }
        };
        if let Some(message) = message.filter(|_| !peer.faulty) {
            self.report.problem(key.place, field, message);
        }
        Some(key.clone().map(SecretSource::Inline))
    }
}

/// The identities and outer networks that a peer of a keychain and a profile agree on. Comware finds a
/// peer by its identity or by its address, so each is an entry of its own.
fn fitting(
    peer: &Peer,
    matches: &[At<IdentityPattern>],
    remote: Option<IpNet>,
) -> Vec<(At<IdentityPattern>, Vec<IpNet>)> {
    let mut found = Vec::new();
    for at in matches {
        let identity = peer.identity.as_ref().filter(|i| at.value.matches(i));
        if let Some(identity) = identity {
            let exact = IdentityPattern::Exact(Identity::clone(identity));
            found.push((At::new(at.place, exact), remote.into_iter().collect()));
        }
        let networks = match (peer.address, remote) {
            (None, _) => continue,
            (Some(address), None) => address,
            (Some(address), Some(remote)) if address.contains(&remote) => remote,
            (Some(_), Some(_)) => continue,
        };
        found.push((at.clone(), vec![networks]));
    }
    found
}
