//! No text makes the readers panic, and what they accept survives the import.

use crate::common::{HQ, picture, policy, toml};
use hawser_config::{Format, default_toml, import_comware, load};
use proptest::prelude::*;

/// Words of Comware commands, and some that are wrong.
const WORDS: &[&str] = &[
    "ikev2",
    "ipsec",
    "ike",
    "keychain",
    "peer",
    "profile",
    "proposal",
    "policy",
    "policy-template",
    "transform-set",
    "interface",
    "acl",
    "advanced",
    "rule",
    "permit",
    "deny",
    "ip",
    "tcp",
    "source",
    "destination",
    "any",
    "0",
    "1",
    "2",
    "20",
    "GE0/1",
    "192.0.2.1",
    "255.255.255.0",
    "0.0.0.255",
    "X.X.X.X",
    "2001:db8::1",
    "ipv6",
    "address",
    "identity",
    "fqdn",
    "email",
    "key-id",
    "test",
    "a@b",
    "*.x",
    "match",
    "remote",
    "local",
    "certificate",
    "vrf",
    "name",
    "inside-vrf",
    "dpd",
    "interval",
    "retry",
    "on-demand",
    "periodic",
    "sa",
    "duration",
    "time-based",
    "traffic-based",
    "nat-keepalive",
    "cookie-challenge",
    "limit",
    "encryption",
    "integrity",
    "prf",
    "dh",
    "aes-cbc-128",
    "aes-gcm-256",
    "sha1",
    "group2",
    "esp",
    "encryption-algorithm",
    "authentication-algorithm",
    "pfs",
    "dh-group14",
    "esn",
    "enable",
    "both",
    "isakmp",
    "template",
    "security",
    "aggregation",
    "apply",
    "undo",
    "anti-replay",
    "check",
    "window",
    "vpn-instance",
    "authentication-method",
    "pre-share",
    "pre-shared-key",
    "plaintext",
    "ciphertext",
    "#",
    "quit",
    "return",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "[Sysname]",
    "<Sysname>",
    "\u{0}",
    "ü",
    "range",
    "eq",
    "source-port",
    "description",
    "priority",
    "ikev2-profile",
    "remote-address",
    "local-address",
];

fn both(text: &str) {
    for format in [Format::Comware, Format::Toml] {
        match load(text, format, &|r| Some(r.to_owned())) {
            Ok(loaded) => loaded.notes.iter().for_each(|n| drop(n.to_string())),
            Err(problems) => {
                assert!(!problems.is_empty(), "an error says why");
                let lines = text.lines().count() + 1;
                assert!(
                    problems
                        .iter()
                        .all(|p| p.line.is_none_or(|l| (1..=lines).contains(&l)))
                );
                let ordered = |p: &hawser_config::Problem| p.line.unwrap_or(usize::MAX);
                assert!(problems.is_sorted_by_key(ordered));
            }
        }
    }
    if let Ok(native) = import_comware(text) {
        let loaded = load(text, Format::Comware, &|_| None);
        assert_eq!(
            picture(&policy(toml(&native))),
            picture(&policy(loaded)),
            "{native}"
        );
    }
    let _ = Format::detect(text, text);
}

/// `text` with some of its lines gone, doubled, swapped or changed in one place.
fn mutated(text: &'static str) -> impl Strategy<Value = String> {
    let change = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        0..6u8,
    );
    prop::collection::vec(change, 1..4).prop_map(move |changes| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (at, other, kind) in changes {
            let (at, other) = (at.index(lines.len()), other.index(lines.len()));
            match kind {
                0 => lines[at].clear(),
                1 => lines[at] = lines[other].clone(),
                2 => lines.swap(at, other),
                3 => {
                    let words: Vec<String> = lines[at].split(' ').map(str::to_owned).collect();
                    lines[at] = words[..words.len() - 1].join(" ");
                }
                4 => lines[at].push_str(" x"),
                _ => {
                    let more = WORDS[other % WORDS.len()];
                    lines[at] = lines[at].replacen(' ', &format!(" {more} "), 1);
                }
            }
        }
        lines.join("\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_text(text in any::<String>()) {
        both(&text);
    }

    #[test]
    fn words_of_commands(words in prop::collection::vec(prop::sample::select(WORDS), 0..60)) {
        both(&words.join(" "));
    }

    #[test]
    fn comware_text_with_changes(text in mutated(HQ)) {
        both(&text);
    }

    #[test]
    fn native_text_with_changes(text in mutated(default_toml())) {
        both(&text);
    }
}

#[test]
fn long_lines_and_deep_tables_take_no_time() {
    both(&"x".repeat(1 << 20));
    both(&"ikev2 ".repeat(1 << 16));
    both(&"[".repeat(1 << 12));
    both(&"a.".repeat(1 << 12));
    both(
        &"ikev2 profile x\n match remote identity address range 0.0.0.1 255.255.255.254\n"
            .repeat(500),
    );
}
