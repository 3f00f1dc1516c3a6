//! A NAT in front of one branch or of many (CGNAT): mapping, filtering, expiry, reuse of ports.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Whose packets a mapping lets in (RFC 4787 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filtering {
    /// Anybody's.
    EndpointIndependent,
    /// Those from an address that was sent to.
    AddressDependent,
    /// Those from an address and port that were sent to.
    AddressAndPortDependent,
}

/// How it chooses outside ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ports {
    /// The lowest that is free: what one branch loses another one soon has.
    Lowest,
    /// One at random.
    Random,
    /// The branch's own where that is free, else the lowest that is.
    Kept,
}

/// A kind of NAT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NatKind {
    /// Whose packets it lets in.
    pub filtering: Filtering,
    /// How it chooses ports.
    pub ports: Ports,
    /// How long a mapping lives that nothing is sent on.
    pub lifetime: Duration,
}

/// Inside: which branch, and its port.
type Inside = (usize, u16);

#[derive(Debug)]
struct Mapping {
    inside: Inside,
    port: u16,
    used: Instant,
    sent_to: Vec<SocketAddr>,
}

/// A NAT.
#[derive(Debug)]
pub struct Nat {
    /// Its address outside.
    pub outside: IpAddr,
    /// What it does.
    pub kind: NatKind,
    /// While a fault shortens it, how long a mapping lives.
    pub shortened: Option<Duration>,
    mappings: Vec<Mapping>,
    last: u16,
}

const FIRST_PORT: u16 = 1024;

impl Nat {
    /// Without mappings.
    pub fn new(outside: IpAddr, kind: NatKind) -> Self {
        Self {
            outside,
            kind,
            shortened: None,
            mappings: Vec::new(),
            last: FIRST_PORT,
        }
    }

    fn expire(&mut self, now: Instant) {
        let lifetime = self.shortened.unwrap_or(self.kind.lifetime);
        self.mappings.retain(|m| m.used + lifetime > now);
    }

    /// A branch sends: where that comes from, seen from outside.
    pub fn outbound(
        &mut self,
        now: Instant,
        rng: &mut ChaCha8Rng,
        inside: Inside,
        to: SocketAddr,
    ) -> SocketAddr {
        self.expire(now);
        let at = self.mappings.iter().position(|m| m.inside == inside);
        let at = at.unwrap_or_else(|| {
            let port = self.free_port(rng, inside.1);
            self.mappings.push(Mapping {
                inside,
                port,
                used: now,
                sent_to: Vec::new(),
            });
            self.mappings.len() - 1
        });
        let mapping = &mut self.mappings[at];
        mapping.used = now;
        if !mapping.sent_to.contains(&to) {
            mapping.sent_to.push(to);
        }
        SocketAddr::new(self.outside, mapping.port)
    }

    /// A datagram comes from outside: for whom, if anybody.
    pub fn inbound(&mut self, now: Instant, from: SocketAddr, port: u16) -> Option<Inside> {
        self.expire(now);
        let mapping = self.mappings.iter().find(|m| m.port == port)?;
        let allowed = match self.kind.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => mapping.sent_to.iter().any(|a| a.ip() == from.ip()),
            Filtering::AddressAndPortDependent => mapping.sent_to.contains(&from),
        };
        allowed.then_some(mapping.inside)
    }

    /// Whether a branch can be reached through any mapping.
    pub fn keeps(&mut self, now: Instant, branch: usize) -> bool {
        self.expire(now);
        self.mappings.iter().any(|m| m.inside.0 == branch)
    }

    /// It forgets its mappings of a branch, or all: what is sent next gets other ports.
    pub fn forget(&mut self, branch: Option<usize>) {
        self.mappings
            .retain(|m| branch.is_some_and(|b| m.inside.0 != b));
    }

    /// It has another address outside, and no mapping.
    pub fn readdress(&mut self, outside: IpAddr) {
        self.outside = outside;
        self.mappings.clear();
    }

    fn free_port(&mut self, rng: &mut ChaCha8Rng, own: u16) -> u16 {
        let taken = |port: u16| self.mappings.iter().any(|m| m.port == port);
        let free = match self.kind.ports {
            Ports::Kept if !taken(own) => Some(own),
            Ports::Lowest | Ports::Kept => (FIRST_PORT..u16::MAX).find(|p| !taken(*p)),
            Ports::Random => (0..64)
                .map(|_| rng.random_range(FIRST_PORT..u16::MAX))
                .find(|p| !taken(*p) && *p != self.last),
        };
        self.last = free.unwrap_or(FIRST_PORT);
        self.last
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand::SeedableRng;

    const HQ: &str = "192.0.2.1:4500";
    const OTHER: &str = "192.0.2.2:4500";

    fn nat(filtering: Filtering, ports: Ports) -> Nat {
        let kind = NatKind {
            filtering,
            ports,
            lifetime: Duration::from_secs(30),
        };
        Nat::new("198.18.0.1".parse().unwrap(), kind)
    }

    #[test]
    fn a_mapping_lets_in_who_was_sent_to_until_it_expires() {
        let (now, mut rng) = (Instant::now(), ChaCha8Rng::seed_from_u64(1));
        let mut nat = nat(Filtering::AddressAndPortDependent, Ports::Lowest);
        let (hq, other) = (HQ.parse().unwrap(), OTHER.parse().unwrap());
        let seen = nat.outbound(now, &mut rng, (7, 4500), hq);
        assert_eq!(nat.inbound(now, hq, seen.port()), Some((7, 4500)));
        assert_eq!(nat.inbound(now, other, seen.port()), None);
        let late = now + Duration::from_secs(30);
        assert_eq!(nat.inbound(late, hq, seen.port()), None);
    }

    #[test]
    fn what_one_branch_loses_another_has() {
        let (now, mut rng) = (Instant::now(), ChaCha8Rng::seed_from_u64(1));
        let mut nat = nat(Filtering::EndpointIndependent, Ports::Lowest);
        let hq = HQ.parse().unwrap();
        let first = nat.outbound(now, &mut rng, (1, 4500), hq);
        nat.forget(Some(1));
        assert_eq!(nat.outbound(now, &mut rng, (2, 4500), hq), first);
        assert_ne!(nat.outbound(now, &mut rng, (1, 4500), hq), first);
        assert_eq!(nat.inbound(now, hq, first.port()), Some((2, 4500)));
    }
}
