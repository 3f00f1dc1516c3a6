//! Keys of plugins and of their host.

use super::{Kind, Section, optional, required};

pub(super) static PLUGIN: Section = Section {
    doc: "A plugin: loaded, swapped and unloaded while tunnels run. Of `peer-authorization` several may decide in one place, in order.",
    keys: &[
        required(
            "hook",
            Kind::Choice(&["dpd-policy", "peer-authorization", "log-format"]),
            "What it is asked about.",
        ),
        required(
            "plugin",
            Kind::Text("the name of a plugin that ships, or the path of a component"),
            "The plugin: the name of one that ships, or the path of a component, which counts from the configuration.",
        ),
        optional(
            "tenant",
            Kind::Text("the name of a tenant"),
            "every one",
            "Tenant that it decides for.",
        ),
        optional(
            "template",
            Kind::Text("the name of a template"),
            "every one",
            "Template that it decides for; a plugin of a template comes before one of a tenant, that before one of neither.",
        ),
        optional(
            "settings",
            Kind::Free,
            "none",
            "Its own settings; the plugin says which there are.",
        ),
    ],
};

pub(super) static HOST: Section = Section {
    doc: "What plugins may use, and where they come from.",
    keys: &[
        optional(
            "deadline",
            Kind::Duration {
                min: 1,
                max: 1000,
                off: false,
            },
            "5ms",
            "Processor time of a call.",
        ),
        optional(
            "memory",
            Kind::Count {
                min: 1 << 20,
                max: 1 << 30,
            },
            "16777216",
            "Octets of memory of an instance.",
        ),
        optional(
            "keys",
            Kind::Texts("an ed25519 public key of 64 hexadecimal digits"),
            "unsigned plugins are taken",
            "Keys of those whose plugins are taken; what none of them has signed is refused.",
        ),
        optional(
            "granted",
            Kind::Texts("the beginning of an import's name such as wasi:cli/"),
            "none",
            "Imports that plugins may have beside those of Hawser; they trap when they are called.",
        ),
        optional(
            "watch",
            Kind::Text("the path of a directory"),
            "none",
            "Directory whose plugins are loaded when they appear or change: HOOK/NAME.wasm with its settings in HOOK/NAME.json, for a tenant or a template HOOK/tenant=NAME/ or HOOK/template=NAME/.",
        ),
        optional(
            "cache",
            Kind::Text("the path of a directory"),
            "`/var/cache/hawser/plugins`",
            "Directory in which compiled plugins are kept; only this gateway may write there.",
        ),
    ],
};
