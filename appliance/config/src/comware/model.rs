//! What Comware text says, with names not followed yet.

use super::args::Fault;
use crate::problem::{At, Place};
use hawser_policy::{DpdMode, Identity, IdentityPattern, TrafficSelector};
use ipnet::IpNet;
use std::net::IpAddr;
use std::time::Duration;
use zeroize::Zeroizing;

/// A whole text.
#[derive(Default)]
pub(super) struct Config {
    pub(super) global: Global,
    pub(super) keychains: Vec<Keychain>,
    pub(super) profiles: Vec<Profile>,
    pub(super) proposals: Vec<Proposal>,
    pub(super) ike_policies: Vec<IkePolicy>,
    pub(super) transform_sets: Vec<TransformSet>,
    pub(super) ipsec_policies: Vec<IpsecPolicy>,
    pub(super) interfaces: Vec<Interface>,
    pub(super) acls: Vec<Acl>,
    pub(super) vpn_instances: Vec<At<String>>,
}

/// What is set in system view.
#[derive(Default)]
pub(super) struct Global {
    pub(super) dpd: Option<Dpd>,
    pub(super) nat_keepalive: Option<Duration>,
    pub(super) cookie_challenge: Option<u32>,
    pub(super) max_negotiating: Option<u32>,
    pub(super) sa: SaDuration,
    pub(super) replay_window: Option<u32>,
    pub(super) replay_off: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Dpd {
    pub(super) place: Place,
    pub(super) mode: DpdMode,
    pub(super) interval: Duration,
    pub(super) retry: Option<Duration>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct SaDuration {
    pub(super) time: Option<Duration>,
    pub(super) kilobytes: Option<u64>,
}

/// A thing with a name that a view is opened for.
pub(super) trait Named {
    fn new(name: At<String>) -> Self;
    fn name(&self) -> &At<String>;
}

/// The thing of this name, made if it is not there: a view may be opened twice.
pub(super) fn open<T: Named>(all: &mut Vec<T>, name: At<String>) -> usize {
    match all
        .iter()
        .position(|t| same_name(&t.name().value, &name.value))
    {
        Some(index) => index,
        None => {
            all.push(T::new(name));
            all.len() - 1
        }
    }
}

/// Comware compares names without regard to case.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

macro_rules! named {
    ($($type:ident { $($field:ident: $kind:ty),* $(,)? })*) => {$(
        pub(super) struct $type {
            pub(super) name: At<String>,
            /// A line of it is reported already: what is missing may be there, but wrong.
            pub(super) faulty: bool,
            $(pub(super) $field: $kind,)*
        }

        impl Named for $type {
            fn new(name: At<String>) -> Self {
                Self { name, faulty: false, $($field: Default::default(),)* }
            }

            fn name(&self) -> &At<String> {
                &self.name
            }
        }
    )*};
}

named! {
    Keychain { peers: Vec<Peer> }
    Peer {
        address: Option<IpNet>,
        identity: Option<Identity>,
        local_secret: Option<At<Zeroizing<Vec<u8>>>>,
        remote_secret: Option<At<Zeroizing<Vec<u8>>>>,
    }
    Profile {
        local_pre_share: bool,
        remote_pre_share: bool,
        keychain: Option<At<String>>,
        identity: Option<At<Identity>>,
        match_local: Vec<LocalMatch>,
        match_remote: Vec<At<IdentityPattern>>,
        match_vrf: Option<VrfMatch>,
        inside_vrf: Option<At<String>>,
        sa_duration: Option<Duration>,
        nat_keepalive: Option<Duration>,
        dpd: Option<Dpd>,
        priority: Option<u16>,
    }
    Proposal {
        encryption: Vec<&'static str>,
        integrity: Vec<&'static str>,
        prf: Vec<&'static str>,
        dh: Vec<&'static str>,
    }
    IkePolicy {
        proposals: Vec<At<String>>,
        match_local: Vec<LocalMatch>,
        match_vrf: Option<VrfMatch>,
        priority: Option<u16>,
    }
    TransformSet {
        encryption: Vec<&'static str>,
        authentication: Vec<&'static str>,
        pfs: Option<&'static str>,
        esn: Option<EsnChoice>,
    }
    Interface {
        addresses: Vec<Result<IpNet, At<String>>>,
        applied: Vec<At<PolicyName>>,
        vrf: Option<At<String>>,
    }
    Acl { rules: Vec<Result<Rule, Fault>> }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EsnChoice {
    Only,
    Both,
}

/// `match local address`.
#[derive(Clone)]
pub(super) enum LocalMatch {
    Address(At<IpAddr>),
    Interface(At<String>),
}

/// `match vrf`.
#[derive(Clone)]
pub(super) enum VrfMatch {
    Any,
    Name(At<String>),
}

/// IPsec policies of IPv4 and IPv6 have names of their own.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PolicyName {
    pub(super) ipv6: bool,
    pub(super) name: String,
}

impl PolicyName {
    pub(super) fn is(&self, other: &Self) -> bool {
        self.ipv6 == other.ipv6 && same_name(&self.name, &other.name)
    }
}

/// An entry of an IPsec policy or of a policy template.
pub(super) struct IpsecPolicy {
    pub(super) name: At<PolicyName>,
    pub(super) sequence: u16,
    pub(super) kind: PolicyKind,
    pub(super) faulty: bool,
    pub(super) transform_sets: Vec<At<String>>,
    pub(super) local: Option<At<IpAddr>>,
    pub(super) remote: Option<At<IpAddr>>,
    pub(super) profile: Option<At<String>>,
    pub(super) acl: Option<SecurityAcl>,
    pub(super) sa: SaDuration,
}

pub(super) enum PolicyKind {
    /// `ipsec policy NAME SEQ isakmp`: its own settings, and it begins the tunnel.
    Isakmp,
    /// `ipsec policy NAME SEQ isakmp template T`.
    ByTemplate(At<String>),
    /// `ipsec policy-template NAME SEQ`.
    Template,
}

pub(super) struct SecurityAcl {
    pub(super) name: At<String>,
    pub(super) aggregate: bool,
}

/// `rule permit`: our side is the source.
pub(super) struct Rule {
    pub(super) place: Place,
    pub(super) id: u16,
    pub(super) local: TrafficSelector,
    pub(super) remote: TrafficSelector,
}
