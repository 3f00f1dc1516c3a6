//! Every key of the native configuration: its kind, bounds, default and meaning.
//!
//! The reader takes bounds from here, refuses keys that are not here, and the JSON Schema is made of
//! it. Adding a key: a line here, a field in the document, its use in `read`, `write` and `build`.

/// A table of the configuration.
pub(super) struct Section {
    pub(super) doc: &'static str,
    pub(super) keys: &'static [Key],
}

/// A key of a table.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) need: Need,
    pub(super) doc: &'static str,
}

/// Whether a key must be there, and what holds where it is not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    /// What holds without the key, in words.
    Default(&'static str),
}

/// What the value of a key is.
pub(super) enum Kind {
    /// A string, and what is in it.
    Text(&'static str),
    /// Strings, and what is in each.
    Texts(&'static str),
    /// One of these words.
    Choice(&'static [&'static str]),
    Flag,
    Count {
        min: u64,
        max: u64,
    },
    /// `"20s"` or seconds, between these bounds in milliseconds; `off`: also `"off"`.
    Duration {
        min: u64,
        max: u64,
        off: bool,
    },
    Table(&'static Section),
    Tables(&'static Section),
}

const SECOND: u64 = 1000;
const DAY: u64 = 86_400 * SECOND;

const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        need: Need::Required,
        doc,
    }
}

const fn optional(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        need: Need::Default(default),
        doc,
    }
}

const fn seconds(min: u64, max: u64) -> Kind {
    Kind::Duration {
        min: min * SECOND,
        max: max * SECOND,
        off: false,
    }
}

const fn seconds_or_off(min: u64, max: u64) -> Kind {
    Kind::Duration {
        min: min * SECOND,
        max: max * SECOND,
        off: true,
    }
}

const NAME: Kind = Kind::Text("a name");
const ADDRESSES: Kind = Kind::Texts("an IP address");
const NETWORKS: Kind = Kind::Texts("a network such as 192.0.2.0/24");
const IKE_PROPOSALS: Kind = Kind::Texts("an IKE proposal such as aes256-sha256-modp2048");
const SELECTORS: Kind = Kind::Texts("a traffic selector such as 10.0.0.0/8 or 10.0.0.1[tcp/443]");

const SECRET: Key = optional(
    "secret",
    Kind::Text("a pre-shared key: as it is, or 0x and hexadecimal, or 0s and Base64"),
    "one of secret, secret_env and secret_file must be there",
    "The pre-shared key itself.",
);
const SECRET_ENV: Key = optional(
    "secret_env",
    Kind::Text("the name of an environment variable"),
    "one of secret, secret_env and secret_file must be there",
    "Environment variable that holds the pre-shared key.",
);
const SECRET_FILE: Key = optional(
    "secret_file",
    Kind::Text("the path of a file"),
    "one of secret, secret_env and secret_file must be there",
    "File that holds the pre-shared key; one line end behind it is dropped.",
);

pub(super) static ROOT: Section = Section {
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
    ],
};

pub(super) static LISTEN: Section = Section {
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

pub(super) static ADMISSION: Section = Section {
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

pub(super) static METRICS: Section = Section {
    doc: "Metrics for Prometheus.",
    keys: &[required(
        "listen",
        Kind::Text("an address and port such as 127.0.0.1:9464"),
        "Where Prometheus may ask; a loopback address is advised.",
    )],
};

pub(super) static TENANT: Section = Section {
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

pub(super) static IKE_POLICY: Section = Section {
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

pub(super) static TEMPLATE: Section = Section {
    doc: "What the peers of one kind share.",
    keys: &[
        required("name", NAME, "Name."),
        optional(
            "tenant",
            Kind::Text("the name of a tenant"),
            "`default`",
            "Tenant of its tunnels.",
        ),
        optional(
            "local_identity",
            Kind::Text("an identity: an address, a name, user@domain or @#hexadecimal"),
            "our outer address",
            "The identity we show.",
        ),
        optional(
            "ike_proposals",
            IKE_PROPOSALS,
            "what the IKE policy of the address accepts",
            "Proposals acceptable for this template, the best first.",
        ),
        optional(
            "ike_lifetime",
            seconds_or_off(120, 30 * 86_400),
            "24h",
            "How long an IKE SA may live.",
        ),
        optional(
            "ike_rekey_margin",
            seconds(0, 86_400),
            "a tenth of the lifetime, at most 9m",
            "How much earlier than `ike_lifetime` our own rekey may begin.",
        ),
        optional("dpd", Kind::Table(&DPD), "off", DPD.doc),
        optional(
            "nat_keepalive",
            seconds_or_off(5, 3600),
            "20s",
            "Interval of NAT keepalives where we are behind a NAT.",
        ),
        optional(
            "retransmission",
            Kind::Table(&RETRANSMISSION),
            "all defaults",
            RETRANSMISSION.doc,
        ),
        optional(
            "allow_any_route",
            Kind::Flag,
            "false",
            "Consent to a default route, or one over outer endpoints or headquarters' networks.",
        ),
        optional(
            "fragment_size",
            Kind::Count {
                min: 576,
                max: 1280,
            },
            "1280",
            "Our IKE messages are fragmented (RFC 7383) above this size of the IP packet.",
        ),
        required("children", Kind::Tables(&CHILD), CHILD.doc),
        optional(
            "initiate",
            Kind::Table(&INITIATE),
            "wait for the peer",
            INITIATE.doc,
        ),
    ],
};

pub(super) static DPD: Section = Section {
    doc: "Dead peer detection.",
    keys: &[
        required(
            "mode",
            Kind::Choice(&["on-demand", "periodic"]),
            "`on-demand`: only before an ESP packet is sent and nothing came for the interval.",
        ),
        required(
            "interval",
            seconds(10, 3600),
            "Interval; it must exceed `retry`.",
        ),
        optional(
            "retry",
            seconds(2, 60),
            "5s",
            "Interval of the retransmissions of a probe.",
        ),
        optional(
            "retries",
            Kind::Count { min: 1, max: 10 },
            "2",
            "Retransmissions before the peer is given up.",
        ),
    ],
};

pub(super) static RETRANSMISSION: Section = Section {
    doc: "Retransmission of requests other than DPD probes: exponential, with jitter.",
    keys: &[
        optional(
            "initial",
            Kind::Duration {
                min: 100,
                max: 60 * SECOND,
                off: false,
            },
            "1s",
            "First interval.",
        ),
        optional(
            "backoff_percent",
            Kind::Count { min: 100, max: 300 },
            "180",
            "Each interval is the one before times this.",
        ),
        optional(
            "max",
            Kind::Duration {
                min: 100,
                max: 600 * SECOND,
                off: false,
            },
            "30s",
            "No interval is longer.",
        ),
        optional(
            "tries",
            Kind::Count { min: 1, max: 20 },
            "6",
            "Retransmissions before the peer is given up.",
        ),
    ],
};

pub(super) static CHILD: Section = Section {
    doc: "The Child SAs that a peer may have. The first that fits serves a request.",
    keys: &[
        required("name", NAME, "Name."),
        required(
            "proposals",
            Kind::Texts("an ESP proposal such as aes256gcm16-esn"),
            "Accepted proposals, the best first; a key exchange in one asks for PFS.",
        ),
        optional(
            "local",
            SELECTORS,
            "`0.0.0.0/0` and `::/0`",
            "Selectors of our side; what a peer asks for is narrowed to these.",
        ),
        optional(
            "remote",
            SELECTORS,
            "`0.0.0.0/0` and `::/0`",
            "Selectors of the peer's side; what a peer asks for is narrowed to these.",
        ),
        optional(
            "lifetime",
            Kind::Duration {
                min: 120 * SECOND,
                max: 30 * DAY,
                off: true,
            },
            "1h",
            "How long a Child SA may live.",
        ),
        optional(
            "lifetime_bytes",
            Kind::Count {
                min: 1 << 20,
                max: 1 << 50,
            },
            "no limit",
            "How many bytes a Child SA may carry in either direction.",
        ),
        optional(
            "rekey_margin",
            seconds(0, 86_400),
            "a tenth of the lifetime, at most 9m",
            "How much earlier than `lifetime` our own rekey may begin.",
        ),
        optional(
            "replay_window",
            Kind::Count {
                min: 0,
                max: 65_536,
            },
            "4096",
            "Anti-replay window in packets: 64 to 65536, or 0 for none.",
        ),
    ],
};

pub(super) static INITIATE: Section = Section {
    doc: "That we begin the IKE SA.",
    keys: &[
        required(
            "remote",
            Kind::Text("an address such as 198.51.100.1 or 198.51.100.1:500"),
            "The peer's address; the port is 500 where none is given.",
        ),
        required(
            "identity",
            Kind::Text("an identity"),
            "The identity that the peer must prove.",
        ),
        SECRET,
        SECRET_ENV,
        SECRET_FILE,
    ],
};

pub(super) static PAD_SECRET: Section = Section {
    doc: "Who may authenticate, with which pre-shared key, and by which template.",
    keys: &[
        required(
            "identity",
            Kind::Text("an identity, *.suffix, *@domain, a network or any"),
            "Identities that the entry is for.",
        ),
        required(
            "template",
            Kind::Text("the name of a template"),
            "Where it leads to.",
        ),
        optional(
            "local",
            ADDRESSES,
            "every one",
            "Our addresses that the entry is for.",
        ),
        optional(
            "networks",
            NETWORKS,
            "every one",
            "The peer's outer addresses that it is for.",
        ),
        SECRET,
        SECRET_ENV,
        SECRET_FILE,
    ],
};
