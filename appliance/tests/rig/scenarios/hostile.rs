//! Garbage, truncations, mutations, replays and floods on both ports while a tunnel is up: nothing of it does anything.

use std::net::SocketAddrV4;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::{Scenario, connect, expect_one_each, expect_pings, inner, scenario};
use crate::capture::{Capture, Datagram};
use crate::forge::{RawSender, at};
use crate::headquarters::Headquarters;
use crate::http::get;
use crate::ping::Ping;
use crate::rig::{HQ, Rig};
use crate::site::{METRICS, Site, TO_HQ};

/// Hostile datagrams of each kind.
const EACH: usize = 4000;
/// What a gateway may grow by while it is attacked.
const GROWTH_KIB: u64 = 32 * 1024;
/// What a replayed IKE_SA_INIT may leave for a while.
const HALF_OPEN: Duration = Duration::from_secs(40);
const PORTS: [u16; 2] = [500, 4500];
/// A host that nobody knows.
const STRANGER: &str = "203.0.113.99";

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario(
        "hostile::datagrams-beside-a-tunnel",
        beside_a_tunnel,
    )]
}

fn beside_a_tunnel(rig: &Rig) -> Result<()> {
    let site = Site::strong();
    let branch = rig.branch(1)?;
    let capture = Capture::start(&rig.inet, "hq", rig.path())?;
    let (mut headquarters, strongswan) = connect(rig, &site, &branch)?;
    strongswan.rekey_child()?;
    expect_pings(rig, &site, &branch)?;
    strongswan.rekey_ike(TO_HQ)?;
    expect_pings(rig, &site, &branch)?;
    let captured: Vec<Datagram> = capture
        .stop()?
        .into_iter()
        .filter(|one| one.to.ip().to_string() == HQ)
        .collect();
    ensure!(
        captured.len() > 8,
        "only {} datagrams captured",
        captured.len()
    );

    let attack = Attack {
        sender: RawSender::new(&rig.inet)?,
        captured,
        chance: Chance(1),
    };
    let (hq, lan) = inner(&site, &branch);
    let ping = Ping::start(&rig.hq, hq, lan, Duration::from_millis(50), rig.path())?;
    let before = resident(&headquarters)?;
    attack.perform()?;
    let after = resident(&headquarters)?;
    ensure!(
        after < before + GROWTH_KIB,
        "grew from {before} to {after} KiB"
    );
    ping.stop()?.expect_no_loss()?;
    expect_one_each(&headquarters, &strongswan, HALF_OPEN)?;
    expect_pings(rig, &site, &branch)?;
    if let Headquarters::Hawser(hawser) = &mut headquarters {
        hawser.expect_alive()?;
        let metrics = get(&rig.hq, METRICS, "/metrics")?;
        let counted = total(&metrics, "hawser_ike_message_errors_total")
            + total(&metrics, "hawser_esp_drops_total");
        ensure!(
            counted > EACH as f64,
            "of the hostile datagrams only {counted} were counted"
        );
    }
    Ok(())
}

/// The sum over every reason.
fn total(metrics: &str, name: &str) -> f64 {
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with(&format!("{name}{{")));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

fn resident(headquarters: &Headquarters) -> Result<u64> {
    match headquarters {
        Headquarters::Hawser(hawser) => hawser.resident_kib(),
        Headquarters::StrongSwan(_) => Ok(0),
    }
}

/// Everything that is thrown at the headquarters.
struct Attack {
    sender: RawSender,
    captured: Vec<Datagram>,
    chance: Chance,
}

impl Attack {
    fn perform(mut self) -> Result<()> {
        for round in 0..EACH {
            let target = at(HQ, PORTS[round % 2])?;
            let stranger = at(STRANGER, 1024 + (round % 60_000) as u16)?;
            let garbage = self.chance.bytes(1400);
            self.sender.send(stranger, target, &garbage)?;
            let Datagram { from, to, payload } = self.captured[round % self.captured.len()].clone();
            let (from, to) = (v4(from)?, v4(to)?);
            // From where it came, and from elsewhere.
            self.sender.send(from, to, &payload)?;
            self.sender.send(stranger, to, &payload)?;
            self.sender
                .send(from, to, &payload[..self.chance.below(payload.len())])?;
            let mutated = self.mutate(&payload);
            self.sender.send(from, to, &mutated)?;
            self.sender.send(stranger, to, &mutated)?;
            if round % 16 == 0 {
                // Room for the two cores' other work.
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    /// A few bytes changed, and sometimes a tail.
    fn mutate(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = payload.to_vec();
        for _ in 0..=self.chance.below(4) {
            let index = self.chance.below(bytes.len());
            bytes[index] ^= 1 << self.chance.below(8);
        }
        if self.chance.below(4) == 0 {
            bytes.extend(self.chance.bytes(64));
        }
        bytes
    }
}

fn v4(address: std::net::SocketAddr) -> Result<SocketAddrV4> {
    match address {
        std::net::SocketAddr::V4(address) => Ok(address),
        std::net::SocketAddr::V6(_) => bail!("{address} is not IPv4"),
    }
}

/// Repeatable chance (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Less than `limit`, which is not zero.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// At most `limit` bytes.
    fn bytes(&mut self, limit: usize) -> Vec<u8> {
        let length = self.below(limit + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }
}
