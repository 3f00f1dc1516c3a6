//! What becomes of a datagram between its sender and its receiver.

use super::{OVERHEARD, Place, Side, Tamper, World};
use crate::branch::Branch;
use crate::packet;
use crate::queue::Happening;
use crate::weather::Weather;
use hawser_flight::Path;
use rand::RngExt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

impl World {
    pub(super) fn branch_sends(&mut self, at: usize, port: u16, to: SocketAddr, bytes: Vec<u8>) {
        self.check_secrecy(&bytes);
        self.trace.datagram(self.now, Some(at), &bytes);
        self.ledger[at].sent = self.now;
        let seat = &self.plan.seats[at];
        let from = match seat.nat {
            Some(nat) => self.nats[nat].outbound(self.now, &mut self.rngs[at], (at, port), to),
            None => SocketAddr::new(seat.plan.address, port),
        };
        let overheard = &mut self.overheard[at];
        if overheard.len() == OVERHEARD {
            overheard.pop_front();
        }
        overheard.push_back((from, to, bytes.clone()));
        let Some(late) = self.tampered(Side::Branch, to.port(), &bytes) else {
            return;
        };
        let is_esp = to.port() == 4500 && bytes.len() > 1 && !bytes.starts_with(&[0; 4]);
        if self.weather[at].mute || self.weather[at].esp_lost && is_esp {
            return;
        }
        for bytes in self.through(at, bytes) {
            let arrives = self.arrival(at) + late;
            self.queue
                .push(arrives, Happening::AtGateway(Some(at), from, to, bytes));
        }
    }

    /// How much later a message arrives than the network lets it; `None`: not at all.
    fn tampered(&mut self, from: Side, port: u16, bytes: &[u8]) -> Option<Duration> {
        let is_ike = port == 500 || bytes.starts_with(&[0; 4]);
        let mut late = Some(Duration::ZERO);
        let of = |t: &&mut Tamper| is_ike && t.from == from;
        let mut used = None;
        for (at, tamper) in self.tampers.iter_mut().enumerate() {
            if !of(&tamper) {
                continue;
            }
            match tamper.skip.checked_sub(1) {
                Some(less) => tamper.skip = less,
                None => (used, late) = (Some(at), tamper.delay),
            }
        }
        used.map(|at| self.tampers.swap_remove(at));
        late
    }

    /// What is left of a datagram: nothing, itself, or more of it.
    fn through(&mut self, at: usize, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let (weather, rng) = (self.weather[at], &mut self.rngs[at]);
        if weather == Weather::default() {
            return vec![bytes];
        }
        if rng.random_bool(weather.loss) {
            return Vec::new();
        }
        let mut copies = vec![bytes];
        if rng.random_bool(weather.duplicate) {
            copies.extend(copies.first().cloned());
        }
        if is_init(&copies[0]) && rng.random_bool(weather.corrupt) {
            return Vec::new();
        }
        for copy in copies.iter_mut().filter(|c| !c.is_empty()) {
            if rng.random_bool(weather.corrupt) && !is_init(copy) {
                let octet = rng.random_range(0..copy.len());
                copy[octet] ^= 1 << rng.random_range(0..8);
            }
        }
        copies
    }

    fn arrival(&mut self, at: usize) -> Instant {
        let (weather, rng) = (self.weather[at], &mut self.rngs[at]);
        let latency = self.plan.seats[at].latency;
        let late = match weather.delay {
            Duration::ZERO => Duration::ZERO,
            delay => delay.mul_f64(rng.random_range(0.0..1.0)),
        };
        self.now + latency + late
    }

    pub(super) fn at_gateway(
        &mut self,
        branch: Option<usize>,
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) {
        if self.now < self.stalled_until {
            // The socket's buffer holds some; the rest is lost.
            if self.rng.random_bool(0.5) {
                self.queue.push(
                    self.stalled_until,
                    Happening::AtGateway(branch, from, to, bytes),
                );
            }
            return;
        }
        if let Some(at) = branch
            && self.says_something(at, &bytes)
        {
            let now = self.now;
            self.ledger[at].reached.get_or_insert(now);
        }
        let path = Path {
            local: to,
            remote: from,
            encapsulated: to.port() == 4500,
        };
        self.gateway.datagram(self.now, path, bytes);
        self.after_gateway();
    }

    /// Whether headquarters can make something of a datagram: it begins a handshake, or belongs to
    /// an IKE SA of the branch. An IKE_AUTH whose half-open SA has timed out does not, and for
    /// minutes the branch may send nothing else.
    fn says_something(&self, at: usize, bytes: &[u8]) -> bool {
        let begins = bytes.get(8..16) == Some(&[0; 8]);
        let lives = |b: &Branch| b.alone_since().is_none();
        bytes.len() > 1 && (begins || self.branches[at].as_ref().is_some_and(lives))
    }

    pub(super) fn gateway_sends(&mut self, path: &Path, bytes: Vec<u8>) {
        self.check_secrecy(&bytes);
        self.trace.datagram(self.now, None, &bytes);
        let (from, to) = (path.local, path.remote);
        let Some(at) = self.behind(to, from) else {
            return;
        };
        let Some(late) = self.tampered(Side::Gateway, from.port(), &bytes) else {
            return;
        };
        if self.weather[at].deaf {
            return;
        }
        for bytes in self.through(at, bytes) {
            let arrives = self.arrival(at) + late;
            self.queue
                .push(arrives, Happening::AtBranch(to, from, bytes));
        }
    }

    /// A NAT gets another address: what is under way to the old one gets nowhere.
    pub(crate) fn readdress(&mut self, nat: usize) {
        let IpAddr::V4(old) = self.nats[nat].outside else {
            return;
        };
        let [a, b, c, d] = old.octets();
        let new = IpAddr::V4(Ipv4Addr::new(a, b ^ 1, c, d));
        self.places.remove(&old.into());
        self.places.insert(new, Place::Nat(nat));
        self.nats[nat].readdress(new);
    }

    /// The branch that an outer address leads to now.
    pub(crate) fn behind(&mut self, to: SocketAddr, from: SocketAddr) -> Option<usize> {
        self.resolve(to, from).map(|(at, _)| at)
    }

    fn resolve(&mut self, to: SocketAddr, from: SocketAddr) -> Option<(usize, u16)> {
        match self.places.get(&to.ip())? {
            Place::Nat(nat) => self.nats[*nat].inbound(self.now, from, to.port()),
            Place::Branch(at) => Some((*at, to.port())),
        }
    }

    pub(super) fn at_branch(&mut self, to: SocketAddr, from: SocketAddr, bytes: Vec<u8>) {
        let Some((at, port)) = self.resolve(to, from) else {
            return;
        };
        let slowness = self.plan.seats[at].plan.habits.slowness;
        if slowness.is_zero() {
            self.with_branch(at, |branch, now| branch.datagram(now, port, from, bytes));
        } else {
            self.queue.push(
                self.now + slowness,
                Happening::TakenIn(at, port, from, bytes),
            );
        }
    }

    fn check_secrecy(&mut self, bytes: &[u8]) {
        if packet::is_clear(bytes) {
            self.fail("an inner packet went out in clear");
        }
    }
}

/// IKE_SA_INIT, which only the UDP checksum protects: what is corrupt of it is lost. Nobody who takes it
/// for good can say so before the other side gives up.
fn is_init(bytes: &[u8]) -> bool {
    let marked = bytes.starts_with(&[0; 4]);
    let at = if marked { 4 } else { 0 };
    bytes.get(at + 17..at + 19) == Some(&[0x20, 34])
}
