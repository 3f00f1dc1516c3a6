//! Lets in the identities that are listed: from the networks, at the times, in the number and with
//! the selectors that their rule gives. Everybody else stays out.
//!
//! Rules are tried in order; the first whose identities, tenants and sources fit decides. Codes of
//! a denial: `not-permitted` (no rule fits, or none of the selectors is allowed), `outside-hours`
//! and `too-many`.

mod hours;
mod wildcard;

use hawser_sdk::authorization::{Grant, PeerAuthorization, Request, Verdict};
use hawser_sdk::net::{Range, Selector};
use hawser_sdk::{About, Plugin, SettingsError};
use hours::Window;
use serde::Deserialize;

/// The list.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    rules: Vec<RuleSettings>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RuleSettings {
    identities: Vec<String>,
    tenants: Option<Vec<String>>,
    sources: Option<Vec<String>>,
    hours: Option<Vec<Window>>,
    #[serde(default)]
    end_with_hours: bool,
    max_tunnels: Option<u32>,
    selectors: Option<Vec<String>>,
}

#[derive(Debug)]
struct Rule {
    identities: Vec<String>,
    tenants: Option<Vec<String>>,
    sources: Option<Vec<Range>>,
    hours: Option<Vec<Window>>,
    end_with_hours: bool,
    max_tunnels: Option<u32>,
    selectors: Option<Vec<Range>>,
}

/// The policy.
#[derive(Debug)]
pub struct AllowList {
    rules: Vec<Rule>,
}

impl Plugin for AllowList {
    type Settings = Settings;
    const ABOUT: About = hawser_sdk::about!(include_str!("../settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, SettingsError> {
        if settings.rules.is_empty() {
            let message = "without a rule nobody is let in";
            return Err(SettingsError::new("/rules", message));
        }
        let rules = settings.rules.into_iter().enumerate();
        let rules = rules.map(|(n, rule)| Rule::new(n, rule));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }
}

impl Rule {
    fn new(n: usize, rule: RuleSettings) -> Result<Self, SettingsError> {
        if rule.identities.is_empty() {
            let path = format!("/rules/{n}/identities");
            return Err(SettingsError::new(path, "a rule without identities"));
        }
        if rule.max_tunnels == Some(0) {
            let path = format!("/rules/{n}/max-tunnels");
            return Err(SettingsError::new(path, "at least 1"));
        }
        Ok(Self {
            identities: rule.identities,
            tenants: rule.tenants,
            sources: ranges(n, "sources", rule.sources)?,
            hours: rule.hours,
            end_with_hours: rule.end_with_hours,
            max_tunnels: rule.max_tunnels,
            selectors: ranges(n, "selectors", rule.selectors)?,
        })
    }

    fn names(&self, request: &Request<'_>) -> bool {
        let tenants = self.tenants.as_ref();
        tenants.is_none_or(|t| t.iter().any(|t| t == request.tenant))
            && self
                .identities
                .iter()
                .any(|i| wildcard::fits(i, request.identity))
    }

    fn allows_source(&self, request: &Request<'_>) -> bool {
        let Some(sources) = &self.sources else {
            return true;
        };
        let address = request.address.parse();
        address.is_ok_and(|a| sources.iter().any(|s| s.contains(a)))
    }

    fn decide(&self, request: &Request<'_>) -> Verdict {
        let mut grant = Grant::everything();
        if let Some(hours) = &self.hours {
            let open = hours.iter().filter_map(|w| w.open_for(request.now_unix_s));
            let Some(left) = open.max() else {
                let detail = format!("{} may not set up a tunnel at this time", request.identity);
                return Verdict::deny("outside-hours", detail);
            };
            grant.lifetime_s = self.end_with_hours.then_some(left);
        }
        if let Some(most) = self.max_tunnels.filter(|m| request.identity_devices >= *m) {
            let (who, there) = (&request.identity, request.identity_devices);
            let detail = format!("{there} devices live as {who}, {most} may");
            return Verdict::deny("too-many", detail);
        }
        if let Some(allowed) = &self.selectors {
            grant.remote_selectors = narrow(&request.remote_selectors, allowed);
            if grant.remote_selectors.is_empty() {
                let asked = request.remote_selectors.join(" ");
                let detail = format!("none of {asked} is allowed to {}", request.identity);
                return Verdict::deny("not-permitted", detail);
            }
        }
        Verdict::Allow(grant)
    }
}

fn ranges(
    rule: usize,
    name: &str,
    texts: Option<Vec<String>>,
) -> Result<Option<Vec<Range>>, SettingsError> {
    let parse = |(n, text): (usize, String)| {
        let path = || format!("/rules/{rule}/{name}/{n}");
        text.parse().map_err(|e| SettingsError::new(path(), e))
    };
    texts
        .map(|all| all.into_iter().enumerate().map(parse).collect())
        .transpose()
}

/// The parts of what is asked for that are allowed.
fn narrow(asked: &[&str], allowed: &[Range]) -> Vec<String> {
    let asked = asked.iter().filter_map(|s| s.parse::<Selector>().ok());
    let parts = asked.flat_map(|s| allowed.iter().filter_map(move |range| s.within(range)));
    parts.map(|s| s.to_string()).collect()
}

impl PeerAuthorization for AllowList {
    fn authorize(&mut self, request: &Request<'_>) -> Verdict {
        let mut named = self.rules.iter().filter(|r| r.names(request)).peekable();
        let listed = named.peek().is_some();
        match named.find(|r| r.allows_source(request)) {
            Some(rule) => rule.decide(request),
            None if listed => Verdict::deny(
                "not-permitted",
                format!("{} may not come from {}", request.identity, request.address),
            ),
            None => Verdict::deny(
                "not-permitted",
                format!("{} is not listed", request.identity),
            ),
        }
    }
}

hawser_sdk::export_peer_authorization!(AllowList);

#[cfg(test)]
mod tests;
