//! Keys of templates and of what leads to them.

use super::{
    ADDRESSES, IKE_PROPOSALS, Key, Kind, NAME, NETWORKS, SECOND, Section, optional, required,
    seconds, seconds_or_off,
};

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
            "revive",
            Kind::Choice(&["off", "on"]),
            "`on`",
            "Begin a handshake towards a branch that is gone, through the NAT mapping that it was last seen behind.",
        ),
        optional(
            "revive_weak_secret",
            Kind::Flag,
            "false",
            "Consent to revive with a pre-shared key of less than 16 octets, which could be guessed from what whoever begins shows first.",
        ),
        optional(
            "audit",
            seconds_or_off(60, 86_400),
            "10m",
            "How often an IKE SA that nothing came on is tested; a failure is shown and ends nothing.",
        ),
        optional(
            "uniqueness",
            Kind::Choice(&["device", "replace", "keep", "never"]),
            "`device`",
            "What a new IKE SA does to earlier ones of the same identity: `device`: an identity may be many devices, and only the same device is replaced; `replace`: whatever the identity held goes; `keep`: while the identity lives elsewhere another is refused; `never`: nothing is replaced.",
        ),
        optional(
            "admit_undecided",
            Kind::Flag,
            "false",
            "While an authorization plugin fails to decide, new peers are let in as they ask, instead of refused; an event names each.",
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

static DPD: Section = Section {
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

static RETRANSMISSION: Section = Section {
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

static CHILD: Section = Section {
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
            seconds_or_off(120, 30 * 86_400),
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

static INITIATE: Section = Section {
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
