//! Looking on at one peer: what is told of it, and that no secret is.

use std::fs;
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{HANDSHAKE, Scenario, expect_pings, scenario, start_branch};
use crate::command::eventually;
use crate::hawser::Hawser;
use crate::keylog::{self, Entry};
use crate::rig::Rig;
use crate::site::{BRANCH_ID, Site, TO_HQ};
use crate::strongswan::LOG_KEYS;

/// A secret that nothing else is called by.
const PSK: &str = "zq-the-psk-of-branch-4711";
/// What charon logs by these words is no secret.
const PUBLIC: [&str; 3] = ["nonce", "seed", "message"];

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario("onlooker::trace", trace).hawser_only()]
}

fn site() -> Site {
    Site {
        psk: PSK.to_owned(),
        charon: vec![LOG_KEYS.to_owned()],
        ..Site::strong()
    }
}

fn ended(child: &mut Child, within: Duration) -> Result<()> {
    eventually("who looks on ends by itself", within, || {
        Ok(child.try_wait()?.is_some_and(|status| status.success()))
    })
    .map(drop)
}

/// Every secret of charon's log, and the pre-shared key.
fn expect_no_secret(log: &str, octets: &[u8]) -> Result<()> {
    let holds = |secret: &[u8]| octets.windows(secret.len()).any(|w| w == secret);
    ensure!(!holds(PSK.as_bytes()), "the pre-shared key is told");
    let mut searched = 0;
    for entry in keylog::parse(log)? {
        let Entry::Secret(secret) = entry else {
            continue;
        };
        let public = PUBLIC.iter().any(|word| secret.name.contains(word));
        if secret.value.len() < 8 || public {
            continue;
        }
        searched += 1;
        let text = hex::encode(&secret.value);
        let told = holds(&secret.value) || holds(text.as_bytes());
        ensure!(!told, "`{}` is told", secret.name);
    }
    ensure!(searched > 20, "only {searched} secrets in charon's log");
    Ok(())
}

/// A branch that never came yet is named by the address that it will come from.
fn trace(rig: &Rig) -> Result<()> {
    let branch = rig.branch(1)?;
    let site = site();
    let hawser = Hawser::start(rig, &site)?;
    let output = rig.path().join("trace.txt");
    let file = output.to_str().context("a file name")?;
    let outer = branch.nat.first_outer();
    let log = rig.path().join("trace.log");
    let mut onlooker = hawser.begin(&["trace", &outer, "--for", "12s", "-o", file], &log)?;
    eventually("the trace begins", Duration::from_secs(5), || {
        Ok(fs::read_to_string(&output).is_ok_and(|text| text.contains("whoever comes from")))
    })?;
    // First with a wrong key: what is said of that is decoded too.
    let wrong = Site {
        psk: "quite-another-one-0815".to_owned(),
        ..site.clone()
    };
    let strongswan = start_branch(rig, &wrong, &branch)?;
    ensure!(
        strongswan.initiate(HANDSHAKE).is_err(),
        "up with a wrong key"
    );
    strongswan.load(&[site.at_branch(&branch)])?;
    strongswan.initiate(HANDSHAKE)?;
    expect_pings(rig, &site, &branch)?;
    strongswan.rekey_child()?;
    strongswan.rekey_ike(TO_HQ)?;
    expect_pings(rig, &site, &branch)?;
    std::thread::sleep(Duration::from_secs(2));
    strongswan.swanctl("--terminate --ike hq")?;
    ended(&mut onlooker, Duration::from_secs(20))?;
    let octets = fs::read(&output)?;
    let text = String::from_utf8(octets.clone())?;
    let expected = [
        "< IKE_SA_INIT request 0",
        "> IKE_SA_INIT response 0",
        "SA    1 IKE: aes128gcm16 prfsha256 x25519",
        "NONCE 32 octets",
        "< IKE_AUTH request 1",
        "N     AUTHENTICATION_FAILED",
        &format!("IDi   {BRANCH_ID}"),
        "AUTH  SHARED_KEY, 32 octets",
        "TSi   172.16.1.0",
        "* up",
        "< CREATE_CHILD_SA request",
        "N     REKEY_SA ESP ",
        "KE    x25519, 32 octets",
        "> CREATE_CHILD_SA response",
        "= ESP net ",
        "D     IKE",
        "* down: deleted_by_peer",
    ];
    for line in expected {
        ensure!(text.contains(line), "no `{line}` in\n{text}");
    }
    ensure!(!text.contains("not readable"), "{text}");
    expect_no_secret(&strongswan.log(), &octets)?;
    let nobody = hawser.text(&["trace", "nobody", "--for", "1s"]);
    ensure!(nobody.is_err(), "nobody is traced");
    Ok(())
}
