//! Looking on at one peer: what is told of it, and that no secret is.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{HANDSHAKE, Scenario, connect, expect_pings, scenario, start_branch};
use crate::command::{eventually, run};
use crate::hawser::Hawser;
use crate::keylog::{self, Entry};
use crate::rig::{Branch, HQ, HQ_LAN, Rig};
use crate::site::{BRANCH_ID, Site, TO_HQ};
use crate::strongswan::LOG_KEYS;

/// A secret that nothing else is called by.
const PSK: &str = "zq-the-psk-of-branch-4711";
/// What charon logs by these words is no secret.
const PUBLIC: [&str; 3] = ["nonce", "seed", "message"];

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("onlooker::trace", trace).hawser_only(),
        scenario("onlooker::capture", capture).hawser_only(),
    ]
}

fn site() -> Site {
    Site {
        psk: PSK.to_owned(),
        charon: vec![LOG_KEYS.to_owned()],
        ..Site::strong()
    }
}

/// Waits until a trace tells `line`.
fn told(output: &Path, line: &str) -> Result<()> {
    eventually(
        &format!("the trace tells `{line}`"),
        Duration::from_secs(20),
        || Ok(fs::read_to_string(output)?.contains(line)),
    )
    .map(drop)
}

/// A trace of a peer that goes on ends with its time, and says that all went well.
fn ends_at_its_time(rig: &Rig, hawser: &Hawser) -> Result<()> {
    let log = rig.path().join("short.log");
    let mut short = hawser.begin(&["trace", BRANCH_ID, "--for", "2s"], &log)?;
    eventually(
        "who looks on ends by itself",
        Duration::from_secs(20),
        || Ok(short.try_wait()?.is_some_and(|status| status.success())),
    )
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
    // Longer than all of this takes anywhere; that a trace ends at its time is another's matter.
    let mut onlooker = hawser.begin(&["trace", &outer, "--for", "10m", "-o", file], &log)?;
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
    told(&output, "= ESP net ")?;
    ends_at_its_time(rig, &hawser)?;
    strongswan.swanctl("--terminate --ike hq")?;
    told(&output, "* down: deleted_by_peer")?;
    onlooker.kill()?;
    onlooker.wait()?;
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
    let keys = rig.path().join("keys");
    let keys = keys.to_str().context("a directory's name")?;
    let forbidden = ["capture", &outer, "-o", "/dev/null", "--keys", keys];
    ensure!(hawser.text(&forbidden).is_err(), "keys without the right");
    let nobody = hawser.text(&["trace", "nobody", "--for", "1s"]);
    ensure!(nobody.is_err(), "nobody is traced");
    Ok(())
}

/// What tshark reads of a capture: the fields of the packets that a filter takes.
fn tshark(file: &Path, keys: Option<&Path>, filter: &str, fields: &[&str]) -> Result<String> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file);
    if let Some(keys) = keys {
        command.env("WIRESHARK_CONFIG_DIR", keys);
    }
    command.args(["-n", "-Y", filter, "-T", "fields"]);
    fields.iter().for_each(|field| {
        command.args(["-e", field]);
    });
    run(&mut command)
}

/// Packets as they were outside, and with their keys as they were inside.
fn capture(rig: &Rig) -> Result<()> {
    let branch = rig.branch(1)?;
    for site in [site(), Site::default()] {
        let site = Site {
            gateway: "observability.capture_keys = true",
            ..site
        };
        capture_of(rig, &branch, &site).with_context(|| site.esp.clone())?;
    }
    Ok(())
}

fn capture_of(rig: &Rig, branch: &Branch, site: &Site) -> Result<()> {
    let (headquarters, strongswan) = connect(rig, site, branch)?;
    let hawser = headquarters.hawser()?;
    let dir = rig.dir(&site.esp)?;
    let (file, keys) = (dir.join("capture.pcapng"), dir.join("keys"));
    let words = [&file, &keys].map(|path| path.to_str().context("a path"));
    let [file_name, keys_name] = words;
    let words = ["capture", BRANCH_ID, "-o", file_name?, "--keys", keys_name?];
    let mut capturing = hawser.begin(&words, &dir.join("capture.log"))?;
    let lines = |table: &str| -> Result<usize> {
        Ok(fs::read_to_string(keys.join(table))?.lines().count())
    };
    eventually("the SAs are made anew", Duration::from_secs(20), || {
        Ok(lines("ikev2_decryption_table")? >= 1 && lines("esp_sa")? >= 2)
    })?;
    expect_pings(rig, site, branch)?;
    strongswan.rekey_child()?;
    expect_pings(rig, site, branch)?;
    let both = |filter: &str, keys: Option<&Path>, fields: &[&str], a: &str, b: &str| {
        let (there, back) = (format!("{a}\t{b}"), format!("{b}\t{a}"));
        eventually(filter, Duration::from_secs(20), || {
            let told = tshark(&file, keys, filter, fields)?;
            ensure!(told.contains(&there) && told.contains(&back), "{told}");
            Ok(true)
        })
    };
    // The real addresses; the branch's port is its NAT's choice.
    let outer = branch.nat.first_outer();
    both("isakmp", None, &["ip.src", "ip.dst"], &outer, HQ)?;
    both("esp", None, &["ip.src", "ip.dst"], &outer, HQ)?;
    let inside = tshark(&file, None, "icmp", &["ip.src"])?;
    ensure!(inside.is_empty(), "read without keys: {inside}");
    let echo = |kind: u8| {
        let filter = format!("icmp.type == {kind} && esp");
        eventually(&filter, Duration::from_secs(20), || {
            let told = tshark(&file, Some(&keys), &filter, &["ip.src"])?;
            let from = |host: &str| told.lines().any(|line| line.ends_with(host));
            ensure!(from(&branch.lan) && from(HQ_LAN), "{told}");
            Ok(true)
        })
    };
    echo(8)?;
    echo(0)?;
    // The branch's rekey of its Child SA, inside of the IKE SA that we rekeyed.
    let rekey = format!("isakmp.notify.msgtype == 16393 && ip.dst == {HQ}");
    let told = tshark(&file, Some(&keys), &rekey, &["isakmp.exchangetype"])?;
    ensure!(told.contains("36"), "IKE is not deciphered: {told}");
    capturing.kill()?;
    capturing.wait()?;
    let events = hawser.text(&["events"])?;
    for told in [
        "packets of test are captured",
        "packets and keys of test are captured",
    ] {
        ensure!(events.contains(told), "{events}");
    }
    ensure!(events.contains("asked by user 0, process "), "{events}");
    Ok(())
}
