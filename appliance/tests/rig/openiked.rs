//! OpenIKED's `iked` at a branch. The kernels that the rig runs on have no ESP, so `pfkey.c` stands in for it: IKE is
//! real, and the keys that iked hands to its kernel are there to seal and open ESP with.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::{Context as _, Result, ensure};

use crate::command::run;
use crate::forge::EspKeys;
use crate::rig::{Branch, HQ, Rig};
use crate::site::Site;

/// RFC 2367's numbers.
const SADB_UPDATE: u8 = 2;
const SADB_ADD: u8 = 3;
const EXT_SA: u16 = 1;
const EXT_KEY_AUTH: u16 = 8;
const EXT_KEY_ENCRYPT: u16 = 9;

/// A running iked.
#[derive(Debug)]
pub struct OpenIked {
    child: Child,
    dir: PathBuf,
    ns: String,
}

/// The newest Child SA as iked gave it to its kernel.
#[derive(Debug)]
pub struct ChildKeys {
    /// What the branch sends with.
    pub outbound: EspKeys,
    /// What it receives with.
    pub inbound: EspKeys,
}

impl OpenIked {
    /// Starts iked at `branch`; it initiates at once, with the suite of the case.
    pub fn start(rig: &Rig, site: &Site, branch: &Branch) -> Result<Self> {
        let dir = rig.dir("openiked")?;
        let config = dir.join("iked.conf");
        fs::write(&config, iked_conf(site, branch)).context("writing iked.conf")?;
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600))?;
        let shim = build_shim(&dir)?;
        let mut command = branch.ns.command("iked");
        command
            .env("LD_PRELOAD", shim)
            .env("RIG_PFKEY", dir.join("pfkey.bin"));
        command
            .args(["-dvv", "-f"])
            .arg(&config)
            .arg("-s")
            .arg(dir.join("iked.sock"));
        let child = branch.ns.spawn(&mut command, &dir.join("iked.log"))?;
        Ok(Self {
            child,
            dir,
            ns: branch.ns.name().to_owned(),
        })
    }

    /// `ikectl show sa`.
    pub fn show(&self) -> Result<String> {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.ns, "ikectl", "-s"])
            .arg(self.dir.join("iked.sock"));
        run(command.args(["show", "sa"]))
    }

    /// The newest Child SA's keys.
    pub fn child_keys(&self) -> Result<ChildKeys> {
        let bytes =
            fs::read(self.dir.join("pfkey.bin")).context("reading what iked told its kernel")?;
        let mut newest = [None, None];
        for message in messages(&bytes)? {
            match message[1] {
                SADB_ADD => newest[0] = Some(keys(message)?),
                SADB_UPDATE => newest[1] = Some(keys(message)?),
                _ => {}
            }
        }
        let [outbound, inbound] = newest;
        Ok(ChildKeys {
            outbound: outbound.context("no outbound SA was added")?,
            inbound: inbound.context("no inbound SA was updated")?,
        })
    }
}

impl Drop for OpenIked {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn iked_conf(site: &Site, branch: &Branch) -> String {
    format!(
        "ikev2 hq active esp from {} to {} local {} peer {HQ} \
         ikesa enc aes-128 prf hmac-sha1 auth hmac-sha1 group modp1024 \
         childsa enc aes-128 auth hmac-sha1 srcid {} dstid {HQ} psk \"{}\"\n",
        branch.subnet(),
        site.hq_networks,
        branch.outer,
        site.branch_id,
        site.psk,
    )
}

fn build_shim(dir: &Path) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rig/pfkey.c");
    let shim = dir.join("pfkey.so");
    run(Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&shim)
        .arg(source)
        .args(["-ldl", "-lpthread"]))?;
    Ok(shim)
}

/// Splits the log into messages; each says its length in units of eight bytes.
fn messages(bytes: &[u8]) -> Result<Vec<&[u8]>> {
    split(bytes, |header| {
        (header.len() >= 16).then(|| u16::from_ne_bytes([header[4], header[5]]))
    })
}

fn keys(message: &[u8]) -> Result<EspKeys> {
    let extensions = split(&message[16..], |header| {
        (header.len() >= 4).then(|| u16::from_ne_bytes([header[0], header[1]]))
    })?;
    let find = |kind: u16| {
        let wanted = |extension: &&&[u8]| u16::from_ne_bytes([extension[2], extension[3]]) == kind;
        extensions
            .iter()
            .find(wanted)
            .copied()
            .with_context(|| format!("no extension {kind}"))
    };
    let key = |kind: u16| -> Result<Vec<u8>> {
        let extension = find(kind)?;
        let bits = usize::from(u16::from_ne_bytes([extension[4], extension[5]]));
        Ok(extension
            .get(8..8 + bits / 8)
            .context("a short key")?
            .to_vec())
    };
    Ok(EspKeys {
        spi: u32::from_be_bytes(find(EXT_SA)?[4..8].try_into()?),
        encr: key(EXT_KEY_ENCRYPT)?
            .try_into()
            .ok()
            .context("a key of 16 bytes")?,
        integ: key(EXT_KEY_AUTH)?,
    })
}

fn split(mut bytes: &[u8], units: impl Fn(&[u8]) -> Option<u16>) -> Result<Vec<&[u8]>> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from(units(bytes).context("a header cut short")?) * 8;
        ensure!(length > 0, "a part of no length");
        let (part, rest) = bytes.split_at_checked(length).context("a part cut short")?;
        parts.push(part);
        bytes = rest;
    }
    Ok(parts)
}
