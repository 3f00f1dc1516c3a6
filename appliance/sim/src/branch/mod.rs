//! A foreign peer: IKE of our own crate under an owner of its own, with habits.

mod handshake;
mod pairs;
mod sas;

use crate::answers;
use crate::habits::{Habits, Kind, Return};
use crate::packet::Probe;
use crate::policies;
use hawser_flight::Path;
use hawser_ike::handshake::{Initiator, Responder};
use hawser_ike::header::Header;
use hawser_ike::io::{Env, SpiSource};
use hawser_policy::{PeerTemplate, Policy};
use pairs::Pairs;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
pub use sas::Act;
use sas::Held;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a branch is, before it does anything.
#[derive(Clone, Debug)]
pub struct BranchPlan {
    /// Its number.
    pub number: u16,
    /// Its tenant.
    pub tenant: u16,
    /// What it calls itself.
    pub identity: String,
    /// Number of its network.
    pub lan: u16,
    /// Its algorithms.
    pub suites: policies::Suites,
    /// Its ways.
    pub habits: Habits,
    /// Its own address.
    pub address: IpAddr,
}

/// SPIs in order.
struct Spis(u32);

impl SpiSource for Spis {
    fn ike_spi(&mut self, _: &mut dyn rand::CryptoRng) -> u64 {
        self.0 += 1;
        u64::from(self.0) << 24 | 1
    }
    fn esp_spi(&mut self, _: &mut dyn rand::CryptoRng) -> u32 {
        self.0 += 1;
        self.0
    }
}

/// What a branch does to the world.
#[derive(Debug)]
pub enum Doing {
    /// It sends from this port.
    Send(u16, SocketAddr, Vec<u8>),
    /// This came out of its tunnel.
    Inner(Vec<u8>),
    /// What it would log.
    Log(String),
}

/// Whether it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Power {
    /// It does.
    On,
    /// It is stopped: time passes, nothing is done.
    Frozen,
    /// It has crashed, and knows nothing any more.
    Off,
}

/// A branch.
pub struct Branch {
    /// What it is.
    pub plan: BranchPlan,
    template: Arc<PeerTemplate>,
    policy: Policy,
    rng: ChaCha8Rng,
    spis: Spis,
    handshake: Option<Initiator>,
    half_open: Vec<Responder>,
    sas: Vec<Held>,
    pairs: Pairs,
    power: Power,
    retry_at: Option<Instant>,
    alone_since: Instant,
    out: Vec<Doing>,
}

/// Builds the `Env` of a call, borrowing only what it needs.
macro_rules! env {
    ($branch:expr, $now:expr) => {
        hawser_ike::io::Env {
            now: $now,
            rng: &mut $branch.rng,
            spis: &mut $branch.spis,
        }
    };
}
use env;

/// How long after its end a tunnel is begun again.
const RESTART_WAIT: Duration = Duration::from_millis(500);

impl Branch {
    /// A branch that begins at `start`.
    pub fn new(plan: BranchPlan, seed: u64, start: Instant) -> Self {
        let (template, policy) = policies::branch(
            plan.tenant,
            &plan.identity,
            plan.lan,
            plan.suites,
            &plan.habits,
            plan.address,
        );
        Self {
            spis: Spis(u32::from(plan.number) << 20 | 0x8000_0000),
            rng: ChaCha8Rng::seed_from_u64(seed),
            template,
            policy,
            handshake: None,
            half_open: Vec::new(),
            sas: Vec::new(),
            pairs: Pairs::default(),
            power: Power::On,
            retry_at: Some(start),
            alone_since: start,
            out: Vec::new(),
            plan,
        }
    }

    fn env(&mut self, now: Instant) -> Env<'_> {
        env!(self, now)
    }

    fn log(&mut self, line: impl Into<String>) {
        self.out.push(Doing::Log(line.into()));
    }

    /// What it has done since it was last asked.
    pub fn done(&mut self) -> Vec<Doing> {
        std::mem::take(&mut self.out)
    }

    /// Whether it runs.
    pub fn power(&self) -> Power {
        self.power
    }

    /// When it last lost an IKE SA.
    pub fn lost_one_at(&self) -> Instant {
        self.alone_since
    }

    /// Since when it has no IKE SA, if it has none.
    pub fn alone_since(&self) -> Option<Instant> {
        self.sas.is_empty().then_some(self.alone_since)
    }

    /// Its IKE SAs and live pairs, by its own knowledge.
    pub fn counts(&self) -> (usize, usize) {
        (self.sas.len(), self.pairs.live())
    }

    /// When it wants to be woken.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.power != Power::On {
            return None;
        }
        let sas = self.sas.iter().filter_map(Held::next_timeout);
        let handshake = self.handshake.as_ref().and_then(Initiator::next_timeout);
        sas.chain(handshake)
            .chain(self.retry_at)
            .chain(self.pairs.next_timeout())
            .chain(self.dpd_at())
            .min()
    }

    /// Its time has come.
    pub fn timeout(&mut self, now: Instant) {
        if self.power != Power::On {
            return;
        }
        self.pairs.expire(now);
        self.handshake_timeout(now);
        self.sas_timeout(now);
        self.dpd(now);
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.begin(now);
        }
        self.drive(now);
    }

    /// A datagram comes on one of its ports.
    pub fn datagram(&mut self, now: Instant, port: u16, from: SocketAddr, mut bytes: Vec<u8>) {
        if self.power != Power::On {
            return;
        }
        let path = Path {
            local: SocketAddr::new(self.plan.address, port),
            remote: from,
            encapsulated: port == 4500,
        };
        if port == 4500 {
            match bytes.first_chunk::<4>() {
                Some([0, 0, 0, 0]) => self.ike(now, path, bytes.split_off(4)),
                Some(_) => self.esp(now, &mut bytes),
                None => {}
            }
        } else {
            self.ike(now, path, bytes);
        }
        self.drive(now);
    }

    fn ike(&mut self, now: Instant, path: Path, mut message: Vec<u8>) {
        let Ok(header) = Header::parse(&message) else {
            return;
        };
        if header.spi_r == 0 && !header.flags.response {
            return self.answer_init(now, path, &message);
        }
        let local = if header.flags.initiator {
            header.spi_r
        } else {
            header.spi_i
        };
        if let Some(held) = self.sas.iter_mut().find(|h| h.sa.local_spi() == local) {
            let mut env = env!(self, now);
            // What it does not understand it does not answer.
            let _ = held.sa.datagram(&mut env, path, &header, &mut message);
        } else if self.handshake.as_ref().is_some_and(|h| h.spi_i() == local) {
            self.handshake_message(now, path, &header, message);
        } else {
            self.answer_auth(now, path, local, message);
        }
    }

    fn esp(&mut self, now: Instant, packet: &mut [u8]) {
        let Some(taken) = self.pairs.open(now, packet) else {
            return;
        };
        self.esp_heard(now, taken.spi_in);
        self.out.push(Doing::Inner(taken.inner));
    }

    /// It has a packet for headquarters.
    pub fn send(&mut self, now: Instant, probe: &Probe) {
        if self.power != Power::On {
            return;
        }
        let packet = probe.packet(self.plan.lan);
        match self.pairs.seal(&packet) {
            Some((path, sealed)) => {
                let port = path.local.port();
                self.out.push(Doing::Send(port, path.remote, sealed));
            }
            None if self.plan.habits.returns != Return::Passive => self.acquire(now),
            None => {}
        }
        self.drive(now);
    }

    /// A packet found no Child SA.
    fn acquire(&mut self, now: Instant) {
        let usable = self.sas.iter_mut().rev().find(|h| h.is_usable());
        match usable {
            Some(held) if held.sa.children().is_empty() && !held.sa.is_waiting() => {
                held.sa.create_child(&mut env!(self, now), 0);
            }
            Some(_) => {}
            None => self.begin(now),
        }
    }

    /// It is stopped, or goes on.
    pub fn freeze(&mut self, frozen: bool) {
        match (self.power, frozen) {
            (Power::On, true) => self.power = Power::Frozen,
            (Power::Frozen, false) => self.power = Power::On,
            _ => {}
        }
    }

    /// It forgets everything, without a word.
    pub fn crash(&mut self, now: Instant) {
        self.alone_since = now;
        self.power = Power::Off;
        self.handshake = None;
        self.half_open.clear();
        self.sas.clear();
        self.pairs.clear();
        self.retry_at = None;
    }

    /// After a crash it begins anew.
    pub fn boot(&mut self, now: Instant) {
        if self.power == Power::Off {
            self.power = Power::On;
            self.retry_at = Some(now + RESTART_WAIT);
        }
    }

    /// Whether what it asks for is its own.
    pub fn is_honest(&self) -> bool {
        self.plan.habits.kind != Kind::Grabber
    }
}

fn marked(path: &Path, message: &[u8]) -> Vec<u8> {
    let marker: &[u8] = if path.encapsulated { &[0; 4] } else { &[] };
    [marker, message].concat()
}

fn worked(rng: &mut ChaCha8Rng, work: hawser_ike::KeRequest) -> hawser_ike::KeAnswer {
    answers::work(rng, work)
}
