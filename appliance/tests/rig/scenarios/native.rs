//! Two public ends: ESP straight over IP. strongSwan has no such ESP outside of a kernel, so Hawser is both ends.

use anyhow::{Context as _, Result, ensure};

use super::{HANDSHAKE, Scenario, expect_pings, scenario};
use crate::command::eventually;
use crate::hawser::Hawser;
use crate::netns::Namespace;
use crate::rig::{HQ, HQ_V6, Rig};
use crate::site::Site;

/// A branch that initiates; `{..}` are filled in.
const BRANCH: &str = r#"
listen.addresses = ["{outer}"]

[[templates]]
name = "hq"
local_identity = "test"
ike_proposals = ["{ike}"]
initiate = { remote = "{hq}", identity = "{hq}", secret = "{psk}" }

[[templates.children]]
name = "net"
proposals = ["{esp}"]
local = ["{local}"]
remote = ["{remote}"]
"#;

pub fn scenarios() -> Vec<Scenario> {
    let v6 = || Site {
        hq: HQ_V6,
        ..Site::v6()
    };
    let v4 = || Site {
        hq: HQ,
        ..Site::strong()
    };
    vec![
        scenario("native::esp-over-ipv4", move |rig| native(rig, &v4())).hawser_only(),
        scenario("native::esp-over-ipv6", move |rig| native(rig, &v6())).hawser_only(),
    ]
}

fn native(rig: &Rig, site: &Site) -> Result<()> {
    let branch = rig.public_branch(1)?;
    let v6 = site.hq.contains(':');
    let outer = if v6 {
        "2001:db8:b:1::2"
    } else {
        branch.outer.as_str()
    };
    let text = [
        ("{outer}", outer),
        ("{hq}", site.hq),
        ("{ike}", &site.ike),
        ("{esp}", &site.esp),
        ("{psk}", &site.psk),
        (
            "{local}",
            &if v6 {
                branch.subnet_v6()
            } else {
                branch.subnet()
            },
        ),
        ("{remote}", site.hq_networks),
    ]
    .iter()
    .fold(BRANCH.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    });
    let headquarters = Hawser::start(rig, site)?;
    let counter = Counter::new(&rig.inet)?;
    let _branch_end = Hawser::start_text(&branch.ns, &rig.dir("branch1")?, "branch.toml", &text)?;
    eventually("a tunnel between two Hawsers", HANDSHAKE, || {
        Ok(headquarters.count()?.child == 1)
    })?;
    expect_pings(rig, site, &branch)?;
    ensure!(
        counter.esp()? >= 4,
        "{} packets of native ESP passed the router",
        counter.esp()?
    );
    Ok(())
}

/// Counts native ESP in the router.
struct Counter<'a>(&'a Namespace);

impl<'a> Counter<'a> {
    fn new(ns: &'a Namespace) -> Result<Self> {
        ns.nft(
            "table inet count {
                chain through { type filter hook forward priority 0; meta l4proto esp counter; }
            }\n",
        )?;
        Ok(Self(ns))
    }

    fn esp(&self) -> Result<u64> {
        let text = self.0.run("nft list table inet count")?;
        let packets = text
            .split_once("counter packets ")
            .and_then(|(_, rest)| rest.split(' ').next());
        packets.context("a counter")?.parse().context("a count")
    }
}
