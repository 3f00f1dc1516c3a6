//! The document as TOML, for what is imported.

use crate::document::{
    Admission, Child, Document, Dpd, IkePolicy, Initiate, Lifetimes, Limit, Listen, Log,
    Observability, PadSecret, Plugin, PluginHost, Retransmission, SecretSource, Template, Tenant,
    Upkeep,
};
use crate::problem::{At, Note, NoteKind};
use crate::values::{duration_text, identity_text, pattern_text, secret_text};
use hawser_policy::{DpdMode, LogLevel, PluginHook, Revive, Uniqueness};
use std::fmt::Display;
use std::time::Duration;
use toml::Value;

/// Writes a document that a reader made; what is default is left out, warnings become comments.
pub(crate) fn write(document: &Document, notes: &[Note]) -> String {
    let mut out = Toml::default();
    out.comment("Imported from Comware text by `hawser config import comware`.");
    for note in notes.iter().filter(|n| n.kind == NoteKind::Warning) {
        match note.line {
            Some(line) => out.comment(&format!("Line {line}: {note}")),
            None => out.comment(&note.to_string()),
        }
    }
    out.entry("shards", document.shards.as_ref().map(|at| at.value));
    out.table("[listen]", |out| listen(out, &document.listen));
    out.table("[admission]", |out| admission(out, &document.admission));
    if let Some(metrics) = &document.metrics {
        out.header("[metrics]");
        out.text("listen", &metrics.value);
    }
    out.table("[observability]", |out| {
        observability(out, &document.observability);
    });
    out.table("[log]", |out| log(out, &document.log));
    document.tenants.iter().for_each(|t| tenant(&mut out, t));
    document
        .ike_policies
        .iter()
        .for_each(|p| ike_policy(&mut out, p));
    document
        .templates
        .iter()
        .for_each(|t| template(&mut out, t));
    document
        .secrets
        .iter()
        .for_each(|s| pad_secret(&mut out, s));
    document.plugins.iter().for_each(|p| plugin(&mut out, p));
    out.table("[plugin_host]", |out| {
        plugin_host(out, &document.plugin_host);
    });
    out.text
}

/// Lines of TOML.
#[derive(Default)]
struct Toml {
    text: String,
}

impl Toml {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn comment(&mut self, text: &str) {
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        self.line(&format!("# {text}"));
    }

    fn header(&mut self, header: &str) {
        self.line("");
        self.line(header);
    }

    /// A table that is left out where nothing is in it.
    fn table(&mut self, header: &str, write: impl FnOnce(&mut Self)) {
        let mut inside = Self::default();
        write(&mut inside);
        if !inside.text.is_empty() {
            self.header(header);
            self.text.push_str(&inside.text);
        }
    }

    fn entry(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.line(&format!("{key} = {value}"));
        }
    }

    fn text(&mut self, key: &str, value: &impl Display) {
        self.entry(key, Some(quoted(value)));
    }

    fn texts<T: Display>(&mut self, key: &str, values: impl IntoIterator<Item = T>) {
        let all: Vec<String> = values.into_iter().map(|v| quoted(&v)).collect();
        if !all.is_empty() {
            self.line(&format!("{key} = [{}]", all.join(", ")));
        }
    }

    fn duration(&mut self, key: &str, duration: Option<Duration>) {
        self.entry(key, duration.map(|d| quoted(&duration_text(d))));
    }

    fn limit(&mut self, key: &str, limit: Option<Limit>) {
        let text = limit.map(|l| l.map_or_else(|| "off".to_owned(), duration_text));
        self.entry(key, text.map(|t| quoted(&t)));
    }

    fn secret(&mut self, secret: &SecretSource) {
        match secret {
            SecretSource::Inline(bytes) => self.text("secret", &secret_text(bytes).as_str()),
            SecretSource::Reference(to) => match to.split_once(':') {
                Some(("env", name)) => self.text("secret_env", &name),
                Some((_, path)) => self.text("secret_file", &path),
                None => {}
            },
        }
    }
}

fn quoted(value: &impl Display) -> String {
    Value::String(value.to_string()).to_string()
}

fn values<T>(list: &[At<T>]) -> impl Iterator<Item = &T> {
    list.iter().map(|at| &at.value)
}

fn observability(out: &mut Toml, given: &Observability) {
    let recorder = given.recorder.as_ref();
    out.entry("recorder", recorder.map(|at| at.value));
    if let Some(file) = &given.incidents {
        out.text("incidents", &file.display());
    }
    out.entry("capture_keys", given.capture_keys);
}

fn listen(out: &mut Toml, listen: &Listen) {
    out.texts("addresses", values(&listen.addresses));
    out.entry("port", listen.port.as_ref().map(|at| at.value));
    out.entry("nat_port", listen.nat_port.as_ref().map(|at| at.value));
    out.entry("native_esp", listen.native_esp);
}

fn admission(out: &mut Toml, admission: &Admission) {
    out.entry("cookie_threshold", admission.cookie_threshold);
    out.entry("max_half_open", admission.max_half_open);
    out.entry("source_rate", admission.source_rate);
    out.duration("half_open_timeout", admission.half_open_timeout);
}

fn log(out: &mut Toml, log: &Log) {
    let level = |level| match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warning => "warning",
    };
    out.entry("level", log.level.map(|l| quoted(&level(l))));
    out.entry("rate", log.rate);
    out.entry("line", log.line);
    if let Some(outputs) = &log.outputs {
        let all: Vec<_> = values(outputs).map(quoted).collect();
        out.line(&format!("outputs = [{}]", all.join(", ")));
    }
    out.entry("file_size", log.file_size);
    out.entry("file_keep", log.file_keep);
}

fn tenant(out: &mut Toml, tenant: &Tenant) {
    out.header("[[tenants]]");
    out.text("name", &tenant.name.value);
    out.entry(
        "interface",
        tenant.interface.as_ref().map(|at| quoted(&at.value)),
    );
    out.entry("mtu", tenant.mtu);
    out.texts("addresses", &tenant.addresses);
    out.entry(
        "namespace",
        tenant.namespace.as_ref().map(|at| quoted(&at.value)),
    );
    out.texts("protected", &tenant.protected);
}

fn ike_policy(out: &mut Toml, policy: &IkePolicy) {
    out.header("[[ike_policies]]");
    out.text("name", &policy.name.value);
    out.texts("local", values(&policy.local));
    out.texts("proposals", values(&policy.proposals));
}

fn template(out: &mut Toml, template: &Template) {
    out.header("[[templates]]");
    out.text("name", &template.name.value);
    out.entry(
        "tenant",
        template.tenant.as_ref().map(|at| quoted(&at.value)),
    );
    let identity = template
        .local_identity
        .as_ref()
        .and_then(|at| identity_text(&at.value));
    out.entry("local_identity", identity.map(|text| quoted(&text)));
    out.texts("ike_proposals", values(&template.ike_proposals));
    lifetimes(
        out,
        &template.ike_lifetimes,
        ["ike_lifetime", "", "ike_rekey_margin"],
    );
    out.limit("nat_keepalive", template.nat_keepalive);
    upkeep(out, &template.upkeep);
    out.entry("allow_any_route", template.allow_any_route);
    out.entry("fragment_size", template.fragment_size);
    if let Some(settings) = &template.dpd {
        dpd(out, settings);
    }
    out.table("[templates.retransmission]", |out| {
        retransmission(out, &template.retransmission);
    });
    if let Some(settings) = &template.initiate {
        initiate(out, settings);
    }
    template.children.iter().for_each(|c| child(out, c));
}

fn upkeep(out: &mut Toml, upkeep: &Upkeep) {
    let revive = |revive| match revive {
        Revive::Off => "off",
        Revive::On => "on",
    };
    let uniqueness = |uniqueness| match uniqueness {
        Uniqueness::Device => "device",
        Uniqueness::Replace => "replace",
        Uniqueness::Keep => "keep",
        Uniqueness::Never => "never",
    };
    out.entry("revive", upkeep.revive.map(|r| quoted(&revive(r))));
    out.entry("revive_weak_secret", upkeep.revive_weak_secret);
    out.limit("audit", upkeep.audit);
    let chosen = upkeep.uniqueness.map(|u| quoted(&uniqueness(u)));
    out.entry("uniqueness", chosen);
    out.entry("admit_undecided", upkeep.admit_undecided);
}

fn lifetimes(out: &mut Toml, lifetimes: &Lifetimes, [time, bytes, margin]: [&str; 3]) {
    out.limit(time, lifetimes.time);
    out.entry(bytes, lifetimes.bytes);
    out.duration(margin, lifetimes.margin.as_ref().map(|at| at.value));
}

fn dpd(out: &mut Toml, dpd: &Dpd) {
    out.header("[templates.dpd]");
    let mode = match dpd.mode {
        DpdMode::OnDemand => "on-demand",
        DpdMode::Periodic => "periodic",
    };
    out.text("mode", &mode);
    out.duration("interval", Some(dpd.interval));
    out.duration("retry", dpd.retry);
    out.entry("retries", dpd.retries);
}

fn retransmission(out: &mut Toml, settings: &Retransmission) {
    out.duration("initial", settings.initial);
    out.entry("backoff_percent", settings.backoff_percent);
    out.duration("max", settings.max);
    out.entry("tries", settings.tries);
}

fn initiate(out: &mut Toml, initiate: &Initiate) {
    out.header("[templates.initiate]");
    out.text("remote", &initiate.remote.value);
    out.entry(
        "identity",
        identity_text(&initiate.identity.value).map(|text| quoted(&text)),
    );
    out.secret(&initiate.secret.value);
}

fn child(out: &mut Toml, child: &Child) {
    out.header("[[templates.children]]");
    out.text("name", &child.name.value);
    out.texts("proposals", values(&child.proposals));
    out.texts("local", values(&child.local));
    out.texts("remote", values(&child.remote));
    lifetimes(
        out,
        &child.lifetimes,
        ["lifetime", "lifetime_bytes", "rekey_margin"],
    );
    out.entry(
        "replay_window",
        child.replay_window.as_ref().map(|at| at.value),
    );
}

fn pad_secret(out: &mut Toml, secret: &PadSecret) {
    out.header("[[secrets]]");
    out.entry(
        "identity",
        pattern_text(&secret.identity.value).map(|text| quoted(&text)),
    );
    out.text("template", &secret.template.value);
    out.texts("local", values(&secret.local));
    out.texts("networks", &secret.networks);
    out.secret(&secret.secret.value);
}

fn plugin(out: &mut Toml, plugin: &Plugin) {
    out.header("[[plugins]]");
    let hook = match plugin.hook {
        PluginHook::DpdPolicy => "dpd-policy",
        PluginHook::PeerAuthorization => "peer-authorization",
        PluginHook::LogFormat => "log-format",
    };
    out.text("hook", &hook);
    out.text("plugin", &plugin.plugin.value);
    let names = [("tenant", &plugin.tenant), ("template", &plugin.template)];
    for (key, name) in names {
        out.entry(key, name.as_ref().map(|at| quoted(&at.value)));
    }
    let settings = plugin.settings.as_ref();
    out.entry(
        "settings",
        settings.and_then(|s| Value::try_from(&s.value).ok()),
    );
}

fn plugin_host(out: &mut Toml, host: &PluginHost) {
    out.duration("deadline", host.deadline);
    out.entry("memory", host.memory);
    out.texts("keys", host.keys.iter().map(hex::encode));
    out.texts("granted", &host.granted);
    for (key, path) in [("watch", &host.watch), ("cache", &host.cache)] {
        out.entry(key, path.as_ref().map(|path| quoted(&path.display())));
    }
}
