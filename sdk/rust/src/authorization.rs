//! The hook `peer-authorization`: whether an authenticated peer may have what it asks for.

use crate::plugin::Plugin;

pub use crate::bindings::exports::hawser::plugin::authorization::{
    Denial, Grant, Request, Verdict,
};

/// A policy of authorization. It is asked once in each IKE_AUTH, by a fresh instance, and may only
/// narrow what the template allows.
pub trait PeerAuthorization: Plugin {
    /// Whether this peer may come in, and with what.
    fn authorize(&mut self, request: &Request) -> Verdict;
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
