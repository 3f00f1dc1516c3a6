//! From names to the document: what is applied to an interface is in force, and what that refers to.

mod ike;
mod names;
mod pad;
mod template;
mod tunnel;

use super::model::{Config, Profile};
use crate::document::{Admission, Document, Tenant};
use crate::problem::{At, Place, Report};
use tunnel::Tunnel;

/// Comware's name of the public network, as Hawser has it.
const PUBLIC: &str = "default";

/// Follows the references of a text, and makes the document of what is in force.
pub(super) fn document(config: &Config, report: &mut Report) -> Document {
    let mut resolve = Resolve { config, report };
    resolve.references();
    let tunnels = resolve.tunnels();
    let mut document = Document {
        admission: resolve.admission(),
        ..Document::default()
    };
    document.listen.addresses = listen_addresses(&tunnels);
    document.tenants = resolve.tenants(&tunnels);
    document.ike_policies = resolve.ike_policies(&document.listen.addresses);
    document.secrets = resolve.secrets(&tunnels);
    document.templates = tunnels
        .iter()
        .map(|t| resolve.template(t, &document.secrets))
        .collect();
    document
}

/// What the resolving of one text shares.
struct Resolve<'a> {
    config: &'a Config,
    report: &'a mut Report,
}

impl Resolve<'_> {
    fn admission(&self) -> Admission {
        Admission {
            cookie_threshold: self.config.global.cookie_challenge,
            max_half_open: self.config.global.max_negotiating,
            ..Admission::default()
        }
    }

    /// The tenants that tunnels belong to: the public network first, then the VPN instances in
    /// their order. The networks of their interfaces are headquarters' own.
    fn tenants(&self, tunnels: &[Tunnel<'_>]) -> Vec<Tenant> {
        let public = At::new(Place::default(), PUBLIC.to_owned());
        let all = std::iter::once(&public).chain(&self.config.vpn_instances);
        let used =
            |name: &&At<String>| tunnels.iter().any(|t| tenant_name(t.profile) == name.value);
        all.filter(used)
            .map(|name| Tenant {
                name: name.clone(),
                interface: None,
                mtu: None,
                addresses: Vec::new(),
                namespace: None,
                protected: self.own_networks(&name.value),
            })
            .collect()
    }

    fn own_networks(&self, tenant: &str) -> Vec<ipnet::IpNet> {
        let mut networks = Vec::new();
        for interface in &self.config.interfaces {
            let vrf = interface.vrf.as_ref().map_or(PUBLIC, |at| &at.value);
            for net in interface
                .addresses
                .iter()
                .flatten()
                .filter(|_| vrf == tenant)
            {
                if !networks.contains(&net.trunc()) {
                    networks.push(net.trunc());
                }
            }
        }
        networks
    }
}

/// The tenant that a profile chooses.
fn tenant_name(profile: &Profile) -> &str {
    profile.inside_vrf.as_ref().map_or(PUBLIC, |at| &at.value)
}

fn listen_addresses(tunnels: &[Tunnel<'_>]) -> Vec<At<std::net::IpAddr>> {
    let mut addresses: Vec<At<std::net::IpAddr>> = Vec::new();
    for at in tunnels.iter().flat_map(|t| &t.local) {
        if !addresses.iter().any(|a| a.value == at.value) {
            addresses.push(at.clone());
        }
    }
    addresses
}
