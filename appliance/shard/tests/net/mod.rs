//! A small world for shards: virtual time, a lossy network, NATs, a directory.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]
#![allow(dead_code, unreachable_pub, missing_docs)]

mod answers;
mod nat;
mod policies;

pub use answers::Directory;
pub use nat::*;
pub use policies::*;

use hawser_esp::packet::Ecn;
use hawser_flight::{Event, Path};
use hawser_policy::*;
use hawser_shard::hooks::*;
use hawser_shard::io::*;
use hawser_shard::restore::Remembered;
use hawser_shard::{Shard, ShardConfig};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const HQ: &str = "192.0.2.1";
pub const LATENCY: Duration = Duration::from_millis(10);

/// One machine: its shards, and what it did.
pub struct Node {
    policy: Arc<Policy>,
    pub shards: Vec<Shard>,
    pub directory: Directory,
    pub events: Vec<Event>,
    pub delivered: Vec<(TenantId, Vec<u8>)>,
    pub routes: HashMap<(TenantId, ipnet::IpNet), Vec<u64>>,
    pub replies: Vec<Reply>,
    pub incidents: Vec<hawser_shard::recorder::Incident>,
    pub traced: Vec<hawser_shard::trace::Traced>,
    pub captured: Vec<hawser_shard::trace::Sight>,
    /// How often a shard has said that it is finished.
    pub finished: usize,
    pub address: IpAddr,
    pub nat: Option<Nat>,
    /// Nothing arrives, and no time passes.
    pub frozen: bool,
    /// No IKE message of its gets through.
    pub mute_ike: bool,
    /// What it sent.
    pub overheard: Vec<(Path, Vec<u8>)>,
    /// The shard that the outside reaches; any, where it is not said: steering is the engine's.
    pub steer: Option<usize>,
    /// Questions for which this holds are not answered until [`World::release`].
    pub withhold: fn(&Question) -> bool,
    withheld: Vec<(usize, AskId, Question)>,
    /// What the authorization plugin says, where it is asked.
    pub authorize: fn(&AuthorizeRequest) -> Authorized,
    /// What the DPD plugin says.
    pub dpd: Box<dyn FnMut(&DpdEvidence) -> DpdDecided>,
    /// Why DPD was asked, and when.
    pub dpd_asked: Vec<(Instant, Trigger)>,
    /// Shards' messages to each other wait for [`World::release`].
    pub hold_mail: bool,
    mail: Vec<(ShardId, Message)>,
}

impl Node {
    pub fn footprint(&self) -> [usize; 5] {
        let mut sum = [0; 5];
        for shard in &self.shards {
            let more = shard.footprint();
            sum.iter_mut().zip(more).for_each(|(sum, n)| *sum += n);
        }
        sum
    }
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
    pub latency: Duration,
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
            latency: LATENCY,
            rng: ChaCha20Rng::seed_from_u64(seed),
            flying: BinaryHeap::new(),
            datagrams: HashMap::new(),
            next: 0,
        }
    }

    pub fn add(&mut self, policy: Policy, shards: u8, nat: Option<Nat>) -> usize {
        let address = policy.listen.addresses[0];
        let policy = Arc::new(policy);
        let shards = self.shards(&policy, shards);
        self.nodes.push(Node {
            policy,
            shards,
            directory: Directory::default(),
            events: Vec::new(),
            delivered: Vec::new(),
            routes: HashMap::new(),
            replies: Vec::new(),
            incidents: Vec::new(),
            traced: Vec::new(),
            captured: Vec::new(),
            finished: 0,
            address,
            nat,
            frozen: false,
            mute_ike: false,
            overheard: Vec::new(),
            steer: None,
            withhold: |_| false,
            withheld: Vec::new(),
            authorize: |_| Authorized::Unasked,
            dpd: Box::new(|_| DpdDecided::Undecided("nobody".into())),
            dpd_asked: Vec::new(),
            hold_mail: false,
            mail: Vec::new(),
        });
        let node = self.nodes.len() - 1;
        self.drain(node);
        node
    }

    fn shards(&mut self, policy: &Arc<Policy>, shards: u8) -> Vec<Shard> {
        let make = |id: u8| {
            let config = ShardConfig {
                id: ShardId(id),
                shards,
                seed: self.rng.random(),
                policy: Arc::clone(policy),
            };
            Shard::new(config, self.now)
        };
        (0..shards).map(make).collect()
    }

    /// The node dies, and begins anew with what it remembers of devices.
    pub fn restart(&mut self, node: usize, remembered: Vec<Remembered>) {
        let policy = Arc::clone(&self.nodes[node].policy);
        let count = u8::try_from(self.nodes[node].shards.len()).unwrap();
        let mut shards = self.shards(&policy, count);
        for device in remembered {
            let bucket = device.spis.last().map_or(0, |spi| spi.to_be_bytes()[0]);
            let shard = usize::from(hawser_shard::shard_of(bucket, count).0);
            shards[shard].restore(self.now, vec![device]);
        }
        let dead = &mut self.nodes[node];
        (dead.shards, dead.directory) = (shards, Directory::default());
        dead.routes.clear();
        dead.events.clear();
        self.drain(node);
    }

    fn send(&mut self, from: usize, path: Path, payload: Vec<u8>) {
        self.nodes[from].overheard.push((path, payload.clone()));
        let is_ike = path.local.port() == 500 || payload.get(..4) == Some(&[0; 4]);
        if self.nodes[from].mute_ike && is_ike {
            return;
        }
        if self.rng.random_bool(self.loss) {
            return;
        }
        let source = match &self.nodes[from].nat {
            Some(nat) if path.local.port() != 0 => nat.translate(path.local.port()),
            _ => path.local,
        };
        let Some(to) = self.find(path.remote) else {
            return;
        };
        self.next += 1;
        self.flying
            .push(Reverse((self.now + self.latency, self.next, to)));
        self.datagrams
            .insert(self.next, (source, path.remote, payload));
    }

    /// What is under way is lost.
    pub fn drop_flying(&mut self) {
        self.flying.clear();
        self.datagrams.clear();
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
            Some(nat) => nat.resolve(address).is_some(),
            None => n.address == address.ip(),
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
            Some(nat) => nat.resolve(destination),
            None => Some(destination),
        };
        // The mapping may have gone while it was under way.
        let Some(local) = local else {
            return;
        };
        let path = Path {
            local,
            remote: source,
            encapsulated: local.port() == 4500,
        };
        let mut sink = Sink::default();
        let count = self.nodes[to].shards.len();
        let any = self.rng.random_range(0..count);
        let shard = self.nodes[to].steer.unwrap_or(any);
        let shard = &mut self.nodes[to].shards[shard];
        if local.port() == 0 {
            shard.native_esp(self.now, path, Ecn::NotEct, &mut [&mut bytes], &mut sink);
        } else {
            shard.datagram(self.now, path, Ecn::NotEct, &mut bytes, &mut sink);
        }
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

    /// Everything of the node is decided by plugins from now on.
    pub fn hooks(&mut self, node: usize, hooks: Hooks) {
        let hooks = Arc::new(hooks);
        for shard in &mut self.nodes[node].shards {
            shard.hooks(self.now, Arc::clone(&hooks));
        }
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
            Output::Ask(id, question) if (self.nodes[node].withhold)(&question) => {
                self.nodes[node].withheld.push((shard, id, question));
            }
            Output::Ask(id, question) => self.answer(node, shard, id, question),
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
            Output::Send(to, message) if self.nodes[node].hold_mail => {
                self.nodes[node].mail.push((to, message));
            }
            Output::Send(to, message) => {
                self.nodes[node].shards[usize::from(to.0)].message(self.now, message);
            }
            Output::Event(_, event) => self.nodes[node].events.push(event),
            Output::Reply(_, reply) => self.nodes[node].replies.push(reply),
            Output::Incident(incident) => self.nodes[node].incidents.push(*incident),
            Output::Traced(_, hawser_shard::trace::Sight::Message(traced)) => {
                self.nodes[node].traced.push(*traced);
            }
            Output::Traced(_, sight) => self.nodes[node].captured.push(sight),
            Output::Finished => self.nodes[node].finished += 1,
        }
    }

    fn answer(&mut self, node: usize, shard: usize, id: AskId, question: Question) {
        let node = &mut self.nodes[node];
        let answer = match question {
            Question::KeyExchange(work) => Answer::KeyExchange(answers::work(&mut self.rng, work)),
            Question::Directory(request) => node.directory.answer(request),
            Question::Authorize(request) => Answer::Authorized((node.authorize)(&request)),
            Question::DpdPolicy(evidence) => {
                node.dpd_asked.push((self.now, evidence.trigger));
                Answer::DpdPolicy((node.dpd)(&evidence))
            }
        };
        node.shards[shard].answer(self.now, id, answer);
    }

    /// Answers what was withheld and delivers what was held, in order.
    pub fn release(&mut self, node: usize) {
        self.nodes[node].withhold = |_| false;
        self.nodes[node].hold_mail = false;
        for (shard, id, question) in std::mem::take(&mut self.nodes[node].withheld) {
            self.answer(node, shard, id, question);
        }
        for (to, message) in std::mem::take(&mut self.nodes[node].mail) {
            self.nodes[node].shards[usize::from(to.0)].message(self.now, message);
        }
        self.drain(node);
    }

    /// What was withheld is never answered.
    pub fn lose_withheld(&mut self, node: usize) {
        self.nodes[node].withheld.clear();
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

    /// What the ring of a device holds.
    pub fn recall(&mut self, node: usize, device: DeviceId) -> Vec<Event> {
        self.nodes[node].replies.clear();
        self.command(node, Command::Recall(device));
        let replies = std::mem::take(&mut self.nodes[node].replies);
        let recalled = replies.into_iter().flat_map(|reply| match reply {
            Reply::Recall(recall) => recall.ring.recording().entries,
            _ => Vec::new(),
        });
        recalled.map(|entry| entry.event).collect()
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
