//! The PAD: who may authenticate, and with which secret.

use super::Build;
use super::template::upkeep;
use crate::Secrets;
use crate::document::{PadSecret, SecretSource};
use crate::values::parse_secret;
use hawser_policy::{Pad, PadEntry, Revive, TemplateId, Upkeep};
use std::collections::{HashMap, HashSet};
use zeroize::Zeroizing;

impl Build<'_> {
    pub(super) fn pad(&mut self) -> Pad {
        let entries: Vec<PadEntry> = self
            .document
            .secrets
            .iter()
            .filter_map(|s| self.pad_entry(s))
            .collect();
        self.judge_pad();
        self.judge_revival(&entries);
        Pad::new(entries)
    }

    fn pad_entry(&mut self, given: &PadSecret) -> Option<PadEntry> {
        let names = self
            .document
            .templates
            .iter()
            .map(|t| t.name.value.as_str());
        let template = self.index("secrets.template", "template", &given.template, names);
        given
            .local
            .iter()
            .for_each(|at| self.known_local("secrets.local", at));
        let secret = self.secret("secrets", &given.secret);
        Some(PadEntry {
            remote: given.identity.value.clone(),
            local: given.local.iter().map(|at| at.value).collect(),
            remote_networks: given.networks.clone(),
            template: TemplateId(template?),
            secret,
        })
    }

    /// Who begins shows a proof that a short secret can be guessed from: without consent nobody with
    /// one is revived, which is said before it is missed.
    fn judge_revival(&mut self, entries: &[PadEntry]) {
        for (number, template) in self.document.templates.iter().enumerate() {
            let revived = upkeep(&template.upkeep);
            let of_it = |e: &&PadEntry| usize::from(e.template.0) == number;
            let short = |e: &PadEntry| e.secret.expose().len() < Upkeep::STRONG_SECRET;
            let silent = revived.revive == Revive::Off || revived.revive_weak_secret;
            if !silent && entries.iter().filter(of_it).any(short) {
                let message = format!(
                    "branches of the template `{}` with a secret of less than {} octets are not revived without `revive_weak_secret = true`",
                    template.name.value,
                    Upkeep::STRONG_SECRET
                );
                self.report.warn(template.name.place, message);
            }
        }
    }

    /// What can be said of the entries together.
    fn judge_pad(&mut self) {
        let mut entries: HashMap<String, usize> = HashMap::new();
        for secret in &self.document.secrets {
            let same = entries
                .entry(secret.identity.value.to_string())
                .or_default();
            *same += 1;
            if *same == Pad::MAX_CANDIDATES + 1 {
                let message = format!(
                    "more than {} secrets are for `{}`; no more are tried for one peer",
                    Pad::MAX_CANDIDATES,
                    secret.identity.value
                );
                self.report.warn(secret.identity.place, message);
            }
        }
        let used: HashSet<&str> = self
            .document
            .secrets
            .iter()
            .map(|s| s.template.value.as_str())
            .collect();
        let unused = |t: &&crate::document::Template| {
            t.initiate.is_none() && !t.name.value.is_empty() && !used.contains(&*t.name.value)
        };
        for template in self.document.templates.iter().filter(unused) {
            let message = format!(
                "no secret leads to the template `{}`: no peer uses it",
                template.name.value
            );
            self.report.warn(template.name.place, message);
        }
    }
}

/// The bytes of a secret, from wherever it is.
pub(super) fn resolve(
    source: &SecretSource,
    secrets: Secrets<'_>,
) -> Result<Zeroizing<Vec<u8>>, String> {
    let reference = match source {
        SecretSource::Inline(bytes) => return Ok(bytes.clone()),
        SecretSource::Reference(reference) => reference,
    };
    let Some(text) = secrets(reference).map(Zeroizing::new) else {
        return Err(match reference.split_once(':') {
            Some(("env", name)) => format!("there is no environment variable `{name}` to read"),
            Some((_, path)) => format!("the file `{path}` cannot be read"),
            None => format!("the secret `{reference}` cannot be had"),
        });
    };
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    parse_secret(line).map_err(|why| format!("`{reference}`: {why}"))
}
