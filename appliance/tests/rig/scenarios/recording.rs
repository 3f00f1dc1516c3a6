//! strongSwan on both ends: shows that the rig itself carries a tunnel, and makes the keyed recordings that
//! `hawser-ike` decrypts in its tests (`RIG_RECORD=1` writes them to `appliance/ike/tests/recordings`).

use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::{Scenario, scenario};
use crate::capture::{Capture, Datagram};
use crate::keylog::{self, Entry};
use crate::ping;
use crate::rig::{Branch, HQ, HQ_LAN, Rig};
use crate::site::{Site, TO_HQ};
use crate::strongswan::{LOG_KEYS, StrongSwan};

/// Time for an exchange and the DELETE that follows it.
const SETTLE: Duration = Duration::from_millis(400);

/// charon's names for the keys of an IKE SA, and ours.
const IKE_KEYS: &[(&str, &str)] = &[
    ("shared Diffie Hellman secret", "shared_secret"),
    ("SKEYSEED", "skeyseed"),
    ("Sk_d secret", "sk_d"),
    ("Sk_ai secret", "sk_ai"),
    ("Sk_ar secret", "sk_ar"),
    ("Sk_ei secret", "sk_ei"),
    ("Sk_er secret", "sk_er"),
    ("Sk_pi secret", "sk_pi"),
    ("Sk_pr secret", "sk_pr"),
];

/// The same for a Child SA.
const CHILD_KEYS: &[(&str, &str)] = &[
    ("DH secret", "shared_secret"),
    ("seed", "seed"),
    ("encryption initiator key", "encr_i"),
    ("encryption responder key", "encr_r"),
    ("integrity initiator key", "integ_i"),
    ("integrity responder key", "integ_r"),
];

pub fn scenarios() -> Vec<Scenario> {
    let suites = [
        ("aes128-sha1-modp1024", "aes128-sha1-modp1024"),
        ("aes128gcm16-prfsha256-x25519", "aes128gcm16-x25519"),
    ];
    suites
        .map(|(ike, esp)| {
            scenario(format!("recording::{ike}"), move |rig| {
                record(rig, ike, esp)
            })
        })
        .into()
}

fn record(rig: &Rig, ike: &str, esp: &str) -> Result<()> {
    let branch = rig.branch(1)?;
    let site = Site {
        ike: ike.to_owned(),
        esp: esp.to_owned(),
        ..Site::default()
    };
    let capture = Capture::start(&rig.inet, "hq", rig.path())?;
    let log = exchange(rig, &branch, &site)?;
    let datagrams = capture.stop()?;
    let recording = recording(&site, &keylog::parse(&log)?, &datagrams)?;
    if std::env::var_os("RIG_RECORD").is_some() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("ike/tests/recordings");
        fs::create_dir_all(&dir)?;
        let text = serde_json::to_string_pretty(&recording)? + "\n";
        fs::write(dir.join(format!("{ike}.json")), text).context("writing the recording")?;
    }
    Ok(())
}

/// Everything that is recorded, in order; returns the headquarters' log.
fn exchange(rig: &Rig, branch: &Branch, site: &Site) -> Result<String> {
    let mut hq = StrongSwan::start(&rig.hq, &rig.dir("hq")?, &[LOG_KEYS.to_owned()])?;
    hq.load(&[site.at_hq()])?;
    let peer = StrongSwan::start(&branch.ns, &rig.dir("branch")?, &[])?;
    peer.load(&[site.at_branch(branch)])?;
    let pings = || {
        ping::both_ways(
            (&branch.ns, &branch.lan),
            (&rig.hq, HQ_LAN),
            Duration::from_secs(5),
        )
    };
    peer.initiate(Duration::from_secs(10))?;
    pings()?;
    peer.rekey_child()?;
    thread::sleep(SETTLE);
    pings()?;
    peer.rekey_ike(TO_HQ)?;
    thread::sleep(SETTLE);
    hq.rekey_child()?;
    thread::sleep(SETTLE);
    pings()?;
    hq.stop()?;
    Ok(hq.log())
}

fn recording(site: &Site, log: &[Entry], datagrams: &[Datagram]) -> Result<Value> {
    let mut ike_sas = secrets(log, IKE_KEYS);
    let child_sas = child_sas(log)?;
    ensure!(
        ike_sas.len() == 2 && child_sas.len() == 3,
        "{} IKE and {} Child SAs",
        ike_sas.len(),
        child_sas.len()
    );
    let (request, response) = (&datagrams[0].payload, &datagrams[1].payload);
    ike_sas[0].insert("nonce_i".to_owned(), json!(hex::encode(nonce(request)?)));
    ike_sas[0].insert("nonce_r".to_owned(), json!(hex::encode(nonce(response)?)));
    ike_sas[0].insert("spi_i".to_owned(), json!(hex::encode(&response[..8])));
    ike_sas[0].insert("spi_r".to_owned(), json!(hex::encode(&response[8..16])));
    let auth: Vec<String> = named(log, "AUTH = prf(prf(secret, keypad), octets)");
    let [auth_i, auth_r] = auth.as_slice() else {
        bail!("{} AUTH values in the log", auth.len())
    };
    Ok(json!({
        "made_by": "strongSwan 5.9.8 on both ends; the branch is the initiator and stands behind a NAT",
        "ike": site.ike,
        "esp": site.esp,
        "psk": hex::encode(&site.psk),
        "id_i": { "type": 2, "data": hex::encode(&site.branch_id) },
        "id_r": { "type": 1, "data": hex::encode(HQ.parse::<std::net::Ipv4Addr>()?.octets()) },
        "auth_i": auth_i,
        "auth_r": auth_r,
        "ike_sas": ike_sas,
        "child_sas": child_sas,
        "datagrams": datagrams.iter().map(datagram).collect::<Vec<_>>(),
    }))
}

fn datagram(datagram: &Datagram) -> Value {
    let direction = if datagram.to.ip().to_string() == HQ {
        "to_hq"
    } else {
        "to_branch"
    };
    json!({
        "direction": direction,
        "from_port": datagram.from.port(),
        "to_port": datagram.to.port(),
        "payload": hex::encode(&datagram.payload),
    })
}

/// The keys of each Child SA with the SPIs, which charon logs after the keys, and the nonces, which end the seed.
fn child_sas(log: &[Entry]) -> Result<Vec<Map<String, Value>>> {
    let spis: Vec<(&str, &str)> = log
        .iter()
        .filter_map(|entry| match entry {
            Entry::Message(text) if !text.starts_with("outbound") => {
                text.split_once(" established with SPIs ")
            }
            _ => None,
        })
        .filter_map(|(_, spis)| Some((spis.get(..8)?, spis.get(11..19)?)))
        .collect();
    let mut sas = secrets(log, CHILD_KEYS);
    ensure!(
        spis.len() == sas.len(),
        "{} pairs of SPIs for {} Child SAs",
        spis.len(),
        sas.len()
    );
    for (index, (sa, (hq, branch))) in sas.iter_mut().zip(spis).enumerate() {
        let seed = sa
            .remove("seed")
            .and_then(|seed| seed.as_str().map(str::to_owned))
            .context("a Child SA's seed")?;
        let nonces = seed.len().checked_sub(128).context("a short seed")?;
        sa.insert("nonce_i".to_owned(), json!(&seed[nonces..nonces + 64]));
        sa.insert("nonce_r".to_owned(), json!(&seed[nonces + 64..]));
        sa.insert("spi_hq".to_owned(), json!(hq));
        sa.insert("spi_branch".to_owned(), json!(branch));
        sa.insert(
            "exchange_initiator".to_owned(),
            json!(if index == 2 { "hq" } else { "branch" }),
        );
    }
    Ok(sas)
}

/// Groups the chunks named in `names`; a group ends where a name comes that is not after the one before.
fn secrets(log: &[Entry], names: &[(&str, &str)]) -> Vec<Map<String, Value>> {
    let mut groups: Vec<Map<String, Value>> = Vec::new();
    let mut last = usize::MAX;
    for entry in log {
        let Entry::Secret(secret) = entry else {
            continue;
        };
        let Some(position) = names.iter().position(|(theirs, _)| *theirs == secret.name) else {
            continue;
        };
        if position <= last && (last == usize::MAX || position < last || groups.is_empty()) {
            groups.push(Map::new());
        }
        last = position;
        if let Some(group) = groups.last_mut() {
            group.insert(
                names[position].1.to_owned(),
                json!(hex::encode(&secret.value)),
            );
        }
    }
    groups
}

fn named(log: &[Entry], name: &str) -> Vec<String> {
    let secrets = log.iter().filter_map(|entry| match entry {
        Entry::Secret(secret) if secret.name == name => Some(hex::encode(&secret.value)),
        _ => None,
    });
    secrets.collect()
}

/// The Nonce payload of an IKE_SA_INIT message.
fn nonce(message: &[u8]) -> Result<&[u8]> {
    const NONCE: u8 = 40;
    let (mut kind, mut rest) = (message[16], &message[28..]);
    while kind != 0 {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let (payload, tail) = rest
            .split_at_checked(length)
            .context("a payload cut short")?;
        if kind == NONCE {
            return Ok(&payload[4..]);
        }
        (kind, rest) = (payload[0], tail);
    }
    bail!("no Nonce payload")
}
