//! The hook `peer-authorization`: whether an authenticated peer may have what it asks for.

use crate::plugin::Plugin;

/// An authenticated peer and what it asks for; `sdk/README.md` has more on each field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// Tenant of its template.
    pub tenant: &'a str,
    /// Its template.
    pub template: &'a str,
    /// Authenticated identity.
    pub identity: &'a str,
    /// `ipv4`, `ipv6`, `fqdn`, `email`, `dn`, `gn` or `key-id`.
    pub identity_kind: &'a str,
    /// `pre-shared-key`.
    pub method: &'a str,
    /// Outer address.
    pub address: &'a str,
    /// Outer port.
    pub port: u16,
    /// Whether it is behind NAT.
    pub behind_nat: bool,
    /// Selectors of its side, within what the template allows; see [`crate::net`].
    pub remote_selectors: Vec<&'a str>,
    /// Selectors of headquarters' side.
    pub local_selectors: Vec<&'a str>,
    /// Living devices of this identity.
    pub identity_devices: u32,
    /// Living devices of this tenant.
    pub tenant_devices: u32,
    /// Times that devices of this identity came up within the last hour.
    pub ups: u32,
    /// Times that they went down.
    pub downs: u32,
    /// Seconds since 1970-01-01 UTC.
    pub now_unix_s: u64,
    /// Pairs that later gateways fill.
    pub ext: Vec<(&'a str, &'a str)>,
}

/// What a peer may have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// At most what was asked for; empty: all of it.
    pub remote_selectors: Vec<String>,
    /// At most what was asked for; empty: all of it.
    pub local_selectors: Vec<String>,
    /// At most the template's lifetime of the IKE SA.
    pub lifetime_s: Option<u64>,
    /// Kept with the device and shown; at most 16 of 256 octets.
    pub attributes: Vec<(String, String)>,
}

/// Why a peer may not come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denial {
    /// `not-permitted`, `outside-hours`, `too-many`, `quarantined` or another short word.
    pub code: String,
    /// A sentence for the operator.
    pub detail: String,
}

/// What a policy answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It may come in, and have this.
    Allow(Grant),
    /// It may not.
    Deny(Denial),
}

/// A policy of authorization. It is asked once in each IKE_AUTH, by a fresh instance, and may only
/// narrow what the template allows.
pub trait PeerAuthorization: Plugin {
    /// Whether this peer may come in, and with what.
    fn authorize(&mut self, request: &Request<'_>) -> Verdict;
}

impl Grant {
    /// All that was asked for.
    pub fn everything() -> Self {
        Self {
            remote_selectors: Vec::new(),
            local_selectors: Vec::new(),
            lifetime_s: None,
            attributes: Vec::new(),
        }
    }

    /// The same grant with one more attribute; at most 16 of 256 octets.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }
}

impl Verdict {
    /// The peer may have all that it asks for.
    pub fn allow() -> Self {
        Self::Allow(Grant::everything())
    }

    /// The peer may not come in: a short word such as `not-permitted`, `outside-hours`, `too-many`
    /// or `quarantined`, and a sentence for the operator.
    pub fn deny(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Deny(Denial {
            code: code.into(),
            detail: detail.into(),
        })
    }
}
