//! Plugins, and the lines that what is wrong with one is told at.

use super::Build;
use crate::document;
use crate::problem::{At, Place, Problem};
use hawser_policy::{PluginEntry, PluginHook, PluginHost, PluginPolicy};
use std::collections::{BTreeMap, HashMap};

/// Where a plugin stands in a configuration.
#[derive(Clone, Debug)]
pub struct PluginPlace {
    plugin: Place,
    settings: BTreeMap<String, Place>,
}

impl PluginPlace {
    /// A problem of the plugin itself.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.plugin, "plugins.plugin", message)
    }

    /// A problem of the setting at this JSON pointer, told at it or at the nearest that is there around it. Where its name
    /// is the problem the nearest of those that are `known` is suggested.
    pub fn settings_problem(
        &self,
        pointer: &str,
        message: impl Into<String>,
        known: &[String],
    ) -> Problem {
        let mut around = std::iter::successors(Some(pointer), |at| {
            at.rsplit_once('/').map(|(outer, _)| outer)
        });
        let place = around.find_map(|at| self.settings.get(at));
        let plain = |step: &str| step.replace("~1", "/").replace("~0", "~");
        let name = plain(pointer.rsplit('/').next().unwrap_or_default());
        let steps = plain(&pointer.replace('/', "."));
        let field = format!("plugins.settings{steps}");
        Problem::new(*place.unwrap_or(&self.plugin), field, message)
            .suggest(&name, known.iter().map(String::as_str))
    }
}

pub(crate) fn places(document: &document::Document) -> Vec<PluginPlace> {
    let place = |given: &document::Plugin| PluginPlace {
        plugin: given.plugin.place,
        settings: given.settings.clone().unwrap_or_default().places,
    };
    document.plugins.iter().map(place).collect()
}

impl Build<'_> {
    pub(super) fn plugins(&mut self) -> PluginPolicy {
        let document = self.document;
        let mut taken = HashMap::new();
        for given in &document.plugins {
            self.known(given);
            let tenant = given.tenant.as_ref().map(|at| &at.value);
            let template = given.template.as_ref().map(|at| &at.value);
            let chained = given.hook == PluginHook::PeerAuthorization;
            let which = chained.then_some(&given.plugin.value);
            let line = given.place.line;
            if let Some(first) = taken.insert((given.hook, tenant, template, which), line) {
                let message = format!("another one decides there already, of line {first}");
                self.report.problem(given.place, "plugins", message);
            }
        }
        PluginPolicy {
            host: self.plugin_host(),
            entries: document.plugins.iter().map(entry).collect(),
        }
    }

    /// The tenant and the template must be there, and for a log there are none.
    fn known(&mut self, given: &document::Plugin) {
        let document = self.document;
        if given.hook == PluginHook::LogFormat {
            let message = "one plugin formats the whole log: it has no tenant and no template";
            for at in given.tenant.iter().chain(&given.template) {
                self.report.problem(at.place, "plugins", message);
            }
            return;
        }
        if let Some(at) = &given.tenant {
            let declared = document.tenants.iter().map(|t| t.name.value.as_str());
            let all = declared.chain([super::settings::DEFAULT_TENANT]);
            self.index("plugins.tenant", "tenant", at, all);
        }
        if let Some(at) = &given.template {
            let all = document.templates.iter().map(|t| t.name.value.as_str());
            self.index("plugins.template", "template", at, all);
        }
    }

    fn plugin_host(&self) -> PluginHost {
        let (given, default) = (&self.document.plugin_host, PluginHost::default());
        PluginHost {
            deadline: given.deadline.unwrap_or(default.deadline),
            memory: given
                .memory
                .map_or(default.memory, |octets| octets as usize),
            keys: given.keys.clone(),
            granted: given.granted.clone(),
            watch: given.watch.clone(),
            cache: given.cache.clone(),
        }
    }
}

fn entry(given: &document::Plugin) -> PluginEntry {
    let name = |at: &Option<At<String>>| at.as_ref().map(|at| at.value.clone());
    let settings = given.settings.clone().unwrap_or_default().value;
    PluginEntry {
        hook: given.hook,
        plugin: given.plugin.value.clone(),
        tenant: name(&given.tenant),
        template: name(&given.template),
        settings: serde_json::Value::Object(settings).to_string(),
    }
}
