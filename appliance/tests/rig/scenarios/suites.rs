//! Every suite once: handshake, pings, a Child SA rekeyed with PFS and an IKE SA rekeyed.

use std::time::Duration;

use anyhow::Result;

use super::{Scenario, connect, expect_one_each, expect_pings, scenario};
use crate::command::eventually;
use crate::rig::Rig;
use crate::site::{Site, TO_HQ};

/// IKE and ESP proposals. Together they hold every cipher, integrity algorithm, PRF and group that Hawser knows.
const SUITES: &[(&str, &str)] = &[
    ("aes128-sha1-modp1024", "aes128-sha1-modp1024"),
    ("aes128-sha1-modp1536", "aes192-sha1-modp1536"),
    ("aes192-sha256-modp2048", "aes256-sha256-modp2048"),
    ("aes256-sha384-modp3072", "aes192-sha384-modp3072"),
    ("aes256-sha512-modp4096", "aes256-sha512-modp4096"),
    ("aes128-sha256-ecp256", "aes128-sha256-ecp256"),
    ("aes256-sha384-ecp384", "aes256-sha384-ecp384"),
    ("aes128gcm16-prfsha1-ecp256", "aes128gcm16-ecp256"),
    ("aes128gcm16-prfsha256-x25519", "aes128gcm16-x25519"),
    ("aes256gcm16-prfsha384-ecp384", "aes256gcm16"),
    ("aes256gcm16-prfsha512-x25519", "aes256gcm16-x25519"),
    (
        "chacha20poly1305-prfsha256-x25519",
        "chacha20poly1305-x25519",
    ),
    (
        "aes256-sha512-prfsha256-modp2048",
        "chacha20poly1305-modp2048",
    ),
];

pub fn scenarios() -> Vec<Scenario> {
    SUITES
        .iter()
        .map(|(ike, esp)| scenario(format!("suites::{ike}+{esp}"), |rig| suite(rig, ike, esp)))
        .collect()
}

fn suite(rig: &Rig, ike: &str, esp: &str) -> Result<()> {
    let site = Site {
        ike: ike.to_owned(),
        esp: esp.to_owned(),
        ..Site::default()
    };
    let branch = rig.branch(1)?;
    let (headquarters, strongswan) = connect(rig, &site, &branch)?;
    strongswan.rekey_child()?;
    expect_pings(rig, &site, &branch)?;
    strongswan.rekey_ike(TO_HQ)?;
    expect_pings(rig, &site, &branch)?;
    eventually(
        "the new IKE SA takes a rekey from the headquarters",
        Duration::from_secs(5),
        || headquarters.rekey().map(|()| true),
    )?;
    expect_pings(rig, &site, &branch)?;
    expect_one_each(&headquarters, &strongswan, Duration::from_secs(15))
}
