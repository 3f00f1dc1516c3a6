//! The document into the policy: defaults, references, names, and what goes together.

mod pad;
mod plugins;
mod settings;
mod template;
mod weak;

pub use plugins::PluginPlace;
pub(crate) use plugins::places;

use crate::Secrets;
use crate::document::{Document, SecretSource};
use crate::problem::{At, Problem, Report, nearest};
use hawser_policy::{Policy, Secret};
use std::collections::HashMap;

/// Makes the policy. Where the report has problems in the end, it is not to be used.
pub(crate) fn policy(document: &Document, secrets: Secrets<'_>, report: &mut Report) -> Policy {
    let mut build = Build {
        document,
        secrets,
        report,
    };
    let tenants = build.tenants();
    let templates = build.templates(&tenants);
    let ike_policies = build.ike_policies();
    let pad = build.pad();
    Policy {
        revision: 0,
        listen: build.listen(),
        shards: document.shards.as_ref().map(|at| at.value),
        admission: build.admission(),
        observability: build.observability(),
        plugins: build.plugins(),
        tenants,
        templates,
        ike_policies,
        pad,
    }
}

/// What the building of one policy shares.
struct Build<'a> {
    document: &'a Document,
    secrets: Secrets<'a>,
    report: &'a mut Report,
}

impl Build<'_> {
    /// Reports names that come twice; the empty name stands for one that is missing.
    fn unique<'n>(&mut self, field: &str, names: impl IntoIterator<Item = &'n At<String>>) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for name in names.into_iter().filter(|n| !n.value.is_empty()) {
            if let Some(line) = seen.insert(&name.value, name.place.line) {
                let message = format!("the name `{}` is taken already in line {line}", name.value);
                self.report.problem(name.place, field, message);
            }
        }
    }

    /// The index of what a name refers to, or a problem with the nearest name.
    fn index<'n>(
        &mut self,
        field: &str,
        kind: &str,
        wanted: &At<String>,
        names: impl Iterator<Item = &'n str> + Clone,
    ) -> Option<u16> {
        let found = names.clone().position(|n| n == wanted.value);
        if found.is_none() {
            let message = format!("there is no {kind} `{}`", wanted.value);
            let suggestion = nearest(&wanted.value, names).map(str::to_owned);
            self.report.add(Problem {
                suggestion,
                ..Problem::new(wanted.place, field, message)
            });
        }
        found.and_then(|index| u16::try_from(index).ok())
    }

    /// The bytes of a secret, from wherever it is.
    fn secret(&mut self, field: &str, source: &At<SecretSource>) -> Secret {
        match pad::resolve(&source.value, self.secrets) {
            Ok(bytes) => {
                self.judge_secret(source, bytes.len());
                Secret::new(bytes.to_vec())
            }
            Err(message) => {
                self.report.problem(source.place, field, message);
                Secret::new(Vec::new())
            }
        }
    }

    fn judge_secret(&mut self, source: &At<SecretSource>, octets: usize) {
        // DESIGN.md (Revive): a group PSK under about 128 bits can be searched for offline by
        // whoever is shown an AUTH made with it.
        const ENOUGH: usize = 16;
        if octets < ENOUGH {
            let message = format!(
                "the pre-shared key has {octets} octets; take at least {ENOUGH} random ones, above \
                 all where several devices share it"
            );
            self.report.warn(source.place, message);
        }
    }
}
