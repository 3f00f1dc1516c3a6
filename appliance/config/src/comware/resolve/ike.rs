//! IKEv2 policies and proposals, transform sets.

use super::Resolve;
use super::names::find;
use crate::comware::model::{EsnChoice, IkePolicy, LocalMatch, Proposal, TransformSet, VrfMatch};
use crate::document;
use crate::problem::{At, Place, Problem, nearest};
use hawser_crypto::Encr;
use hawser_policy::{EspProposal, IkeProposal, ProposalError};
use std::net::IpAddr;

/// The name of the proposal and of the policy that Comware has without configuration.
pub(super) const PREDEFINED: &str = "default";
/// What Comware's `default` proposal accepts, without its MD5 and 3DES.
const PREDEFINED_PROPOSAL: &str = "aes128-sha1-modp1536-modp1024";
/// Priority of a profile or policy that says none; a smaller number comes first.
pub(super) const PRIORITY: u16 = 100;

impl Resolve<'_> {
    /// The policies, the preferred first, and Comware's predefined one for the addresses that none
    /// is for.
    pub(super) fn ike_policies(&mut self, listen: &[At<IpAddr>]) -> Vec<document::IkePolicy> {
        let mut given: Vec<&IkePolicy> = self.config.ike_policies.iter().collect();
        given.sort_by_key(|p| p.priority.unwrap_or(PRIORITY));
        let mut policies: Vec<document::IkePolicy> = given
            .into_iter()
            .filter_map(|p| self.ike_policy(p))
            .collect();
        let covered = |at: &At<IpAddr>| {
            let here = |l: &At<IpAddr>| l.value == at.value;
            policies
                .iter()
                .any(|p| p.local.is_empty() || p.local.iter().any(here))
        };
        if !listen.is_empty() && !listen.iter().all(covered) {
            let message = "no `ikev2 policy` is for every address: Comware's predefined one is used, \
                           without its MD5 and 3DES";
            self.report.warn(Place::default(), message);
            policies.push(document::IkePolicy {
                name: At::new(Place::default(), PREDEFINED.to_owned()),
                local: Vec::new(),
                proposals: predefined(Place::default()),
            });
        }
        policies
    }

    /// `None`: it is for an outside VPN instance alone, or wrong.
    fn ike_policy(&mut self, policy: &IkePolicy) -> Option<document::IkePolicy> {
        let field = format!("ikev2 policy {}", policy.name.value);
        if let Some(VrfMatch::Name(vrf)) = &policy.match_vrf {
            let message = format!("`{field}` is for an outside VPN instance, and not in force");
            self.report.warn(vrf.place, message);
            return None;
        }
        if policy.proposals.is_empty() && !policy.faulty {
            self.report
                .problem(policy.name.place, &field, "it names no `proposal`");
        }
        let mut proposals = Vec::new();
        for name in &policy.proposals {
            match find(&self.config.proposals, &name.value) {
                Some(proposal) => proposals.extend(self.ike_proposals(proposal)),
                None => proposals.extend(predefined(name.place)),
            }
        }
        let local = self.local_addresses(&field, &policy.match_local);
        Some(document::IkePolicy {
            name: policy.name.clone(),
            local,
            proposals,
        })
    }

    /// The addresses that `match local address` speaks of.
    pub(super) fn local_addresses(
        &mut self,
        field: &str,
        matches: &[LocalMatch],
    ) -> Vec<At<IpAddr>> {
        let mut addresses = Vec::new();
        for local in matches {
            match local {
                LocalMatch::Address(at) => addresses.push(at.clone()),
                LocalMatch::Interface(name) => {
                    addresses.extend(self.interface_addresses(field, name));
                }
            }
        }
        addresses
    }

    fn interface_addresses(&mut self, field: &str, name: &At<String>) -> Vec<At<IpAddr>> {
        let interfaces = &self.config.interfaces;
        let Some(interface) = find(interfaces, &name.value) else {
            let names = interfaces.iter().map(|i| i.name.value.as_str());
            let suggestion = nearest(&name.value, names).map(str::to_owned);
            let message = format!("there is no interface `{}`", name.value);
            self.report.add(Problem {
                suggestion,
                ..Problem::new(name.place, field, message)
            });
            return Vec::new();
        };
        let known = interface.addresses.iter().flatten();
        let addresses: Vec<_> = known.map(|net| At::new(name.place, net.addr())).collect();
        if addresses.is_empty() {
            let message = format!("no address of the interface `{}` is known", name.value);
            self.report.problem(name.place, field, message);
        }
        addresses
    }

    /// A Comware proposal may mix AEADs with other ciphers; ours are two then.
    fn ike_proposals(&mut self, proposal: &Proposal) -> Vec<At<IkeProposal>> {
        let field = format!("ikev2 proposal {}", proposal.name.value);
        let Proposal {
            encryption,
            integrity,
            prf,
            dh,
            ..
        } = proposal;
        let mut all = Vec::new();
        for ciphers in by_kind(encryption) {
            let words: Vec<&str> = [&ciphers, integrity, prf, dh]
                .into_iter()
                .flatten()
                .copied()
                .collect();
            match IkeProposal::parse(&words.join("-")) {
                Ok(read) => all.push(At::new(proposal.name.place, read)),
                Err(error) if !proposal.faulty => {
                    let message = incomplete(&error, &IKE_COMMANDS);
                    self.report.problem(proposal.name.place, &field, message);
                }
                Err(_) => {}
            }
        }
        all
    }

    /// The same of a transform set.
    pub(super) fn esp_proposals(&mut self, set: &TransformSet) -> Vec<At<EspProposal>> {
        let field = format!("ipsec transform-set {}", set.name.value);
        let esn: &[&str] = match set.esn {
            None => &[],
            Some(EsnChoice::Only) => &["esn"],
            Some(EsnChoice::Both) => &["esn", "noesn"],
        };
        let mut all = Vec::new();
        for ciphers in by_kind(&set.encryption) {
            let integrity: &[&str] = if is_aead(&ciphers) {
                &[]
            } else {
                &set.authentication
            };
            let words = [ciphers.as_slice(), integrity, set.pfs.as_slice(), esn].concat();
            match EspProposal::parse(&words.join("-")) {
                Ok(read) => all.push(At::new(set.name.place, read)),
                Err(error) if !set.faulty => {
                    let message = incomplete(&error, &ESP_COMMANDS);
                    self.report.problem(set.name.place, &field, message);
                }
                Err(_) => {}
            }
        }
        all
    }
}

fn predefined(place: Place) -> Vec<At<IkeProposal>> {
    IkeProposal::parse(PREDEFINED_PROPOSAL)
        .map(|p| At::new(place, p))
        .into_iter()
        .collect()
}

/// The commands that give each kind of algorithm.
const IKE_COMMANDS: [(&str, &str); 4] = [
    ("encryption", "encryption"),
    ("integrity", "integrity"),
    ("PRF", "prf"),
    ("key exchange", "dh"),
];
const ESP_COMMANDS: [(&str, &str); 2] = [
    ("encryption", "esp encryption-algorithm"),
    ("integrity", "esp authentication-algorithm"),
];

/// Says which command is missing.
fn incomplete(error: &ProposalError, commands: &[(&str, &str)]) -> String {
    let missing = match error {
        ProposalError::Missing(kind) => commands.iter().find(|(k, _)| k == kind),
        _ => None,
    };
    match missing {
        Some((_, command)) => format!("`{command}` is missing"),
        None => error.to_string(),
    }
}

/// The ciphers by AEAD and other ones, the kind of the first one first; without ciphers one empty
/// list.
fn by_kind(ciphers: &[&'static str]) -> Vec<Vec<&'static str>> {
    let first = is_aead(ciphers);
    let (same, other): (Vec<_>, Vec<_>) = ciphers
        .iter()
        .copied()
        .partition(|c| is_aead(&[*c]) == first);
    if other.is_empty() {
        vec![same]
    } else {
        vec![same, other]
    }
}

/// Whether the first cipher is an AEAD.
fn is_aead(ciphers: &[&str]) -> bool {
    ciphers
        .first()
        .and_then(|c| Encr::from_keyword(c))
        .is_some_and(Encr::is_aead)
}
