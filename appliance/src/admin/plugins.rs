//! Plugins: list, load, roll back.

use super::Admin;
use super::answer::Refusal;
use super::api::{PluginDone, PluginReport, PluginRow, VERSION};
use axum::Json;
use axum::extract::{Query, State};
use hawser_plugin::{Hook, LoadError, PluginInfo, Plugins, Scope};
use serde::Deserialize;
use std::sync::Arc;

/// Where a plugin decides, and which.
#[derive(Debug, Deserialize)]
pub(super) struct Place {
    hook: String,
    tenant: Option<String>,
    template: Option<String>,
    /// A file or the name of one that ships.
    plugin: Option<String>,
    /// A JSON object.
    settings: Option<String>,
    /// Of a chain.
    name: Option<String>,
}

impl Place {
    fn hook(&self) -> Result<Hook, Refusal> {
        self.hook.parse().map_err(Refusal::impossible)
    }

    fn scope(&self) -> Scope {
        Scope {
            tenant: self.tenant.clone(),
            template: self.template.clone(),
        }
    }
}

/// `GET /v1/plugins`.
pub(super) async fn list(State(admin): State<Admin>) -> Json<PluginReport> {
    let plugins = admin.engine.plugins();
    let plugins = plugins.map_or_else(Vec::new, |plugins| plugins.list());
    Json(PluginReport {
        version: VERSION,
        plugins: plugins.iter().map(row).collect(),
    })
}

/// `POST /v1/plugins/load`.
pub(super) async fn load(
    State(admin): State<Admin>,
    Query(place): Query<Place>,
) -> Result<Json<PluginDone>, Refusal> {
    let (hook, scope) = (place.hook()?, place.scope());
    let plugin = place.plugin.unwrap_or_default();
    let settings = match &place.settings {
        None => serde_json::Value::Null,
        Some(text) => serde_json::from_str(text)
            .map_err(|error| Refusal::impossible(format!("the settings are not JSON: {error}")))?,
    };
    let load = move |plugins: &Plugins| {
        let source = crate::plugins::source(&plugin, settings)
            .map_err(|error| LoadError::Absent(format!("{error:#}")))?;
        plugins.load(hook, &scope, &source)
    };
    change(&admin, load).await
}

/// `POST /v1/plugins/rollback`.
pub(super) async fn rollback(
    State(admin): State<Admin>,
    Query(place): Query<Place>,
) -> Result<Json<PluginDone>, Refusal> {
    let (hook, scope) = (place.hook()?, place.scope());
    let back = move |plugins: &Plugins| plugins.rollback(hook, &scope, place.name.as_deref());
    change(&admin, back).await
}

/// Does what may take seconds on a thread of its own.
async fn change(
    admin: &Admin,
    work: impl FnOnce(&Plugins) -> Result<PluginInfo, LoadError> + Send + 'static,
) -> Result<Json<PluginDone>, Refusal> {
    let plugins: Arc<Plugins> = admin
        .engine
        .plugins()
        .ok_or_else(|| Refusal::impossible("this gateway runs without plugins".into()))?;
    let done = tokio::task::spawn_blocking(move || work(&plugins)).await;
    let info = done
        .map_err(|error| Refusal::impossible(error.to_string()))?
        .map_err(|error| Refusal::impossible(error.to_string()))?;
    Ok(Json(PluginDone {
        version: VERSION,
        plugin: format!(
            "{} {} (generation {})",
            info.name, info.version, info.generation
        ),
        place: place(&info),
    }))
}

fn place(info: &PluginInfo) -> String {
    format!("{} {}", info.hook, info.scope)
}

fn row(info: &PluginInfo) -> PluginRow {
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let owned = |counts: &std::collections::BTreeMap<&'static str, u64>| {
        let pairs = counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        pairs.collect()
    };
    PluginRow {
        hook: info.hook.to_owned(),
        place: info.scope.to_string(),
        name: info.name.clone(),
        version: info.version.clone(),
        summary: info.summary.clone(),
        generation: info.generation,
        previous: info
            .previous
            .as_ref()
            .map(|p| format!("{} {} (generation {})", p.name, p.version, p.generation)),
        disabled: info.disabled.clone(),
        package_version: info.package_version.clone(),
        sha256: info.sha256.clone(),
        calls: info.calls,
        answers: info.answers,
        outcomes: owned(&info.outcomes),
        faults: owned(&info.faults),
        busy_us: micros(info.busy),
        longest_us: micros(info.longest),
        instances: info.instances,
        memory: info.memory,
        counters: info.counters.clone(),
    }
}
