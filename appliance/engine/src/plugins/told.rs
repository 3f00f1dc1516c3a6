//! What happens to plugins, as events of the gateway.

use crate::events::EventBus;
use hawser_flight::Event;
use hawser_plugin::{Hook, LogLevel, Origin, PluginEvent, Scope};
use hawser_shard::io::ShardId;

/// A line of a plugin goes to the log, everything else is an event.
pub(super) fn tell(events: &EventBus, event: PluginEvent) {
    let event = match event {
        PluginEvent::Loaded {
            hook,
            scope,
            origin,
            previous,
        } => {
            let before = previous.map(|previous| format!("in place of {previous}"));
            changed(
                "loaded",
                hook,
                &scope,
                Some(&origin),
                before.unwrap_or_default(),
            )
        }
        PluginEvent::RolledBack {
            hook,
            scope,
            origin,
        } => changed("rolled_back", hook, &scope, Some(&origin), String::new()),
        PluginEvent::Unloaded {
            hook,
            scope,
            origin,
        } => changed("unloaded", hook, &scope, Some(&origin), String::new()),
        PluginEvent::LoadFailed {
            hook,
            scope,
            reason,
        } => changed("load_failed", hook, &scope, None, reason),
        PluginEvent::Fault {
            hook,
            scope,
            origin,
            fault,
        } => changed("fault", hook, &scope, Some(&origin), fault.to_string()),
        PluginEvent::Disabled {
            hook,
            scope,
            origin,
            fault,
        } => changed("disabled", hook, &scope, Some(&origin), fault.to_string()),
        PluginEvent::Log {
            origin,
            level,
            message,
            ..
        } => return say(&origin, level, &message),
    };
    events.publish(ShardId(0), None, event);
}

fn changed(
    change: &'static str,
    hook: Hook,
    scope: &Scope,
    origin: Option<&Origin>,
    detail: String,
) -> Event {
    Event::PluginChanged {
        change,
        hook: hook.as_str(),
        scope: scope.to_string(),
        plugin: origin.map_or_else(|| "none".to_owned(), Origin::to_string),
        detail,
    }
}

fn say(origin: &Origin, level: LogLevel, message: &str) {
    match level {
        LogLevel::Debug => tracing::debug!("{origin}: {message}"),
        LogLevel::Info => tracing::info!("{origin}: {message}"),
        LogLevel::Warn => tracing::warn!("{origin}: {message}"),
        LogLevel::Error => tracing::error!("{origin}: {message}"),
    }
}
