//! A small world for shards: virtual time, a lossy network, NATs, a directory.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]
#![allow(dead_code, unreachable_pub, missing_docs)]

use hawser_crypto::KePrivate;
use hawser_esp::packet::Ecn;
use hawser_flight::{Event, Path};
use hawser_policy::*;
use hawser_shard::io::*;
use hawser_shard::{Shard, ShardConfig};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const HQ: &str = "192.0.2.1";
pub const LATENCY: Duration = Duration::from_millis(10);

/// One machine: its shards, and what it did.
pub struct Node {
    pub shards: Vec<Shard>,
    pub directory: Vec<Claimed>,
    pub events: Vec<Event>,
    pub delivered: Vec<(TenantId, Vec<u8>)>,
    pub routes: HashMap<(TenantId, ipnet::IpNet), Vec<u64>>,
    pub replies: Vec<Reply>,
    pub finished: bool,
    /// Inside address -> outside address, for a branch behind a NAT.
    pub nat: Option<Nat>,
    pub frozen: bool,
    pub overheard: Vec<(Path, Vec<u8>)>,
}

pub struct Nat {
    pub inside: std::net::IpAddr,
    pub outside: std::net::IpAddr,
    pub port: u16,
}

#[derive(Clone)]
pub struct Claimed {
    pub located: Located,
    pub tenant: TenantId,
    pub selectors: Vec<TrafficSelector>,
}

#[derive(Default)]
struct Sink {
    outer: Vec<(Path, Vec<u8>)>,
    inner: Vec<(TenantId, Vec<u8>)>,
    handed: Vec<(ShardId, Handed)>,
}

enum Handed {
    Datagram(Path, Vec<u8>),
    Inner(TenantId, Vec<u8>),
}

impl PacketSink for Sink {
    fn outer(&mut self, path: &Path, _: Ecn, packet: &[u8]) {
        self.outer.push((*path, packet.to_vec()));
    }
    fn inner(&mut self, tenant: TenantId, packet: &[u8]) {
        self.inner.push((tenant, packet.to_vec()));
    }
    fn hand_off(&mut self, to: ShardId, packet: HandOff<'_>) {
        let packet = match packet {
            HandOff::Datagram { path, payload, .. } => Handed::Datagram(path, payload.to_vec()),
            HandOff::Inner { tenant, packet } => Handed::Inner(tenant, packet.to_vec()),
        };
        self.handed.push((to, packet));
    }
}

pub struct World {
    pub now: Instant,
    pub start: Instant,
    pub nodes: Vec<Node>,
    pub loss: f64,
    rng: ChaCha20Rng,
    flying: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    datagrams: HashMap<u64, (SocketAddr, SocketAddr, Vec<u8>)>,
    next: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let now = Instant::now();
        Self {
            now,
            start: now,
            nodes: Vec::new(),
            loss: 0.0,
            rng: ChaCha20Rng::seed_from_u64(seed),
            flying: BinaryHeap::new(),
            datagrams: HashMap::new(),
            next: 0,
        }
    }

    pub fn add(&mut self, policy: Policy, shards: u8, nat: Option<Nat>) -> usize {
        let policy = Arc::new(policy);
        let make = |id: u8, seed: [u8; 32]| {
            let config = ShardConfig {
                id: ShardId(id),
                shards,
                seed,
                policy: Arc::clone(&policy),
            };
            Shard::new(config, self.now)
        };
        let shards = (0..shards).map(|id| make(id, self.rng.random())).collect();
        self.nodes.push(Node {
            shards,
            directory: Vec::new(),
            events: Vec::new(),
            delivered: Vec::new(),
            routes: HashMap::new(),
            replies: Vec::new(),
            finished: false,
            nat,
            frozen: false,
            overheard: Vec::new(),
        });
        let node = self.nodes.len() - 1;
        self.drain(node);
        node
    }

    fn send(&mut self, from: usize, path: Path, payload: Vec<u8>) {
        self.nodes[from].overheard.push((path, payload.clone()));
        if self.rng.random_bool(self.loss) {
            return;
        }
        let source = match &self.nodes[from].nat {
            Some(nat) => SocketAddr::new(nat.outside, nat.port + path.local.port() % 1000),
            None => path.local,
        };
        let Some(to) = self.find(path.remote) else {
            return;
        };
        self.next += 1;
        self.flying
            .push(Reverse((self.now + LATENCY, self.next, to)));
        self.datagrams
            .insert(self.next, (source, path.remote, payload));
    }

    /// Puts a datagram on the wire as if it came from `source`.
    pub fn inject(
        &mut self,
        source: SocketAddr,
        to: usize,
        destination: SocketAddr,
        bytes: Vec<u8>,
    ) {
        self.next += 1;
        self.flying.push(Reverse((self.now, self.next, to)));
        self.datagrams
            .insert(self.next, (source, destination, bytes));
    }

    fn find(&self, address: SocketAddr) -> Option<usize> {
        self.nodes.iter().position(|n| match &n.nat {
            Some(nat) => {
                nat.outside == address.ip()
                    && [500, 4500]
                        .iter()
                        .any(|p| nat.port + p % 1000 == address.port())
            }
            None => address.ip() == HQ.parse::<std::net::IpAddr>().unwrap(),
        })
    }

    fn arrive(
        &mut self,
        to: usize,
        source: SocketAddr,
        destination: SocketAddr,
        mut bytes: Vec<u8>,
    ) {
        if self.nodes[to].frozen {
            return;
        }
        let local = match &self.nodes[to].nat {
            Some(nat) => {
                let port = if destination.port() - nat.port == 0 {
                    4000
                } else {
                    500
                };
                let port = if port == 500 && destination.port() == nat.port + 500 {
                    // Both 500 and 4500 map to +500: told apart by the sender's port.
                    if source.port() == 4500 { 4500 } else { 500 }
                } else {
                    port
                };
                SocketAddr::new(nat.inside, port)
            }
            None => destination,
        };
        let path = Path {
            local,
            remote: source,
            encapsulated: local.port() == 4500,
        };
        let mut sink = Sink::default();
        let count = self.nodes[to].shards.len();
        // Any shard may receive it: steering is the engine's.
        let shard = self.rng.random_range(0..count);
        self.nodes[to].shards[shard].datagram(self.now, path, Ecn::NotEct, &mut bytes, &mut sink);
        self.absorb(to, sink);
        self.drain(to);
    }

    fn absorb(&mut self, node: usize, sink: Sink) {
        for (path, packet) in sink.outer {
            self.send(node, path, packet);
        }
        self.nodes[node].delivered.extend(sink.inner);
        for (to, packet) in sink.handed {
            let mut sink = Sink::default();
            let shard = &mut self.nodes[node].shards[usize::from(to.0)];
            match packet {
                Handed::Datagram(path, mut bytes) => {
                    shard.handed_datagram(self.now, path, Ecn::NotEct, &mut bytes, &mut sink);
                }
                Handed::Inner(tenant, mut bytes) => {
                    shard.handed_inner(self.now, tenant, &mut bytes, &mut sink);
                }
            }
            self.absorb(node, sink);
        }
    }

    /// A packet from the inside.
    pub fn inner(&mut self, node: usize, tenant: u16, mut packet: Vec<u8>) {
        let mut sink = Sink::default();
        let count = self.nodes[node].shards.len();
        let shard = self.rng.random_range(0..count);
        let shard = &mut self.nodes[node].shards[shard];
        shard.inner(self.now, TenantId(tenant), &mut packet, &mut sink);
        self.absorb(node, sink);
        self.drain(node);
    }

    pub fn command(&mut self, node: usize, command: Command) {
        for shard in 0..self.nodes[node].shards.len() {
            self.nodes[node].shards[shard].command(self.now, CommandId(1), command.clone());
        }
        self.drain(node);
    }

    fn drain(&mut self, node: usize) {
        loop {
            let mut idle = true;
            for shard in 0..self.nodes[node].shards.len() {
                while let Some(output) = self.nodes[node].shards[shard].poll_output() {
                    idle = false;
                    self.output(node, shard, output);
                }
            }
            if idle {
                return;
            }
        }
    }

    fn output(&mut self, node: usize, shard: usize, output: Output) {
        match output {
            Output::Transmit { path, payload } => self.send(node, path, payload),
            Output::Ask(id, question) => {
                let answer = self.answer(node, question);
                self.nodes[node].shards[shard].answer(self.now, id, answer);
            }
            Output::Route(change) => {
                let owners = self.nodes[node]
                    .routes
                    .entry((change.tenant, change.net))
                    .or_default();
                if change.install {
                    owners.push(change.owner);
                } else {
                    let at = owners.iter().position(|o| *o == change.owner);
                    owners.swap_remove(at.expect("a route that was not there is removed"));
                }
            }
            Output::Send(to, message) => {
                self.nodes[node].shards[usize::from(to.0)].message(self.now, message);
            }
            Output::Event(_, event) => self.nodes[node].events.push(event),
            Output::Reply(_, reply) => self.nodes[node].replies.push(reply),
            Output::Finished => self.nodes[node].finished = true,
        }
    }

    fn answer(&mut self, node: usize, question: Question) -> Answer {
        match question {
            Question::KeyExchange(work) => Answer::KeyExchange(self.work(work)),
            Question::Directory(DirectoryRequest::Locate {
                tenant,
                identity,
                endpoint,
                selectors,
            }) => {
                let overlaps = |c: &Claimed| {
                    c.selectors
                        .iter()
                        .any(|a| selectors.iter().any(|b| a.intersect(b).is_some()))
                };
                let mut found: Vec<Located> = Vec::new();
                for c in self.nodes[node]
                    .directory
                    .iter()
                    .filter(|c| c.tenant == tenant)
                {
                    let same = c.located.identity == identity;
                    if overlaps(c) || (same && c.located.endpoint == endpoint) {
                        found.push(Located {
                            overlaps: overlaps(c),
                            ..c.located.clone()
                        });
                    }
                }
                let (same, others) = found.into_iter().partition(|l| l.identity == identity);
                Answer::Located { same, others }
            }
            Question::Directory(DirectoryRequest::Claim {
                device,
                shard,
                tenant,
                identity,
                endpoint,
                selectors,
                alive,
            }) => {
                let directory = &mut self.nodes[node].directory;
                directory.retain(|c| c.located.device != device);
                if !selectors.is_empty() {
                    let located = Located {
                        device,
                        shard,
                        identity,
                        endpoint,
                        overlaps: false,
                        alive,
                    };
                    directory.push(Claimed {
                        located,
                        tenant,
                        selectors,
                    });
                }
                Answer::Located {
                    same: Vec::new(),
                    others: Vec::new(),
                }
            }
        }
    }

    fn work(&mut self, work: KeRequest) -> KeAnswer {
        match work {
            KeRequest::Generate(method) => KeAnswer::Generated(method.generate(&mut self.rng)),
            KeRequest::Agree {
                private,
                peer_public,
            } => KeAnswer::Agreed(KePrivate::agree(private, &peer_public)),
            KeRequest::Respond {
                method,
                peer_public,
            } => {
                let made = method
                    .generate(&mut self.rng)
                    .and_then(|(private, public)| {
                        private.agree(&peer_public).map(|shared| (public, shared))
                    });
                KeAnswer::Responded(made)
            }
        }
    }

    /// Lets `time` pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let datagram = self.flying.peek().map(|Reverse((at, ..))| *at);
            let timer = self
                .nodes
                .iter()
                .filter(|n| !n.frozen)
                .flat_map(|n| n.shards.iter().filter_map(Shard::next_timeout))
                .min();
            let Some(next) = [datagram, timer]
                .into_iter()
                .flatten()
                .min()
                .filter(|t| *t <= end)
            else {
                self.now = end;
                return;
            };
            self.now = next.max(self.now);
            if datagram.is_some_and(|at| at <= self.now) {
                let Reverse((_, id, to)) = self.flying.pop().unwrap();
                let (source, destination, bytes) = self.datagrams.remove(&id).unwrap();
                self.arrive(to, source, destination, bytes);
            } else {
                for node in 0..self.nodes.len() {
                    if self.nodes[node].frozen {
                        continue;
                    }
                    for shard in 0..self.nodes[node].shards.len() {
                        self.nodes[node].shards[shard].timeout(self.now);
                    }
                    self.drain(node);
                }
            }
        }
    }

    /// Everything a node knows of its peers.
    pub fn show(&mut self, node: usize) -> Vec<hawser_shard::view::PeerView> {
        self.nodes[node].replies.clear();
        self.command(node, Command::Show(PeerFilter::All));
        let replies = std::mem::take(&mut self.nodes[node].replies);
        replies
            .into_iter()
            .flat_map(|r| match r {
                Reply::Show(views) => views,
                _ => Vec::new(),
            })
            .collect()
    }

    /// Sends `count` packets each way, `every` apart, and says how many arrived at (a, b).
    pub fn ping(
        &mut self,
        a: usize,
        b: usize,
        src: [u8; 4],
        dst: [u8; 4],
        count: usize,
        every: Duration,
    ) -> (usize, usize) {
        self.nodes[a].delivered.clear();
        self.nodes[b].delivered.clear();
        for _ in 0..count {
            self.inner(a, 0, udp(src, dst));
            self.inner(b, 0, udp(dst, src));
            self.run(every);
        }
        self.run(LATENCY * 2);
        (self.nodes[a].delivered.len(), self.nodes[b].delivered.len())
    }
}

/// A UDP packet of IPv4.
pub fn udp(src: [u8; 4], dst: [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(src);
    packet.extend(dst);
    packet.extend([0x10, 0, 0x20, 0, 0, 12, 0, 0, 1, 2, 3, 4]);
    packet
}

pub struct Spec<'a> {
    pub ike: &'a str,
    pub esp: &'a str,
    pub identity: &'a str,
    pub lan: &'a str,
    pub ike_life: u64,
    pub child_life: u64,
    pub dpd: Option<DpdSettings>,
}

impl Default for Spec<'_> {
    fn default() -> Self {
        Self {
            ike: "aes128-sha1-x25519",
            esp: "aes128-sha1",
            identity: "test",
            lan: "172.16.1.0/24",
            ike_life: 86400,
            child_life: 3600,
            dpd: None,
        }
    }
}

fn template(spec: &Spec<'_>, identity: Option<&str>, local: &str, remote: &[&str]) -> PeerTemplate {
    let secs = |s| Some(Duration::from_secs(s));
    let ts = |t: &str| TrafficSelector::parse(t).unwrap();
    PeerTemplate {
        id: TemplateId(0),
        name: "t".into(),
        tenant: TenantId(0),
        local_identity: identity.map(|i| Identity::parse(i).unwrap()),
        ike_proposals: vec![IkeProposal::parse(spec.ike).unwrap()],
        ike_lifetimes: Lifetimes::with_default_margin(secs(spec.ike_life), None),
        children: vec![ChildTemplate {
            name: "c".into(),
            proposals: vec![EspProposal::parse(spec.esp).unwrap()],
            local: vec![ts(local)],
            remote: remote.iter().map(|t| ts(t)).collect(),
            lifetimes: Lifetimes::with_default_margin(secs(spec.child_life), None),
            replay_window: 4096,
        }],
        dpd: spec.dpd,
        nat_keepalive: Some(Duration::from_secs(10)),
        retransmission: Retransmission::default(),
        allow_any_route: false,
        fragment_size: 1280,
        initiate: None,
    }
}

fn policy(template: PeerTemplate, listen: &str, pad: Vec<PadEntry>) -> Policy {
    let ike = template.ike_proposals.clone();
    Policy {
        revision: 1,
        listen: Listen {
            addresses: vec![listen.parse().unwrap()],
            port: 500,
            nat_port: 4500,
            native_esp: false,
        },
        shards: None,
        admission: Admission::default(),
        observability: Observability { metrics: None },
        tenants: vec![Tenant {
            id: TenantId(0),
            name: "default".into(),
            interface: "tun0".into(),
            mtu: 1400,
            addresses: Vec::new(),
            namespace: None,
            protected: Vec::new(),
        }],
        templates: vec![Arc::new(template)],
        ike_policies: vec![IkePolicy {
            name: "p".into(),
            local: Vec::new(),
            proposals: ike,
        }],
        pad: Pad::new(pad),
    }
}

/// Headquarters: takes every peer named `spec.identity`, or anybody.
pub fn hq(spec: &Spec<'_>) -> Policy {
    let entry = PadEntry {
        remote: IdentityPattern::Any,
        local: Vec::new(),
        remote_networks: Vec::new(),
        template: TemplateId(0),
        secret: Secret::new(b"test".to_vec()),
    };
    let template = template(spec, None, "192.168.100.0/24", &["0.0.0.0/0"]);
    policy(template, HQ, vec![entry])
}

/// A branch that begins.
pub fn branch(spec: &Spec<'_>) -> Policy {
    let mut template = template(spec, Some(spec.identity), spec.lan, &["192.168.100.0/24"]);
    template.initiate = Some(Initiate {
        remote: format!("{HQ}:500").parse().unwrap(),
        remote_identity: Identity::parse(HQ).unwrap(),
        secret: Secret::new(b"test".to_vec()),
    });
    policy(template, "192.168.1.100", Vec::new())
}

pub fn nat(n: u8) -> Nat {
    Nat {
        inside: "192.168.1.100".parse().unwrap(),
        outside: format!("198.51.100.{n}").parse().unwrap(),
        port: 10_000,
    }
}
