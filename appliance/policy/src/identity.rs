//! Identities of peers (RFC 7296 3.5) and patterns that match them (RFC 4301 4.4.3.1).

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a peer calls itself in IDi or IDr.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Identity {
    /// ID_IPV4_ADDR.
    Ipv4(Ipv4Addr),
    /// ID_FQDN; compared without regard to case.
    Fqdn(String),
    /// ID_RFC822_ADDR.
    Email(String),
    /// ID_IPV6_ADDR.
    Ipv6(Ipv6Addr),
    /// ID_DER_ASN1_DN, as DER.
    DistinguishedName(Vec<u8>),
    /// ID_DER_ASN1_GN, as DER.
    GeneralName(Vec<u8>),
    /// ID_KEY_ID, opaque.
    KeyId(Vec<u8>),
}

impl Identity {
    /// The identity that an address is.
    pub fn from_ip(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(a) => Self::Ipv4(a),
            IpAddr::V6(a) => Self::Ipv6(a),
        }
    }

    /// Reads an identity as operators write it: an address, `user@host` as e-mail, `@#HEX` as key
    /// identifier, `dn:HEX` and `gn:HEX` as DER, anything else as FQDN (a leading `@` forces FQDN, as
    /// strongSwan does).
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Some(Self::from_ip(ip));
        }
        if let Some(hex) = text.strip_prefix("@#") {
            return parse_hex(hex).map(Self::KeyId);
        }
        if let Some(der) = text.strip_prefix("dn:") {
            return parse_hex(der).map(Self::DistinguishedName);
        }
        if let Some(der) = text.strip_prefix("gn:") {
            return parse_hex(der).map(Self::GeneralName);
        }
        if let Some(name) = text.strip_prefix('@') {
            return valid_name(name).then(|| Self::Fqdn(name.to_owned()));
        }
        if text.contains('@') {
            return valid_name(text).then(|| Self::Email(text.to_owned()));
        }
        valid_name(text).then(|| Self::Fqdn(text.to_owned()))
    }

    /// Equality as RFC 4301 4.4.3.1 wants it: names without regard to ASCII case.
    pub fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fqdn(a), Self::Fqdn(b)) | (Self::Email(a), Self::Email(b)) => {
                a.eq_ignore_ascii_case(b)
            }
            _ => self == other,
        }
    }

    /// The form under which a device is filed: names in lower case.
    #[must_use]
    pub fn canonical(&self) -> Self {
        match self {
            Self::Fqdn(n) => Self::Fqdn(n.to_ascii_lowercase()),
            Self::Email(n) => Self::Email(n.to_ascii_lowercase()),
            other => other.clone(),
        }
    }
}

fn valid_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 255 && text.chars().all(|c| !c.is_control() && c != ' ')
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok())
        .collect()
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |f: &mut fmt::Formatter<'_>, prefix: &str, bytes: &[u8]| {
            f.write_str(prefix)?;
            bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
        };
        match self {
            Self::Ipv4(a) => a.fmt(f),
            Self::Ipv6(a) => a.fmt(f),
            // What a peer claims may hold anything: it is shown without control characters.
            Self::Fqdn(n) | Self::Email(n) => write!(f, "{}", n.escape_debug()),
            Self::DistinguishedName(der) => hex(f, "dn:", der),
            Self::GeneralName(der) => hex(f, "gn:", der),
            Self::KeyId(id) => hex(f, "@#", id),
        }
    }
}

/// Which identities an entry of the PAD or a template speaks of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum IdentityPattern {
    /// Every identity.
    Any,
    /// This one.
    Exact(Identity),
    /// `*.suffix`: any FQDN that ends in `.suffix`, at any depth. Holds the suffix.
    FqdnSuffix(String),
    /// `*@domain`: any e-mail address of the domain.
    EmailDomain(String),
    /// An address identity inside this network.
    Network(IpNet),
}

impl IdentityPattern {
    /// Reads `any`, `*.suffix`, `*@domain`, a network, or an identity (see [`Identity::parse`]).
    pub fn parse(text: &str) -> Option<Self> {
        if matches!(text, "any" | "*" | "%any") {
            return Some(Self::Any);
        }
        if let Some(suffix) = text.strip_prefix("*.") {
            return valid_name(suffix).then(|| Self::FqdnSuffix(suffix.to_owned()));
        }
        if let Some(domain) = text.strip_prefix("*@") {
            return valid_name(domain).then(|| Self::EmailDomain(domain.to_owned()));
        }
        if text.starts_with('@') && !text.contains('*') {
            return Identity::parse(text).map(Self::Exact);
        }
        if text.contains('/') {
            return text.parse().ok().map(Self::Network);
        }
        if text.contains('*') {
            return None;
        }
        Identity::parse(text).map(Self::Exact)
    }

    /// Whether the pattern matches `identity`.
    pub fn matches(&self, identity: &Identity) -> bool {
        match (self, identity) {
            (Self::Any, _) => true,
            (Self::Exact(mine), other) => mine.matches(other),
            (Self::FqdnSuffix(suffix), Identity::Fqdn(name)) => ends_with_label(name, suffix),
            (Self::EmailDomain(domain), Identity::Email(mail)) => mail
                .rsplit_once('@')
                .is_some_and(|(_, d)| d.eq_ignore_ascii_case(domain)),
            (Self::Network(net), Identity::Ipv4(a)) => net.contains(&IpAddr::V4(*a)),
            (Self::Network(net), Identity::Ipv6(a)) => net.contains(&IpAddr::V6(*a)),
            _ => false,
        }
    }

    /// How narrow the pattern is: among several that match, the highest is tried first.
    pub fn specificity(&self) -> u16 {
        match self {
            Self::Any => 0,
            Self::Network(net) => 1 + u16::from(net.prefix_len()),
            Self::EmailDomain(s) | Self::FqdnSuffix(s) => 200 + s.len().min(255) as u16,
            Self::Exact(_) => u16::MAX,
        }
    }
}

fn ends_with_label(name: &str, suffix: &str) -> bool {
    let (name, suffix) = (name.as_bytes(), suffix.as_bytes());
    name.len() > suffix.len() + 1
        && name[name.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
        && name[name.len() - suffix.len() - 1] == b'.'
}

impl fmt::Display for IdentityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Exact(id) => id.fmt(f),
            Self::FqdnSuffix(s) => write!(f, "*.{s}"),
            Self::EmailDomain(d) => write!(f, "*@{d}"),
            Self::Network(n) => n.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn patterns_match_what_they_say() {
        let id = |t: &str| Identity::parse(t).unwrap();
        let pattern = |t: &str| IdentityPattern::parse(t).unwrap();
        assert!(pattern("*.branch.example").matches(&id("a.BRANCH.example")));
        assert!(pattern("*.branch.example").matches(&id("b.a.branch.example")));
        assert!(!pattern("*.branch.example").matches(&id("branch.example")));
        assert!(!pattern("*.branch.example").matches(&id("xbranch.example")));
        assert!(pattern("*@example.org").matches(&id("joe@Example.org")));
        assert!(pattern("10.0.0.0/8").matches(&id("10.2.3.4")));
        assert!(!pattern("10.0.0.0/8").matches(&id("11.2.3.4")));
        assert!(pattern("test").matches(&id("TEST")));
        assert!(IdentityPattern::parse("te*st").is_none());
        assert!(pattern("@any").matches(&id("any")) && !pattern("@any").matches(&id("test")));
        assert!(pattern("@a/b").matches(&id("@a/b")));
    }

    #[test]
    fn identities_read_and_print() {
        for text in [
            "10.0.0.1",
            "2001:db8::1",
            "test",
            "joe@example.org",
            "@#0a0b",
            "dn:3000",
        ] {
            assert_eq!(Identity::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Identity::parse("@fqdn").unwrap(),
            Identity::Fqdn("fqdn".into())
        );
        assert!(Identity::parse("@#0").is_none());
        assert!(Identity::parse("").is_none());
        let hostile = Identity::Fqdn("a\u{1b}[2J\nb".into()).to_string();
        assert!(!hostile.contains('\u{1b}') && !hostile.contains('\n'));
    }
}
