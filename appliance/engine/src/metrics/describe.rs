//! The HELP line of every metric. A new metric has one here.

use metrics::{describe_counter, describe_gauge};

pub(super) fn all() {
    for (name, help) in GAUGES {
        describe_gauge!(*name, *help);
    }
    for (name, help) in COUNTERS {
        describe_counter!(*name, *help);
    }
}

const GAUGES: &[(&str, &str)] = &[
    (
        "hawser_build_info",
        "Always 1; the label says which version runs",
    ),
    (
        "hawser_config_revision",
        "Revision of the configuration in force, counted from 1 in this run",
    ),
    ("hawser_peers", "Peers by tenant, template and status"),
    (
        "hawser_half_open_sas",
        "IKE SAs that are not authenticated yet",
    ),
    ("hawser_ike_sas", "Established IKE SAs"),
    ("hawser_child_sas", "Pairs of Child SAs"),
    ("hawser_routes", "Routes to branches' networks"),
    (
        "hawser_shard_loop_lag_seconds",
        "Longest time in the last second that something ready waited for the shard's loop",
    ),
    (
        "hawser_shard_key_exchange_backlog",
        "Key exchanges of a shard that wait for the workers' queue",
    ),
];

const COUNTERS: &[(&str, &str)] = &[
    (
        "hawser_handshakes_total",
        "Handshakes that ended in an IKE SA",
    ),
    (
        "hawser_handshake_failures_total",
        "Handshakes and Child SAs that failed, by reason",
    ),
    (
        "hawser_tunnel_down_total",
        "Devices that went down, by reason",
    ),
    (
        "hawser_drops_total",
        "Devices that went down, by verdict, some seconds later",
    ),
    (
        "hawser_incidents_lost_total",
        "Drops that came too fast to be kept",
    ),
    (
        "hawser_ike_messages_total",
        "IKE datagrams received and sent",
    ),
    (
        "hawser_ike_message_errors_total",
        "IKE datagrams not processed, by reason",
    ),
    ("hawser_ike_retransmits_total", "IKE requests retransmitted"),
    ("hawser_cookies_total", "Cookies demanded"),
    ("hawser_rekeys_total", "SAs rekeyed, by kind"),
    ("hawser_dpd_probes_sent_total", "Liveness probes sent"),
    (
        "hawser_dpd_probes_answered_total",
        "Liveness probes answered",
    ),
    ("hawser_dpd_probes_failed_total", "Liveness probes given up"),
    (
        "hawser_endpoint_changes_total",
        "Peers whose outer endpoint moved (NAT rebind)",
    ),
    (
        "hawser_plugin_undecided_total",
        "Questions to plugins that the fallback of their hook decided",
    ),
    (
        "hawser_plugin_overtaken_total",
        "Devices that a DPD plugin gave up and a sign of life saved meanwhile",
    ),
    (
        "hawser_weak_suites_total",
        "SAs negotiated with a weak algorithm because the configuration names it",
    ),
    ("hawser_esp_packets_total", "ESP packets accepted and sent"),
    (
        "hawser_esp_bytes_total",
        "Bytes of ESP packets accepted and sent",
    ),
    ("hawser_esp_drops_total", "Packets dropped, by reason"),
    (
        "hawser_route_failures_total",
        "Route changes that the kernel refused for good",
    ),
    (
        "hawser_shard_loop_rounds_total",
        "Rounds of the shard's loop",
    ),
    (
        "hawser_shard_handed_off_packets_total",
        "Packets handed to the shard that owns their SA",
    ),
    (
        "hawser_shard_send_errors_total",
        "Datagrams that could not be sent for another reason than a full buffer",
    ),
    (
        "hawser_shard_unanswerable_datagrams_total",
        "Datagrams from UDP port 0, which nobody can answer",
    ),
    (
        "hawser_shard_key_exchanges_refused_total",
        "Key exchanges not done because too many waited already",
    ),
];
