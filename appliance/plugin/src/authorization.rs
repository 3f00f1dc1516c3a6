//! The hook of authorization: it may only narrow.

use std::sync::Arc;

use hawser_policy::TrafficSelector;

use crate::bindings::peer_authorization::exports::hawser::plugin::authorization as wit;
use crate::fault::{Decided, Failure, Origin, PluginFault};
use crate::generation::Slot;
use crate::hooks::Plugins;
use crate::instance::Live;
use crate::text::clean;
use crate::world::Authorization;

/// Octets that a verdict may take in all.
const VERDICT: usize = 256 << 10;
/// Selectors of a side in a grant.
pub const SELECTORS: usize = 256;
/// Attributes of a grant.
pub const ATTRIBUTES: usize = 16;
/// Octets of the name or value of an attribute.
pub const ATTRIBUTE: usize = 256;

/// An authenticated peer and what it may have at most.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// Tenant of its template.
    pub tenant: String,
    /// Its template.
    pub template: String,
    /// Authenticated identity.
    pub identity: String,
    /// `ipv4`, `ipv6`, `fqdn`, `email`, `dn`, `gn` or `key-id`.
    pub identity_kind: String,
    /// `pre-shared-key`.
    pub method: String,
    /// Outer address.
    pub address: std::net::IpAddr,
    /// Outer port.
    pub port: u16,
    /// Whether it is behind NAT.
    pub behind_nat: bool,
    /// Selectors of its side, already narrowed to the template.
    pub remote: Vec<TrafficSelector>,
    /// Selectors of headquarters' side, already narrowed to the template.
    pub local: Vec<TrafficSelector>,
    /// The template's lifetime of the IKE SA in seconds; `None`: unlimited.
    pub lifetime_s: Option<u64>,
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
}

/// What a chain of plugins leaves of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Selectors of the peer's side.
    pub remote: Vec<TrafficSelector>,
    /// Selectors of headquarters' side.
    pub local: Vec<TrafficSelector>,
    /// Lifetime of the IKE SA in seconds.
    pub lifetime_s: Option<u64>,
    /// What the plugins say about it, in the order of the chain.
    pub attributes: Vec<(String, String)>,
}

/// What a chain of plugins says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every plugin allows.
    Allow(Grant),
    /// One denies; those after it were not asked.
    Deny {
        /// A short word, at most 64 octets.
        code: String,
        /// At most 1024 octets.
        detail: String,
    },
}

/// A verdict and everyone who had a part in it, in the order of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorized {
    /// The verdict.
    pub verdict: Verdict,
    /// The last one denied, if anyone did.
    pub origins: Vec<Origin>,
}

/// The authorization plugins; shared by workers.
#[derive(Clone)]
pub struct AuthorizationHost {
    plugins: Arc<Plugins>,
}

impl AuthorizationHost {
    /// Decides with `plugins`.
    pub fn new(plugins: Arc<Plugins>) -> Self {
        Self { plugins }
    }

    /// Asks the chain of the most specific scope, each plugin in an instance that was never used
    /// and is dropped afterwards. A plugin sees what those before it left. `None`: no plugin
    /// decides for this tenant and template, so everything asked for is allowed.
    ///
    /// On a failure a new SA is refused, unless its template says otherwise; existing SAs stay.
    pub fn authorize(&self, request: &AuthorizationRequest) -> Option<Result<Authorized, Failure>> {
        let chain = self
            .plugins
            .authorization(&request.tenant, &request.template)?;
        Some(run(&chain, request))
    }
}

fn run(
    chain: &[Arc<Slot<Authorization>>],
    request: &AuthorizationRequest,
) -> Result<Authorized, Failure> {
    let mut left = Grant {
        remote: request.remote.clone(),
        local: request.local.clone(),
        lifetime_s: request.lifetime_s,
        attributes: Vec::new(),
    };
    let mut origins = Vec::with_capacity(chain.len());
    for slot in chain {
        let Decided { value, origin } = slot.call_fresh(|live| ask(live, request, &left))?;
        origins.push(origin);
        match value {
            Verdict::Allow(grant) => left = grant,
            deny @ Verdict::Deny { .. } => {
                return Ok(Authorized {
                    verdict: deny,
                    origins,
                });
            }
        }
    }
    Ok(Authorized {
        verdict: Verdict::Allow(left),
        origins,
    })
}

/// One plugin's part: its verdict on what is left, counted.
fn ask(
    live: &mut Live<Authorization>,
    request: &AuthorizationRequest,
    left: &Grant,
) -> Result<Verdict, PluginFault> {
    let asked = to_wit(request, left);
    let verdict = live.enter(VERDICT, |bindings, store| {
        bindings
            .all
            .hawser_plugin_authorization()
            .call_authorize(store, &asked)
    })?;
    match verdict {
        wit::Verdict::Allow(grant) => {
            let mut grant = narrowed(left, &asked, grant)?;
            let same = (&grant.remote, &grant.local, grant.lifetime_s)
                == (&left.remote, &left.local, left.lifetime_s);
            live.meter().outcome(usize::from(!same), 1);
            let own = std::mem::take(&mut grant.attributes);
            grant.attributes.clone_from(&left.attributes);
            grant.attributes.extend(own);
            Ok(Verdict::Allow(grant))
        }
        wit::Verdict::Deny(denial) => {
            live.meter().outcome(2, 1);
            Ok(Verdict::Deny {
                code: clean(&denial.code, 64),
                detail: clean(&denial.detail, 1024),
            })
        }
    }
}

fn to_wit(request: &AuthorizationRequest, left: &Grant) -> wit::Request {
    let texts = |selectors: &[TrafficSelector]| selectors.iter().map(ToString::to_string).collect();
    wit::Request {
        tenant: request.tenant.clone(),
        template: request.template.clone(),
        identity: request.identity.clone(),
        identity_kind: request.identity_kind.clone(),
        method: request.method.clone(),
        address: request.address.to_string(),
        port: request.port,
        behind_nat: request.behind_nat,
        remote_selectors: texts(&left.remote),
        local_selectors: texts(&left.local),
        identity_devices: request.identity_devices,
        tenant_devices: request.tenant_devices,
        ups: request.ups,
        downs: request.downs,
        now_unix_s: request.now_unix_s,
        ext: Vec::new(),
    }
}

/// The grant in our types, if it is within what was left.
fn narrowed(left: &Grant, asked: &wit::Request, grant: wit::Grant) -> Result<Grant, PluginFault> {
    let lifetime_s = match (grant.lifetime_s, left.lifetime_s) {
        (Some(0), _) => return Err(PluginFault::BadAnswer("a lifetime of 0 s".into())),
        (Some(granted), Some(most)) if granted > most => {
            return Err(PluginFault::WiderThanAsked(format!(
                "a lifetime of {granted} s, at most {most} s"
            )));
        }
        (granted, most) => granted.or(most),
    };
    Ok(Grant {
        remote: within(
            &left.remote,
            &asked.remote_selectors,
            &grant.remote_selectors,
        )?,
        local: within(&left.local, &asked.local_selectors, &grant.local_selectors)?,
        lifetime_s,
        attributes: attributes(grant.attributes)?,
    })
}

/// Every granted selector must lie within one of those asked for; none granted means all of them.
fn within(
    asked: &[TrafficSelector],
    texts: &[String],
    granted: &[String],
) -> Result<Vec<TrafficSelector>, PluginFault> {
    if granted.is_empty() {
        return Ok(asked.to_vec());
    }
    if granted.len() > SELECTORS {
        return Err(PluginFault::TooMuchOutput(format!(
            "{} selectors, at most {SELECTORS}",
            granted.len()
        )));
    }
    let one = |text: &String| {
        // Compared as text first: selectors of OPAQUE ports have no spelling that can be read.
        if let Some(index) = texts.iter().position(|asked| asked == text) {
            return Ok(asked[index]);
        }
        let selector = TrafficSelector::parse(text).ok_or_else(|| {
            PluginFault::BadAnswer(format!("`{}` is no selector", clean(text, 100)))
        })?;
        if asked.iter().any(|asked| asked.covers(&selector)) {
            return Ok(selector);
        }
        Err(PluginFault::WiderThanAsked(format!(
            "{selector}, asked for was {}",
            clean(&texts.join(", "), 300)
        )))
    };
    granted.iter().map(one).collect()
}

fn attributes(pairs: Vec<(String, String)>) -> Result<Vec<(String, String)>, PluginFault> {
    let fits = |(name, value): &(String, String)| name.len().max(value.len()) <= ATTRIBUTE;
    if pairs.len() > ATTRIBUTES || !pairs.iter().all(fits) {
        return Err(PluginFault::TooMuchOutput(format!(
            "at most {ATTRIBUTES} attributes of {ATTRIBUTE} octets are kept"
        )));
    }
    let cleaned = |(name, value): (String, String)| {
        (clean(&name, 2 * ATTRIBUTE), clean(&value, 2 * ATTRIBUTE))
    };
    Ok(pairs.into_iter().map(cleaned).collect())
}

/// A request as a self-test shows it: a branch behind NAT asks for its network.
pub fn sample_request() -> AuthorizationRequest {
    let net = |text| TrafficSelector::parse(text).into_iter().collect();
    AuthorizationRequest {
        tenant: "self-test".into(),
        template: "self-test".into(),
        identity: "self-test".into(),
        identity_kind: "fqdn".into(),
        method: "pre-shared-key".into(),
        address: [192, 0, 2, 7].into(),
        port: 4500,
        behind_nat: true,
        remote: net("172.16.19.0/24"),
        local: net("10.0.0.0/8"),
        lifetime_s: Some(86_400),
        identity_devices: 1,
        tenant_devices: 1,
        ups: 1,
        downs: 0,
        now_unix_s: 1_700_000_000,
    }
}

pub(crate) fn canary(live: &mut Live<Authorization>) -> Result<(), PluginFault> {
    let request = sample_request();
    let left = Grant {
        remote: request.remote.clone(),
        local: request.local.clone(),
        lifetime_s: request.lifetime_s,
        attributes: Vec::new(),
    };
    ask(live, &request, &left).map(drop)
}
