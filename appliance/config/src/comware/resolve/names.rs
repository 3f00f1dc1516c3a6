//! Whether every name that is referred to is there.

use super::Resolve;
use crate::comware::model::{Named, PolicyKind, VrfMatch, same_name};
use crate::problem::{At, Problem, nearest};

impl Resolve<'_> {
    /// Reports every name that is referred to and not there, whether in force or not.
    pub(super) fn references(&mut self) {
        let config = self.config;
        let keychains = all(&config.keychains);
        let vrfs: Vec<&str> = config
            .vpn_instances
            .iter()
            .map(|v| v.value.as_str())
            .collect();
        let mut proposals = all(&config.proposals);
        proposals.push(super::ike::PREDEFINED);

        for profile in &config.profiles {
            let field = format!("ikev2 profile {}", profile.name.value);
            self.refer(
                &field,
                "ikev2 keychain",
                profile.keychain.as_ref(),
                &keychains,
            );
            self.refer(&field, "VPN instance", profile.inside_vrf.as_ref(), &vrfs);
            self.refer(
                &field,
                "VPN instance",
                vrf_name(profile.match_vrf.as_ref()),
                &vrfs,
            );
        }
        for policy in &config.ike_policies {
            let field = format!("ikev2 policy {}", policy.name.value);
            for name in &policy.proposals {
                self.refer(&field, "ikev2 proposal", Some(name), &proposals);
            }
            self.refer(
                &field,
                "VPN instance",
                vrf_name(policy.match_vrf.as_ref()),
                &vrfs,
            );
        }
        self.ipsec_references();
        self.policy_references();
    }

    /// What IPsec policies and their templates name.
    fn ipsec_references(&mut self) {
        let config = self.config;
        let profiles = all(&config.profiles);
        let sets = all(&config.transform_sets);
        let acls = all(&config.acls);
        for policy in &config.ipsec_policies {
            let field = policy.title();
            for name in &policy.transform_sets {
                self.refer(&field, "ipsec transform-set", Some(name), &sets);
            }
            self.refer(&field, "ikev2 profile", policy.profile.as_ref(), &profiles);
            self.refer(&field, "acl", policy.acl.as_ref().map(|a| &a.name), &acls);
        }
    }

    /// IPsec policies that name templates, and interfaces that name policies.
    fn policy_references(&mut self) {
        let policies = &self.config.ipsec_policies;
        for policy in policies {
            let PolicyKind::ByTemplate(name) = &policy.kind else {
                continue;
            };
            let ipv6 = policy.name.value.ipv6;
            let templates: Vec<&str> = policies
                .iter()
                .filter(|p| p.is_template() && p.name.value.ipv6 == ipv6)
                .map(|p| p.name.value.name.as_str())
                .collect();
            self.refer(&policy.title(), "policy template", Some(name), &templates);
        }
        for interface in &self.config.interfaces {
            for applied in &interface.applied {
                let names: Vec<&str> = policies
                    .iter()
                    .filter(|p| !p.is_template() && p.name.value.ipv6 == applied.value.ipv6)
                    .map(|p| p.name.value.name.as_str())
                    .collect();
                let name = At::new(applied.place, applied.value.name.clone());
                let field = format!("interface {}", interface.name.value);
                self.refer(&field, "ipsec policy", Some(&name), &names);
            }
        }
    }

    fn refer(&mut self, field: &str, kind: &str, name: Option<&At<String>>, known: &[&str]) {
        let Some(name) = name.filter(|n| !known.iter().any(|k| same_name(k, &n.value))) else {
            return;
        };
        let message = format!("there is no {kind} `{}`", name.value);
        let suggestion = nearest(&name.value, known.iter().copied()).map(str::to_owned);
        self.report.add(Problem {
            suggestion,
            ..Problem::new(name.place, field, message)
        });
    }
}

fn all<T: Named>(things: &[T]) -> Vec<&str> {
    things.iter().map(|t| t.name().value.as_str()).collect()
}

fn vrf_name(vrf: Option<&VrfMatch>) -> Option<&At<String>> {
    match vrf {
        Some(VrfMatch::Name(name)) => Some(name),
        Some(VrfMatch::Any) | None => None,
    }
}

/// The thing of this name.
pub(super) fn find<'t, T: Named>(things: &'t [T], name: &str) -> Option<&'t T> {
    things.iter().find(|t| same_name(&t.name().value, name))
}
