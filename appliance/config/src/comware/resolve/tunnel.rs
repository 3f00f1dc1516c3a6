//! What is in force: the entries of the policies that are applied to interfaces.

use super::Resolve;
use super::names::find;
use crate::comware::model::{
    Acl, Interface, IpsecPolicy, PolicyKind, PolicyName, Profile, VrfMatch, same_name,
};
use crate::problem::{At, Place};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An entry in force, with its profile.
pub(super) struct Tunnel<'a> {
    /// `POLICY/SEQ/TEMPLATE/SEQ`, or `POLICY/SEQ` of a policy without a template.
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) settings: &'a IpsecPolicy,
    pub(super) profile: &'a Profile,
    pub(super) local: Vec<At<IpAddr>>,
}

impl<'a> Resolve<'a> {
    /// The tunnels in force; each once, however many interfaces have its policy.
    pub(super) fn tunnels(&mut self) -> Vec<Tunnel<'a>> {
        let mut tunnels: Vec<Tunnel<'a>> = Vec::new();
        let config = self.config;
        for interface in config.interfaces.iter().filter(|i| !i.applied.is_empty()) {
            self.judge_interface(interface);
            for applied in &interface.applied {
                for (name, settings) in entries(&config.ipsec_policies, &applied.value) {
                    let local = self.outer_addresses(interface, settings, applied);
                    match tunnels.iter_mut().find(|t| t.name == name) {
                        Some(known) => known.local.extend(local),
                        None => tunnels.extend(self.tunnel(name, settings, local)),
                    }
                }
            }
        }
        self.judge_unapplied();
        tunnels
    }

    fn tunnel(
        &mut self,
        name: String,
        settings: &'a IpsecPolicy,
        local: Vec<At<IpAddr>>,
    ) -> Option<Tunnel<'a>> {
        let place = settings.name.place;
        let Some(wanted) = &settings.profile else {
            if !settings.faulty {
                self.report
                    .problem(place, settings.title(), "it names no `ikev2-profile`");
            }
            return None;
        };
        // A profile that is not there is reported with the references.
        let profile = find(&self.config.profiles, &wanted.value)?;
        self.judge_profile(profile);
        Some(Tunnel {
            name,
            place,
            settings,
            profile,
            local,
        })
    }

    fn judge_interface(&mut self, interface: &Interface) {
        let field = format!("interface {}", interface.name.value);
        for fault in interface.addresses.iter().filter_map(|a| a.as_ref().err()) {
            self.report.problem(fault.place, &field, &fault.value);
        }
        if let Some(vrf) = &interface.vrf {
            let message = "an outside VPN instance is not supported yet: tunnels come in through the \
                           public network (`inside-vrf` of the profile chooses the inside)";
            self.report.problem(vrf.place, &field, message);
        }
    }

    /// What a profile in force must have.
    fn judge_profile(&mut self, profile: &Profile) {
        let field = format!("ikev2 profile {}", profile.name.value);
        if let Some(VrfMatch::Name(vrf)) = &profile.match_vrf {
            let message = "an outside VPN instance is not supported yet: write `match vrf any`";
            self.report.problem(vrf.place, &field, message);
        }
        let needs = [
            (
                profile.local_pre_share,
                "authentication-method local pre-share",
            ),
            (
                profile.remote_pre_share,
                "authentication-method remote pre-share",
            ),
            (profile.keychain.is_some(), "keychain"),
            (!profile.match_remote.is_empty(), "match remote identity"),
        ];
        for (_, command) in needs.iter().filter(|(is, _)| !is && !profile.faulty) {
            let message = format!("`{command}` is missing");
            self.report.problem(profile.name.place, &field, message);
        }
    }

    /// Our address: the entry's, else the first of the interface that is of its family.
    fn outer_addresses(
        &mut self,
        interface: &Interface,
        settings: &IpsecPolicy,
        applied: &At<PolicyName>,
    ) -> Vec<At<IpAddr>> {
        if let Some(local) = &settings.local {
            return vec![local.clone()];
        }
        let ipv6 = applied.value.ipv6;
        let mut known = interface.addresses.iter().flatten().map(ipnet::IpNet::addr);
        if let Some(address) = known.find(|a| a.is_ipv6() == ipv6) {
            return vec![At::new(applied.place, address)];
        }
        if interface.addresses.is_empty() {
            let message = format!(
                "no address of the interface {} is known: every address is listened at",
                interface.name.value
            );
            self.report.warn(applied.place, message);
        }
        let any: IpAddr = if ipv6 {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        };
        vec![At::new(applied.place, any)]
    }

    /// Says what is not in force.
    fn judge_unapplied(&mut self) {
        let config = self.config;
        let mut any = false;
        for policy in config.ipsec_policies.iter().filter(|p| !p.is_template()) {
            let mut applied = config.interfaces.iter().flat_map(|i| &i.applied);
            if applied.any(|a| a.value.is(&policy.name.value)) {
                any = true;
                continue;
            }
            let message = format!(
                "`{}` is applied to no interface, and not in force",
                policy.title()
            );
            self.report.warn(policy.name.place, message);
        }
        let uses = |p: &IpsecPolicy, acl: &Acl| {
            p.acl
                .as_ref()
                .is_some_and(|a| same_name(&a.name.value, &acl.name.value))
        };
        let unused = |acl: &&Acl| !config.ipsec_policies.iter().any(|p| uses(p, acl));
        for acl in config.acls.iter().filter(unused) {
            let message = format!("`acl {}`: no IPsec policy uses it", acl.name.value);
            self.report.ignored(acl.name.place, message);
        }
        if !any && config.interfaces.iter().all(|i| i.applied.is_empty()) {
            let message = "nothing is in force: no interface has `ipsec apply policy`";
            self.report.problem(Place::default(), "", message);
        }
    }
}

/// The entries of a policy in their order, with their names.
fn entries<'a>(all: &'a [IpsecPolicy], wanted: &PolicyName) -> Vec<(String, &'a IpsecPolicy)> {
    let mut found = Vec::new();
    let family = if wanted.ipv6 { "ipv6:" } else { "" };
    for policy in in_order(all, |p| !p.is_template() && p.name.value.is(wanted)) {
        let name = format!("{family}{}/{}", policy.name.value.name, policy.sequence);
        match &policy.kind {
            PolicyKind::ByTemplate(template) => {
                let belongs = |p: &IpsecPolicy| {
                    p.is_template()
                        && p.name.value.ipv6 == wanted.ipv6
                        && same_name(&p.name.value.name, &template.value)
                };
                for entry in in_order(all, belongs) {
                    found.push((
                        format!("{name}/{}/{}", template.value, entry.sequence),
                        entry,
                    ));
                }
            }
            PolicyKind::Isakmp | PolicyKind::Template => found.push((name, policy)),
        }
    }
    found
}

fn in_order(all: &[IpsecPolicy], is: impl Fn(&IpsecPolicy) -> bool) -> Vec<&IpsecPolicy> {
    let mut found: Vec<&IpsecPolicy> = all.iter().filter(|p| is(p)).collect();
    found.sort_by_key(|p| p.sequence);
    found
}
