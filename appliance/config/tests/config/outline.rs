//! What two configurations say differently.

use crate::common::{HQ, toml};
use crate::native::SMALL;
use hawser_config::{Difference, Format, Outline, load};

fn outline(text: &str) -> Outline {
    load(text, Format::Toml, &|_| None).unwrap().outline
}

fn differences(before: &str, after: &str) -> Vec<String> {
    let differences = outline(before).differences(&outline(after));
    differences.iter().map(Difference::to_string).collect()
}

#[test]
fn the_same_configuration_in_either_language_differs_in_nothing() {
    let comware = load(HQ, Format::Comware, &|_| None).unwrap();
    let imported = hawser_config::import_comware(HQ).unwrap();
    assert_eq!(comware.outline.differences(&outline(&imported)), []);
    assert_eq!(differences(SMALL, SMALL), [""; 0]);
    toml(SMALL).unwrap();
}

#[test]
fn keys_are_named_with_both_values_and_what_needs_a_restart_says_so() {
    let after = SMALL.replace(
        "[[templates.children]]",
        "[templates.dpd]\nmode = \"periodic\"\ninterval = \"30s\"\n[[templates.children]]",
    );
    let after = format!(
        "shards = 3\n{}",
        after.replace("aes256gcm16-esn", "aes128gcm16")
    );
    assert_eq!(
        differences(SMALL, &after),
        [
            "shards: default -> 3  (needs a restart)",
            "templates.branches.children.lan.proposals: [\"aes256gcm16-esn\"] -> [\"aes128gcm16\"]  (SAs are rekeyed)",
            "templates.branches.dpd.interval: default -> \"30s\"",
            "templates.branches.dpd.mode: default -> \"periodic\"",
        ]
    );
}

#[test]
fn a_secret_that_changes_is_named_and_not_shown() {
    let after = SMALL.replace("0x0011", "0xff11");
    let all = differences(SMALL, &after).join("\n");
    assert!(
        all.starts_with("secrets.\"branches/*.branch.example\".secret: (hidden) -> (hidden)"),
        "{all}"
    );
    assert!(!format!("{:?}", outline(SMALL)).contains("aabbccdd"));
}

#[test]
fn secrets_of_one_name_are_kept_apart() {
    let second = "[[secrets]]\nidentity = \"*.branch.example\"\ntemplate = \"branches\"\nnetworks = [\"198.51.100.0/24\"]\nsecret = \"0xff112233445566778899aabbccddeeff\"\n";
    let all = differences(SMALL, &format!("{SMALL}{second}"));
    assert!(all.iter().any(|d| d.starts_with("secrets.\"branches/*.branch.example\"#2.networks: default -> ")), "{all:?}");
}
