//! A branch that sends, in authentic ESP, what another branch's host would say: nothing of it is delivered.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{HANDSHAKE, Scenario, expect_pings, scenario};
use crate::forge::{EspKeys, RawSender, at, udp};
use crate::headquarters::Headquarters;
use crate::keylog;
use crate::rig::{Branch, HQ, HQ_LAN, Rig};
use crate::site::Site;
use crate::strongswan::{LOG_KEYS, StrongSwan};

/// Where the headquarters' host listens.
const PORT: u16 = 7777;
/// Above what the branch itself has sent, but not so far that what it sends next is late.
const SEQUENCE: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(1);

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario(
        "spoof::inner-source-of-another-branch",
        another_branch,
    )]
}

fn another_branch(rig: &Rig) -> Result<()> {
    let site = Site {
        charon: vec![LOG_KEYS.to_owned()],
        ..Site::default()
    };
    let branches = [rig.branch(1)?, rig.branch(2)?];
    let _headquarters = Headquarters::start(rig, &site)?;
    let strongswans = [
        super::start_branch(rig, &site, &branches[0])?,
        super::start_branch(rig, &site, &branches[1])?,
    ];
    for (strongswan, branch) in strongswans.iter().zip(&branches) {
        strongswan.initiate(HANDSHAKE)?;
        expect_pings(rig, &site, branch)?;
    }
    let listener = rig
        .hq
        .enter(|| UdpSocket::bind((HQ_LAN, PORT)).context("the headquarters' listener"))?;
    listener.set_read_timeout(Some(PATIENCE))?;
    // The branch's own source proves that the forged packet is good.
    let forge = Forge::new(&branches[0], &strongswans[0])?;
    forge.send(SEQUENCE, &branches[0].lan)?;
    ensure!(received(&listener), "a good packet was not delivered");
    forge.send(SEQUENCE + 1, &branches[1].lan)?;
    ensure!(
        !received(&listener),
        "a packet from another branch's source was delivered"
    );
    forge.send(SEQUENCE, &branches[0].lan)?;
    ensure!(!received(&listener), "a replayed packet was delivered");
    for branch in &branches {
        expect_pings(rig, &site, branch)?;
    }
    Ok(())
}

/// Sends as the branch's charon would, with its keys, address and port.
struct Forge {
    keys: EspKeys,
    sender: RawSender,
    outer: String,
}

impl Forge {
    fn new(branch: &Branch, strongswan: &StrongSwan) -> Result<Self> {
        let keys = EspKeys::from_log(&keylog::parse(&strongswan.log())?)?;
        Ok(Self {
            keys,
            sender: RawSender::new(&branch.ns)?,
            outer: branch.outer.clone(),
        })
    }

    fn send(&self, sequence: u32, inner_source: &str) -> Result<()> {
        let inner = udp(at(inner_source, PORT)?, at(HQ_LAN, PORT)?, b"spoof");
        let esp = self.keys.seal(sequence, &inner)?;
        self.sender
            .send(at(&self.outer, 4500)?, at(HQ, 4500)?, &esp)
    }
}

fn received(listener: &UdpSocket) -> bool {
    listener.recv(&mut [0; 100]).is_ok()
}
