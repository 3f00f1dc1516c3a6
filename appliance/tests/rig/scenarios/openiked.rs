//! OpenIKED as the branch of the case, behind NAT: IKE, the Child SA, and ESP both ways with the keys that it derived.

use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{HANDSHAKE, Scenario, scenario};
use crate::capture::Capture;
use crate::command::eventually;
use crate::forge::{RawSender, at, udp};
use crate::headquarters::Headquarters;
use crate::openiked::{ChildKeys, OpenIked};
use crate::rig::{Branch, HQ, HQ_LAN, Rig};
use crate::site::Site;
use crate::strongswan::SaCount;

const PORT: u16 = 7777;
/// All retransmissions of a request.
const GIVING_UP: Duration = Duration::from_secs(90);

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario("openiked::base-case", base_case)]
}

fn base_case(rig: &Rig) -> Result<()> {
    let site = Site::default();
    let branch = rig.branch(1)?;
    let headquarters = Headquarters::start_case(rig)?;
    let iked = OpenIked::start(rig, &site, &branch)?;
    let one = SaCount { ike: 1, child: 1 };
    eventually("OpenIKED has a tunnel", HANDSHAKE, || {
        Ok(headquarters.count()? == one && iked.show()?.contains(" ESTABLISHED "))
    })?;
    let first = iked.child_keys()?;
    to_headquarters(rig, &branch, &first, 1)?;
    to_branch(rig, &branch, &first)?;
    headquarters.rekey()?;
    eventually("OpenIKED has new keys", HANDSHAKE, || {
        Ok(iked.child_keys()?.inbound.spi != first.inbound.spi)
    })?;
    let second = iked.child_keys()?;
    to_headquarters(rig, &branch, &second, 1)?;
    to_branch(rig, &branch, &second)?;
    // OpenIKED never answers the DELETE of an IKE SA that has been rekeyed; the tunnel must outlive giving that up.
    eventually("the old IKE SA is given up", GIVING_UP, || {
        Ok(headquarters.count()? == one)
    })?;
    to_headquarters(rig, &branch, &second, 2)?;
    to_branch(rig, &branch, &second)
}

/// ESP from the branch, sealed with OpenIKED's keys, reaches the headquarters' host.
fn to_headquarters(rig: &Rig, branch: &Branch, keys: &ChildKeys, sequence: u32) -> Result<()> {
    let listener = rig
        .hq
        .enter(|| UdpSocket::bind((HQ_LAN, PORT)).context("the headquarters' listener"))?;
    listener.set_read_timeout(Some(Duration::from_secs(2)))?;
    let inner = udp(at(&branch.lan, PORT)?, at(HQ_LAN, PORT)?, b"from OpenIKED");
    let esp = keys.outbound.seal(sequence, &inner)?;
    RawSender::new(&branch.ns)?.send(at(&branch.outer, 4500)?, at(HQ, 4500)?, &esp)?;
    let mut buffer = [0; 100];
    let length = listener
        .recv(&mut buffer)
        .context("nothing was delivered at the headquarters")?;
    ensure!(
        &buffer[..length] == b"from OpenIKED",
        "delivered: {:?}",
        &buffer[..length]
    );
    Ok(())
}

/// What the headquarters' host sends goes out as ESP that OpenIKED's keys open.
fn to_branch(rig: &Rig, branch: &Branch, keys: &ChildKeys) -> Result<()> {
    let capture = Capture::start(&rig.inet, "hq", rig.path())?;
    let sender = rig
        .hq
        .enter(|| UdpSocket::bind((HQ_LAN, PORT)).context("the headquarters' sender"))?;
    sender.send_to(b"to OpenIKED", at(&branch.lan, PORT)?)?;
    thread::sleep(Duration::from_millis(300));
    let opened = capture
        .stop()?
        .into_iter()
        .filter_map(|datagram| keys.inbound.open(&datagram.payload).ok());
    let inner: Vec<Vec<u8>> = opened.collect();
    let delivered = inner
        .iter()
        .any(|packet| packet.windows(11).any(|window| window == b"to OpenIKED"));
    ensure!(
        delivered,
        "of what the headquarters sent, OpenIKED's keys open {} packets, none of them ours",
        inner.len()
    );
    Ok(())
}
