//! Plugins as Prometheus sees them: one series a plugin, hook and scope.

use hawser_plugin::{PluginInfo, Plugins};
use metrics::{Label, counter, describe_counter, describe_gauge, gauge};

/// The HELP lines.
pub(crate) fn describe() {
    let gauges = [
        (
            "hawser_plugin_generation",
            "Generation of a plugin that decides",
        ),
        (
            "hawser_plugin_disabled",
            "1: its fallback decides, after too many faults",
        ),
        (
            "hawser_plugin_memory_bytes",
            "The most memory that an instance of a plugin had",
        ),
        (
            "hawser_plugin_longest_call_seconds",
            "The longest call of a plugin",
        ),
    ];
    for (name, help) in gauges {
        describe_gauge!(name, help);
    }
    let counters = [
        (
            "hawser_plugin_calls_total",
            "Calls of a plugin; a call may be a batch",
        ),
        (
            "hawser_plugin_answers_total",
            "Decisions, verdicts or formatted events by outcome",
        ),
        (
            "hawser_plugin_faults_total",
            "Calls of a plugin that failed, by fault",
        ),
        (
            "hawser_plugin_busy_microseconds_total",
            "Time in all calls of a plugin",
        ),
        (
            "hawser_plugin_instances_total",
            "Instances made of a plugin",
        ),
        (
            "hawser_plugin_lines_dropped_total",
            "Lines of a plugin over its rate",
        ),
        ("hawser_plugin_counter_total", "What a plugin counts itself"),
    ];
    for (name, help) in counters {
        describe_counter!(name, help);
    }
}

/// Every plugin with its counters.
pub(crate) fn publish(plugins: &Plugins) {
    for info in plugins.list() {
        publish_one(&info);
    }
}

fn publish_one(info: &PluginInfo) {
    let labels = |more: Option<(&'static str, &str)>| {
        let mut labels = vec![
            Label::new("plugin", info.name.clone()),
            Label::new("hook", info.hook),
            Label::new("scope", info.scope.to_string()),
        ];
        labels.extend(more.map(|(name, value)| Label::new(name, value.to_owned())));
        labels
    };
    gauge!("hawser_plugin_generation", labels(None)).set(info.generation as f64);
    let disabled = f64::from(u8::from(info.disabled.is_some()));
    gauge!("hawser_plugin_disabled", labels(None)).set(disabled);
    gauge!("hawser_plugin_memory_bytes", labels(None)).set(info.memory as f64);
    let longest = info.longest.as_secs_f64();
    gauge!("hawser_plugin_longest_call_seconds", labels(None)).set(longest);
    counter!("hawser_plugin_calls_total", labels(None)).absolute(info.calls);
    let busy = u64::try_from(info.busy.as_micros()).unwrap_or(u64::MAX);
    counter!("hawser_plugin_busy_microseconds_total", labels(None)).absolute(busy);
    counter!("hawser_plugin_instances_total", labels(None)).absolute(info.instances);
    counter!("hawser_plugin_lines_dropped_total", labels(None)).absolute(info.lines_dropped);
    for (outcome, count) in &info.outcomes {
        counter!(
            "hawser_plugin_answers_total",
            labels(Some(("outcome", outcome)))
        )
        .absolute(*count);
    }
    for (fault, count) in &info.faults {
        counter!("hawser_plugin_faults_total", labels(Some(("fault", fault)))).absolute(*count);
    }
    for (name, count) in &info.counters {
        counter!("hawser_plugin_counter_total", labels(Some(("name", name)))).absolute(*count);
    }
}
