//! A gateway and its branches in memory: shards without sockets, threads or a clock of their own.
#![allow(dead_code, reason = "each bench uses a part of it")]

mod policies;

use hawser_crypto::KeError;
use hawser_esp::packet::Ecn;
use hawser_flight::Path;
use hawser_policy::TenantId;
use hawser_shard::io::{
    Answer, AskId, HandOff, InnerPacket, KeAnswer, KeRequest, Output, PacketSink, Question, ShardId,
};
use hawser_shard::{Shard, ShardConfig};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use policies::Suites;

/// The gateway's NAT traversal port.
const GATEWAY: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4500);

/// A datagram on its way.
pub(crate) type Datagram = (Path, Vec<u8>);

/// One shard of the gateway, or a branch, with the workers and the directory that it asks.
pub(crate) struct Node {
    pub(crate) shard: Shard,
    rng: ChaCha20Rng,
    /// How long its own work took so far.
    pub(crate) spent: Duration,
}

/// Collects what a batch makes.
#[derive(Default)]
pub(crate) struct Collect {
    pub(crate) outer: Vec<Datagram>,
    pub(crate) inner: Vec<Vec<u8>>,
}

impl PacketSink for Collect {
    fn outer(&mut self, path: &Path, _: Ecn, packet: &[u8]) {
        self.outer.push((*path, packet.to_vec()));
    }

    fn inner(&mut self, _: TenantId, packet: &[u8]) {
        self.inner.push(packet.to_vec());
    }

    fn hand_off(&mut self, to: ShardId, _: HandOff<'_>) {
        panic!("nothing here belongs to shard {to:?}");
    }
}

impl Node {
    /// A shard of a gateway with `shards` of them.
    pub(crate) fn gateway(suites: Suites, id: u8, shards: u8, now: Instant) -> Self {
        Self::new(policies::gateway(suites), id, shards, now)
    }

    /// Branch `number`, that calls the gateway.
    pub(crate) fn branch(suites: Suites, number: u32, now: Instant) -> Self {
        Self::new(policies::branch(suites, number), 0, 1, now)
    }

    fn new(policy: hawser_policy::Policy, id: u8, shards: u8, now: Instant) -> Self {
        let config = ShardConfig {
            id: ShardId(id),
            shards,
            seed: rand::random(),
            policy: Arc::new(policy),
        };
        Self {
            shard: Shard::new(config, now),
            rng: rand::make_rng(),
            spent: Duration::ZERO,
        }
    }

    /// Works on a datagram; what it sends then.
    pub(crate) fn datagram(
        &mut self,
        now: Instant,
        (path, mut payload): Datagram,
    ) -> Vec<Datagram> {
        let begin = Instant::now();
        let mut made = Collect::default();
        self.shard
            .datagram(now, path, Ecn::NotEct, &mut payload, &mut made);
        made.outer.extend(self.drain(now));
        self.spent += begin.elapsed();
        made.outer
    }

    /// Lets it do what is due; what it sends then.
    pub(crate) fn timeout(&mut self, now: Instant) -> Vec<Datagram> {
        let begin = Instant::now();
        self.shard.timeout(now);
        let sent = self.drain(now);
        self.spent += begin.elapsed();
        sent
    }

    /// What it wants sent; questions are answered at once.
    pub(crate) fn drain(&mut self, now: Instant) -> Vec<Datagram> {
        let mut sent = Vec::new();
        while let Some(output) = self.shard.poll_output() {
            match output {
                Output::Transmit { path, payload } => sent.push((path, payload)),
                Output::Ask(id, question) => self.answer(now, id, question),
                _ => {}
            }
        }
        sent
    }

    fn answer(&mut self, now: Instant, id: AskId, question: Question) {
        let answer = match question {
            Question::KeyExchange(request) => Answer::KeyExchange(self.work(request)),
            // Every branch here is another device, and none has the network of another.
            Question::Directory(_) => Answer::Located {
                same: Vec::new(),
                others: Vec::new(),
            },
            Question::Authorize(_) | Question::DpdPolicy(_) => panic!("there are no plugins"),
        };
        self.shard.answer(now, id, answer);
    }

    fn work(&mut self, request: KeRequest) -> KeAnswer {
        match request {
            KeRequest::Generate(method) => KeAnswer::Generated(method.generate(&mut self.rng)),
            KeRequest::Respond {
                method,
                peer_public,
            } => {
                let both = method.generate(&mut self.rng);
                let both = both.and_then(|(private, public)| {
                    Ok::<_, KeError>((public, private.agree(&peer_public)?))
                });
                KeAnswer::Responded(both)
            }
            KeRequest::Agree {
                private,
                peer_public,
            } => KeAnswer::Agreed(private.agree(&peer_public)),
        }
    }
}

/// Where branch `number` is seen by the gateway: at one of 20,000 addresses, with other branches behind it, as a carrier does it.
fn outside(number: u32) -> SocketAddr {
    let [_, b, c, d] = (number % 20_000).to_be_bytes();
    SocketAddr::new(
        Ipv4Addr::new(100, 64 | b, c, d).into(),
        10_000 + (number / 20_000) as u16,
    )
}

/// A path seen from its other end.
fn at_gateway(number: u32) -> Path {
    Path {
        local: GATEWAY,
        remote: outside(number),
        encapsulated: true,
    }
}

fn at_branch() -> Path {
    Path {
        local: policies::INSIDE,
        remote: GATEWAY,
        encapsulated: true,
    }
}

/// Carries datagrams between a gateway and branch `number` until both are silent, beginning with what the branch wants to say.
pub(crate) fn talk(now: Instant, gateway: &mut Node, branch: &mut Node, number: u32) {
    let begin = Instant::now();
    let mut up = branch.drain(now);
    branch.spent += begin.elapsed();
    while !up.is_empty() {
        let carry = |(_, payload)| gateway.datagram(now, (at_gateway(number), payload));
        let down: Vec<Datagram> = up.into_iter().flat_map(carry).collect();
        up = answered(now, branch, down);
    }
}

/// What the branch says to what the gateway sent it.
pub(crate) fn answered(now: Instant, branch: &mut Node, down: Vec<Datagram>) -> Vec<Datagram> {
    let carry = |datagram| branch.datagram(now, datagram);
    to_branch(down).into_iter().flat_map(carry).collect()
}

/// What comes from a branch, as the gateway sees it.
pub(crate) fn to_gateway(number: u32, sent: Vec<Datagram>) -> Vec<Datagram> {
    let seen = |(_, payload)| (at_gateway(number), payload);
    sent.into_iter().map(seen).collect()
}

/// What the gateway sends, as a branch sees it.
pub(crate) fn to_branch(sent: Vec<Datagram>) -> Vec<Datagram> {
    let seen = |(_, payload)| (at_branch(), payload);
    sent.into_iter().map(seen).collect()
}

/// The branch that a datagram of the gateway is for.
pub(crate) fn number_of(path: &Path) -> u32 {
    let SocketAddr::V4(remote) = path.remote else {
        panic!("{path:?} is no branch")
    };
    let [_, b, c, d] = remote.ip().octets();
    u32::from_be_bytes([0, b & !64, c, d]) + 20_000 * u32::from(remote.port() - 10_000)
}

/// An ESP packet with `octets` of UDP inside from branch to gateway, or from gateway to branch.
pub(crate) fn sealed(now: Instant, from: &mut Node, packet: &mut [u8]) -> Vec<Datagram> {
    let mut made = Collect::default();
    from.shard.inner_batch(
        now,
        TenantId(0),
        &mut [InnerPacket::from(packet)],
        &mut made,
    );
    made.outer
}

/// A UDP packet of `octets` octets, IP header included, from a host of branch `number` to the headquarters.
pub(crate) fn up(number: u32, octets: usize) -> Vec<u8> {
    udp(policies::host(number), policies::SERVER, octets)
}

/// The same from the headquarters to the branch.
pub(crate) fn down(number: u32, octets: usize) -> Vec<u8> {
    udp(policies::SERVER, policies::host(number), octets)
}

fn udp(from: Ipv4Addr, to: Ipv4Addr, octets: usize) -> Vec<u8> {
    let [hi, lo] = (octets as u16).to_be_bytes();
    let mut packet = vec![0x45, 0, hi, lo, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.octets());
    let [hi, lo] = (octets as u16 - 20).to_be_bytes();
    packet.extend([0x10, 0, 0x20, 0, hi, lo, 0, 0]);
    packet.resize(octets, 7);
    packet
}

/// A generator of the same numbers every time.
pub(crate) fn repeatable() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}
