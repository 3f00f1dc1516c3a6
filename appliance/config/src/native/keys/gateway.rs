//! Keys of the whole gateway, of tenants and of IKE policies.

use super::log::LOG;
use super::plugins::{HOST, PLUGIN};
use super::template::{PAD_SECRET, TEMPLATE};
use super::{ADDRESSES, IKE_PROPOSALS, Kind, NAME, NETWORKS, Section, optional, required, seconds};

pub(in crate::native) static ROOT: Section = Section {
    doc: "Configuration of Hawser.",
    keys: &[
        optional(
            "shards",
            Kind::Count { min: 1, max: 255 },
            "one a core",
            "Number of pinned threads that carry packets.",
        ),
        optional("listen", Kind::Table(&LISTEN), "all defaults", LISTEN.doc),
        optional(
            "admission",
            Kind::Table(&ADMISSION),
            "all defaults",
            ADMISSION.doc,
        ),
        optional("metrics", Kind::Table(&METRICS), "off", METRICS.doc),
        optional(
            "observability",
            Kind::Table(&OBSERVABILITY),
            "all defaults",
            OBSERVABILITY.doc,
        ),
        optional("log", Kind::Table(&LOG), "all defaults", LOG.doc),
        optional(
            "tenants",
            Kind::Tables(&TENANT),
            "the tenant `default` alone",
            TENANT.doc,
        ),
        optional(
            "ike_policies",
            Kind::Tables(&IKE_POLICY),
            "one policy for every address, of the proposals of all templates",
            IKE_POLICY.doc,
        ),
        required("templates", Kind::Tables(&TEMPLATE), TEMPLATE.doc),
        optional("secrets", Kind::Tables(&PAD_SECRET), "none", PAD_SECRET.doc),
        optional("plugins", Kind::Tables(&PLUGIN), "none", PLUGIN.doc),
        optional("plugin_host", Kind::Table(&HOST), "all defaults", HOST.doc),
    ],
};

static LISTEN: Section = Section {
    doc: "Where IKE and ESP are received.",
    keys: &[
        optional(
            "addresses",
            ADDRESSES,
            "`0.0.0.0` and `::`",
            "Outer addresses; `0.0.0.0` and `::` mean every address of the family.",
        ),
        optional(
            "port",
            Kind::Count {
                min: 1,
                max: 65_535,
            },
            "500",
            "IKE port.",
        ),
        optional(
            "nat_port",
            Kind::Count {
                min: 1,
                max: 65_535,
            },
            "4500",
            "Port of IKE and ESP through NAT (RFC 3948).",
        ),
        optional(
            "native_esp",
            Kind::Flag,
            "true",
            "Take ESP that is not UDP-encapsulated too, where a raw socket may be had.",
        ),
    ],
};

static ADMISSION: Section = Section {
    doc: "Limits for what is not authenticated yet.",
    keys: &[
        optional(
            "cookie_threshold",
            Kind::Count {
                min: 0,
                max: 1_000_000,
            },
            "100",
            "Half-open SAs of a shard from which on an initiator must return a cookie; 0: always.",
        ),
        optional(
            "max_half_open",
            Kind::Count {
                min: 1,
                max: 1_000_000,
            },
            "10000",
            "Half-open SAs of a shard at most.",
        ),
        optional(
            "source_rate",
            Kind::Count {
                min: 1,
                max: 1_000_000,
            },
            "200",
            "IKE_SA_INIT requests a second from one IPv4 address or IPv6 /64.",
        ),
        optional(
            "half_open_timeout",
            seconds(1, 600),
            "30s",
            "How long an initiator may take to authenticate.",
        ),
    ],
};

static METRICS: Section = Section {
    doc: "Metrics for Prometheus.",
    keys: &[required(
        "listen",
        Kind::Text("an address and port such as 127.0.0.1:9464"),
        "Where Prometheus may ask; a loopback address is advised.",
    )],
};

static OBSERVABILITY: Section = Section {
    doc: "What is recorded of each peer, for `hawser explain`.",
    keys: &[
        optional(
            "recorder",
            Kind::Count {
                min: 1024,
                max: 65_536,
            },
            "4096",
            "Octets of memory for each peer's flight recorder.",
        ),
        optional(
            "incidents",
            Kind::Text("the path of a file"),
            "`incidents.redb` in the state directory",
            "The file that keeps what was recorded of each drop: the last 32 of a peer, for 30 days.",
        ),
        optional(
            "capture_keys",
            Kind::Flag,
            "false",
            "`hawser capture --keys` may have the keys of what it captures.",
        ),
    ],
};

static TENANT: Section = Section {
    doc: "Tenants: peers whose inner networks belong together, apart from every other tenant's.",
    keys: &[
        required(
            "name",
            NAME,
            "Name; what names no tenant belongs to `default`.",
        ),
        optional(
            "interface",
            Kind::Text("the name of an interface, at most 15 octets"),
            "`hawser0` for `default`, else `hw-` and the name",
            "Name of the TUN interface.",
        ),
        optional(
            "mtu",
            Kind::Count {
                min: 576,
                max: 9000,
            },
            "1400",
            "MTU of the TUN interface.",
        ),
        optional(
            "addresses",
            Kind::Texts("an address with its prefix length such as 10.0.0.1/24"),
            "none",
            "Addresses of the TUN interface.",
        ),
        optional(
            "namespace",
            Kind::Text("the name of a network namespace"),
            "Hawser's own",
            "Network namespace of the TUN interface, as `ip netns` names it.",
        ),
        optional(
            "protected",
            NETWORKS,
            "none",
            "Headquarters' own networks, which no tunnel may claim.",
        ),
    ],
};

static IKE_POLICY: Section = Section {
    doc: "Which proposals an IKE_SA_INIT is measured against: all that is known then is our \
          address. A policy that names the address is preferred.",
    keys: &[
        required("name", NAME, "Name."),
        optional(
            "local",
            ADDRESSES,
            "every one",
            "Our addresses that the policy is for.",
        ),
        required(
            "proposals",
            IKE_PROPOSALS,
            "Accepted proposals, the best first.",
        ),
    ],
};
