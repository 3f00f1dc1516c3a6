//! Asking the authorization plugins.

use super::decisions::Decisions;
use hawser_plugin::{AuthorizationHost, AuthorizationRequest, Grant, Origin, Verdict};
use hawser_policy::Identity;
use hawser_shard::hooks::{self, AuthorizeRequest, Authorized, DecidedBy};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the chain of plugins says.
pub(super) fn decide(
    decisions: &Decisions,
    host: &AuthorizationHost,
    request: &AuthorizeRequest,
) -> Authorized {
    let asked = asked(decisions, request);
    match host.authorize(&asked) {
        None => Authorized::Unasked,
        Some(Err(failure)) => Authorized::Undecided(failure.to_string()),
        Some(Ok(authorized)) => {
            let by = authorized.origins.iter().map(decided_by).collect();
            match authorized.verdict {
                Verdict::Allow(grant) => allowed(grant, asked.lifetime_s, by),
                Verdict::Deny { code, detail } => Authorized::Denied { code, detail, by },
            }
        }
    }
}

fn allowed(grant: Grant, most_s: Option<u64>, by: Vec<DecidedBy>) -> Authorized {
    let lowered = grant.lifetime_s.filter(|_| grant.lifetime_s != most_s);
    let grant = hooks::Grant {
        local: grant.local,
        remote: grant.remote,
        lifetime: lowered.map(Duration::from_secs),
        attributes: grant.attributes,
    };
    Authorized::Allowed { grant, by }
}

fn asked(decisions: &Decisions, request: &AuthorizeRequest) -> AuthorizationRequest {
    let identity = request.identity.to_string();
    let (ups, downs) = decisions.flaps.of(&request.tenant_name, &identity);
    let (identity_devices, tenant_devices) = decisions
        .directory
        .alive(request.tenant, &request.identity.canonical());
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    AuthorizationRequest {
        tenant: request.tenant_name.to_string(),
        template: request.template.to_string(),
        identity,
        identity_kind: kind(&request.identity).to_owned(),
        method: "pre-shared-key".to_owned(),
        address: request.endpoint.ip(),
        port: request.endpoint.port(),
        behind_nat: request.behind_nat,
        remote: request.remote.clone(),
        local: request.local.clone(),
        lifetime_s: request.lifetime.map(|time| time.as_secs()),
        identity_devices,
        tenant_devices,
        ups,
        downs,
        now_unix_s: now.unwrap_or_default().as_secs(),
    }
}

fn kind(identity: &Identity) -> &'static str {
    match identity {
        Identity::Ipv4(_) => "ipv4",
        Identity::Ipv6(_) => "ipv6",
        Identity::Fqdn(_) => "fqdn",
        Identity::Email(_) => "email",
        Identity::DistinguishedName(_) => "dn",
        Identity::GeneralName(_) => "gn",
        Identity::KeyId(_) => "key-id",
    }
}

pub(super) fn decided_by(origin: &Origin) -> DecidedBy {
    DecidedBy {
        plugin: origin.plugin.clone(),
        version: origin.version.clone(),
        generation: origin.generation,
    }
}
