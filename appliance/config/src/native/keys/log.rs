//! Keys of the log.

use super::{Kind, Section, optional};

pub(super) static LOG: Section = Section {
    doc: "The log of events. A plugin of `log-format` makes its lines, where one is loaded.",
    keys: &[
        optional(
            "level",
            Kind::Choice(&["debug", "info", "warning"]),
            "as `RUST_LOG` says, else `info`",
            "Less grave events are left out; what happens all the time to a device that is well, and each Child SA, is `debug`.",
        ),
        optional(
            "rate",
            Kind::Count {
                min: 1,
                max: 1_000_000,
            },
            "10000",
            "Events a second that become lines; more are counted.",
        ),
        optional(
            "line",
            Kind::Count {
                min: 256,
                max: 65_536,
            },
            "8192",
            "Octets of a line; the rest is cut.",
        ),
        optional(
            "outputs",
            Kind::Texts(
                "an output: stdout, stderr, file:/PATH, or a syslog server udp:HOST:PORT, tcp:HOST:PORT or unix:/PATH",
            ),
            "the standard error",
            "Where every line goes; what an output does not take is dropped there and counted.",
        ),
        optional(
            "file_size",
            Kind::Count {
                min: 4096,
                max: 1 << 40,
            },
            "10485760",
            "Octets after which a `file:` becomes `PATH.1`.",
        ),
        optional(
            "file_keep",
            Kind::Count { min: 0, max: 1000 },
            "5",
            "Older files that are kept as `PATH.1`, `PATH.2` and so on.",
        ),
    ],
};
