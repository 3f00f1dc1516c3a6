//! A tunnel in force as a template.

use super::names::find;
use super::tunnel::Tunnel;
use super::{PUBLIC, Resolve, tenant_name};
use crate::comware::model::{Acl, IpsecPolicy, PolicyKind, Rule};
use crate::document::{
    Child, Dpd, Initiate, Lifetimes, PadSecret, Retransmission, Template, Upkeep,
};
use crate::problem::At;
use hawser_policy::{EspProposal, IdentityPattern, Revive};
use std::net::SocketAddr;
use std::time::Duration;

/// What Comware has where nothing is configured.
const IKE_LIFETIME: Duration = Duration::from_secs(86_400);
const SA_LIFETIME: Duration = Duration::from_secs(3600);
const SA_KILOBYTES: u64 = 1_843_200;
const NAT_KEEPALIVE: Duration = Duration::from_secs(10);
const IKE_PORT: u16 = 500;

impl Resolve<'_> {
    pub(super) fn template(&mut self, tunnel: &Tunnel<'_>, secrets: &[PadSecret]) -> Template {
        let (profile, global) = (tunnel.profile, &self.config.global);
        let tenant = tenant_name(profile);
        let dpd = profile.dpd.or(global.dpd);
        let nat_keepalive = profile.nat_keepalive.or(global.nat_keepalive);
        Template {
            name: At::new(tunnel.place, tunnel.name.clone()),
            tenant: (tenant != PUBLIC).then(|| At::new(tunnel.place, tenant.to_owned())),
            local_identity: profile.identity.clone(),
            ike_proposals: Vec::new(),
            ike_lifetimes: Lifetimes {
                time: Some(Some(profile.sa_duration.unwrap_or(IKE_LIFETIME))),
                ..Lifetimes::default()
            },
            dpd: dpd.map(|d| Dpd {
                place: d.place,
                mode: d.mode,
                interval: d.interval,
                retry: d.retry,
                retries: None,
            }),
            nat_keepalive: Some(Some(nat_keepalive.unwrap_or(NAT_KEEPALIVE))),
            retransmission: Retransmission::default(),
            // What the case asks for: a branch that deleted its SA is brought back, whatever the
            // length of the secret that Comware lets it share.
            upkeep: Upkeep {
                revive: Some(Revive::On),
                revive_weak_secret: Some(true),
                ..Upkeep::default()
            },
            allow_any_route: None,
            fragment_size: None,
            children: self.children(tunnel.settings),
            initiate: self.initiate(tunnel, secrets),
        }
    }

    /// Without an ACL one child that leaves the selectors to the peer; else one for each rule, or
    /// for all of them with `aggregation`.
    fn children(&mut self, settings: &IpsecPolicy) -> Vec<Child> {
        if settings.transform_sets.is_empty() && !settings.faulty {
            let place = settings.name.place;
            self.report
                .problem(place, settings.title(), "it names no `transform-set`");
        }
        let config = self.config;
        let sets = settings.transform_sets.iter();
        let sets = sets.filter_map(|name| find(&config.transform_sets, &name.value));
        let proposals: Vec<At<EspProposal>> =
            sets.flat_map(|set| self.esp_proposals(set)).collect();
        let child = |name: String, rules: &[&Rule]| Child {
            name: At::new(settings.name.place, name),
            proposals: proposals.clone(),
            local: rules.iter().map(|r| At::new(r.place, r.local)).collect(),
            remote: rules.iter().map(|r| At::new(r.place, r.remote)).collect(),
            lifetimes: self.child_lifetimes(settings),
            replay_window: self.replay_window(settings),
        };
        let Some(wanted) = &settings.acl else {
            return vec![child("any".to_owned(), &[])];
        };
        let Some(acl) = find(&config.acls, &wanted.name.value) else {
            return Vec::new();
        };
        let rules: Vec<&Rule> = acl.rules.iter().filter_map(|r| r.as_ref().ok()).collect();
        let name = format!("acl{}", acl.name.value);
        let children = if wanted.aggregate {
            vec![child(name, &rules)]
        } else {
            rules
                .iter()
                .map(|r| child(format!("{name}-{}", r.id), &[*r]))
                .collect()
        };
        self.judge_acl(acl);
        children
    }

    fn judge_acl(&mut self, acl: &Acl) {
        let field = format!("acl {}", acl.name.value);
        for fault in acl.rules.iter().filter_map(|r| r.as_ref().err()) {
            self.report.problem(fault.place, &field, &fault.message);
        }
        if acl.rules.is_empty() {
            let message = "an IPsec policy uses it, and it has no `rule permit`";
            self.report.problem(acl.name.place, &field, message);
        }
    }

    fn child_lifetimes(&self, settings: &IpsecPolicy) -> Lifetimes {
        let (own, global) = (settings.sa, self.config.global.sa);
        let kilobytes = own.kilobytes.or(global.kilobytes).unwrap_or(SA_KILOBYTES);
        Lifetimes {
            time: Some(Some(own.time.or(global.time).unwrap_or(SA_LIFETIME))),
            bytes: Some(kilobytes * 1024),
            margin: None,
        }
    }

    fn replay_window(&self, settings: &IpsecPolicy) -> Option<At<u32>> {
        let global = &self.config.global;
        let window = if global.replay_off {
            Some(0)
        } else {
            global.replay_window
        };
        window.map(|packets| At::new(settings.name.place, packets))
    }

    /// A policy without a template begins the tunnel.
    fn initiate(&mut self, tunnel: &Tunnel<'_>, secrets: &[PadSecret]) -> Option<Initiate> {
        let settings = tunnel.settings;
        if !matches!(settings.kind, PolicyKind::Isakmp) {
            return None;
        }
        let Some(remote) = &settings.remote else {
            if !settings.faulty {
                let message = "it has no `remote-address`: without one, use a policy template";
                self.report.problem(tunnel.place, settings.title(), message);
            }
            return None;
        };
        let secret = secrets.iter().find(|s| s.template.value == tunnel.name)?;
        let IdentityPattern::Exact(identity) = &secret.identity.value else {
            let message = "a policy that begins the tunnel needs the identity of its peer: \
                           `match remote identity` of the profile must name one";
            self.report
                .problem(secret.identity.place, settings.title(), message);
            return None;
        };
        Some(Initiate {
            remote: remote.clone().map(|ip| SocketAddr::new(ip, IKE_PORT)),
            identity: At::new(secret.identity.place, identity.clone()),
            secret: secret.secret.clone(),
        })
    }
}
