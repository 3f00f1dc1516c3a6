//! The Peer Authorization Database (RFC 4301 4.4.3): who may authenticate, and how.

use crate::identity::{Identity, IdentityPattern};
use crate::template::TemplateId;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A pre-shared key; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// Takes the bytes of the key.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// The bytes of the key.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One way to authenticate: identity and address lead to a template and a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PadEntry {
    /// Peers' identities that the entry is for.
    pub remote: IdentityPattern,
    /// Our addresses that it applies to; empty: every one.
    pub local: Vec<IpAddr>,
    /// The peer's outer addresses that it applies to; empty: every one.
    pub remote_networks: Vec<ipnet::IpNet>,
    /// The template that an SA so authenticated is made by.
    pub template: TemplateId,
    /// The pre-shared key, of both directions.
    pub secret: Secret,
}

/// A secret to try for a claimed identity, and what it leads to.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The template.
    pub template: TemplateId,
    /// The pre-shared key to verify with.
    pub secret: Secret,
}

/// The entries, the most specific identity first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pad {
    entries: Vec<PadEntry>,
}

impl Pad {
    /// How many secrets are tried for one IKE_AUTH at most.
    pub const MAX_CANDIDATES: usize = 8;

    /// Sorts the entries by how specific their identity is; equal ones stay in order.
    pub fn new(mut entries: Vec<PadEntry>) -> Self {
        entries.sort_by_key(|e| std::cmp::Reverse(e.remote.specificity()));
        Self { entries }
    }

    /// Every entry, the most specific identity first.
    pub fn entries(&self) -> &[PadEntry] {
        &self.entries
    }

    /// The secrets to try for a claimed identity: the most specific first, equal ones once, at
    /// most [`Pad::MAX_CANDIDATES`].
    pub fn candidates(&self, local: IpAddr, remote: IpAddr, claimed: &Identity) -> Vec<Candidate> {
        let mut found: Vec<Candidate> = Vec::new();
        for entry in self
            .entries
            .iter()
            .filter(|e| e.applies(local, remote, claimed))
        {
            let known = |c: &Candidate| c.template == entry.template && c.secret == entry.secret;
            if !found.iter().any(known) {
                found.push(Candidate {
                    template: entry.template,
                    secret: entry.secret.clone(),
                });
            }
            if found.len() == Self::MAX_CANDIDATES {
                break;
            }
        }
        found
    }
}

impl PadEntry {
    fn applies(&self, local: IpAddr, remote: IpAddr, claimed: &Identity) -> bool {
        (self.local.is_empty() || self.local.contains(&local))
            && (self.remote_networks.is_empty()
                || self.remote_networks.iter().any(|n| n.contains(&remote)))
            && self.remote.matches(claimed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry(remote: &str, secret: &str, template: u16) -> PadEntry {
        PadEntry {
            remote: IdentityPattern::parse(remote).unwrap(),
            local: Vec::new(),
            remote_networks: Vec::new(),
            template: TemplateId(template),
            secret: Secret::new(secret.into()),
        }
    }

    #[test]
    fn the_most_specific_is_tried_first_and_the_number_is_bounded() {
        let mut entries = vec![
            entry("any", "a", 0),
            entry("*.x", "b", 1),
            entry("t.x", "c", 2),
        ];
        entries.extend((0..20u8).map(|i| entry("any", &format!("k{i}"), 3)));
        let pad = Pad::new(entries);
        let ip = "192.0.2.1".parse().unwrap();
        let got = pad.candidates(ip, ip, &Identity::parse("t.x").unwrap());
        assert_eq!(got.len(), Pad::MAX_CANDIDATES);
        assert_eq!(got[0].secret.expose(), b"c");
        assert_eq!(got[1].secret.expose(), b"b");
        assert_eq!(got[2].secret.expose(), b"a");
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Secret::new(b"hush".to_vec())), "Secret(..)");
    }
}
