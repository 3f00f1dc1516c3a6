//! Settings of the whole gateway, tenants, and proposals by address.

use super::Build;
use super::template::default_ike_proposals;
use crate::document;
use crate::problem::{At, Place};
use hawser_policy::{
    Admission, CookieMode, IkePolicy, IkeProposal, Listen, LogOutput, LogSettings, Observability,
    Tenant, TenantId,
};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// The tenant of everything that names none.
pub(super) const DEFAULT_TENANT: &str = "default";
/// IFNAMSIZ without the end.
const LONGEST_INTERFACE: usize = 15;
const DEFAULT_MTU: u16 = 1400;
/// When a file of the log becomes an older one, in octets.
const FILE_SIZE: u64 = 10 << 20;
/// How many older ones are kept.
const FILE_KEEP: u16 = 5;

impl Build<'_> {
    pub(super) fn listen(&mut self) -> Listen {
        let listen = &self.document.listen;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for at in &listen.addresses {
            if addresses.contains(&at.value) {
                let message = format!("{} is there already", at.value);
                self.report.problem(at.place, "listen.addresses", message);
            }
            addresses.push(at.value);
        }
        if addresses.is_empty() {
            addresses = vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        }
        let port = |at: &Option<At<u16>>, default| at.as_ref().map_or(default, |at| at.value);
        let (ike, nat) = (port(&listen.port, 500), port(&listen.nat_port, 4500));
        if ike == nat {
            let at = listen.nat_port.as_ref().or(listen.port.as_ref());
            let place = at.map_or(Place::default(), |at| at.place);
            self.report
                .problem(place, "listen", "`port` and `nat_port` must differ");
        }
        Listen {
            addresses,
            port: ike,
            nat_port: nat,
            native_esp: listen.native_esp.unwrap_or(true),
        }
    }

    pub(super) fn admission(&self) -> Admission {
        let (given, default) = (&self.document.admission, Admission::default());
        Admission {
            cookies: match given.cookie_threshold {
                Some(0) => CookieMode::Always,
                Some(threshold) => CookieMode::Threshold(threshold),
                None => default.cookies,
            },
            max_half_open: given.max_half_open.unwrap_or(default.max_half_open),
            source_rate: given.source_rate.unwrap_or(default.source_rate),
            half_open_timeout: given.half_open_timeout.unwrap_or(default.half_open_timeout),
        }
    }

    pub(super) fn observability(&mut self) -> Observability {
        let metrics = self.document.metrics.as_ref();
        if let Some(at) = metrics.filter(|at| !at.value.ip().is_loopback()) {
            let message = format!("metrics are shown to everyone who reaches {}", at.value);
            self.report.warn(at.place, message);
        }
        let given = &self.document.observability;
        let recorder = given.recorder.as_ref();
        let default = Observability::default();
        Observability {
            metrics: metrics.map(|at| at.value),
            recorder: recorder.map_or(default.recorder, |at| at.value as usize),
            incidents: given.incidents.clone(),
            capture_keys: given.capture_keys.unwrap_or(default.capture_keys),
            log: self.log(default.log),
        }
    }

    fn log(&mut self, default: LogSettings) -> LogSettings {
        let given = &self.document.log;
        let outputs = given.outputs.as_ref().map(|outputs| {
            let mut all: Vec<LogOutput> = Vec::new();
            for at in outputs {
                let output = match &at.value {
                    LogOutput::File { path, .. } => LogOutput::File {
                        path: path.clone(),
                        size: given.file_size.unwrap_or(FILE_SIZE),
                        keep: given.file_keep.unwrap_or(FILE_KEEP),
                    },
                    output => output.clone(),
                };
                if all.contains(&output) {
                    let message = format!("`{output}` is there already");
                    self.report.problem(at.place, "log.outputs", message);
                }
                all.push(output);
            }
            all
        });
        LogSettings {
            level: given.level,
            rate: given.rate.unwrap_or(default.rate),
            line: given.line.map_or(default.line, |line| line as usize),
            outputs: outputs.unwrap_or(default.outputs),
        }
    }

    /// The tenants as configured, and before them `default`, if it is needed and not among them.
    pub(super) fn tenants(&mut self) -> Vec<Tenant> {
        let given = &self.document.tenants;
        self.unique("tenants", given.iter().map(|t| &t.name));
        let is_default = |name: &str| name == DEFAULT_TENANT;
        let declared = given.iter().any(|t| is_default(&t.name.value));
        let mut wanted = self.document.templates.iter().map(|t| t.tenant.as_ref());
        let needed = wanted.any(|t| t.is_none_or(|t| is_default(&t.value)));
        let implied = document::Tenant {
            name: At::new(Place::default(), DEFAULT_TENANT.to_owned()),
            interface: None,
            mtu: None,
            addresses: Vec::new(),
            namespace: None,
            protected: Vec::new(),
        };
        let implied = (needed && !declared).then_some(&implied);
        let mut taken = HashMap::new();
        let all = implied.into_iter().chain(given);
        (0..=u16::MAX)
            .zip(all)
            .map(|(id, t)| self.tenant(TenantId(id), t, &mut taken))
            .collect()
    }

    fn tenant(
        &mut self,
        id: TenantId,
        given: &document::Tenant,
        taken: &mut HashMap<(Option<String>, String), usize>,
    ) -> Tenant {
        let namespace = given.namespace.as_ref().map(|at| at.value.clone());
        if let Some(at) = given
            .namespace
            .as_ref()
            .filter(|at| !is_file_name(&at.value))
        {
            let message = format!("`{}` cannot be the name of a namespace", at.value);
            self.report.problem(at.place, "tenants.namespace", message);
        }
        let interface = match &given.interface {
            Some(at) => at.value.clone(),
            None => implied_interface(&given.name.value, id),
        };
        let place = given.interface.as_ref().unwrap_or(&given.name).place;
        if !is_file_name(&interface) || interface.len() > LONGEST_INTERFACE {
            let message = format!(
                "`{interface}` cannot be the name of an interface: 1 to {LONGEST_INTERFACE} octets \
                 without spaces and `/`"
            );
            self.report.problem(place, "tenants.interface", message);
        }
        if taken
            .insert((namespace.clone(), interface.clone()), place.line)
            .is_some()
        {
            let message = format!("the interface `{interface}` is another tenant's already");
            self.report.problem(place, "tenants.interface", message);
        }
        Tenant {
            id,
            name: Arc::from(given.name.value.as_str()),
            interface,
            mtu: given.mtu.unwrap_or(DEFAULT_MTU),
            addresses: given.addresses.clone(),
            namespace,
            protected: given.protected.clone(),
        }
    }

    /// The IKE policies as configured; without any one for every address, of what the templates
    /// accept.
    pub(super) fn ike_policies(&mut self) -> Vec<IkePolicy> {
        let given = &self.document.ike_policies;
        self.unique("ike_policies", given.iter().map(|p| &p.name));
        let mut named: HashMap<IpAddr, &str> = HashMap::new();
        for policy in given {
            for at in &policy.local {
                self.known_local("ike_policies.local", at);
                if let Some(first) = named.insert(at.value, &policy.name.value) {
                    let message = format!("{}: the IKE policy `{first}` comes before", at.value);
                    self.report.warn(at.place, message);
                }
            }
            policy.proposals.iter().for_each(|p| self.judge_ike(p));
        }
        if given.is_empty() {
            return vec![IkePolicy {
                name: "default".to_owned(),
                local: Vec::new(),
                proposals: self.proposals_of_templates(),
            }];
        }
        given
            .iter()
            .map(|p| IkePolicy {
                name: p.name.value.clone(),
                local: p.local.iter().map(|at| at.value).collect(),
                proposals: p.proposals.iter().map(|at| at.value.clone()).collect(),
            })
            .collect()
    }

    fn proposals_of_templates(&self) -> Vec<IkeProposal> {
        let mut all: Vec<IkeProposal> = Vec::new();
        for template in &self.document.templates {
            let named = template.ike_proposals.iter().map(|at| at.value.clone());
            let fallback = if template.ike_proposals.is_empty() {
                default_ike_proposals()
            } else {
                Vec::new()
            };
            for proposal in named.chain(fallback) {
                if !all.contains(&proposal) {
                    all.push(proposal);
                }
            }
        }
        all
    }

    /// Warns where nothing is received at an address that something is restricted to.
    pub(super) fn known_local(&mut self, field: &str, at: &At<IpAddr>) {
        let listen = &self.document.listen.addresses;
        let heard = |l: &At<IpAddr>| {
            l.value == at.value
                || (l.value.is_unspecified() && l.value.is_ipv4() == at.value.is_ipv4())
        };
        if !listen.is_empty() && !listen.iter().any(heard) {
            let message = format!("{field}: {} is not among `listen.addresses`", at.value);
            self.report.warn(at.place, message);
        }
    }
}

/// The name of a tenant's interface where none is given.
fn implied_interface(tenant: &str, id: TenantId) -> String {
    if tenant == DEFAULT_TENANT {
        return "hawser0".to_owned();
    }
    let interface = format!("hw-{tenant}");
    let plain = tenant
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if plain && interface.len() <= LONGEST_INTERFACE {
        interface
    } else {
        format!("hw-{}", id.0)
    }
}

fn is_file_name(text: &str) -> bool {
    let ordinary = |c: char| !c.is_whitespace() && !c.is_control() && c != '/';
    !text.is_empty() && text != "." && text != ".." && text.chars().all(ordinary)
}
