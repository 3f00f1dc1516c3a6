//! Headquarters: real shards, and everything around them that the engine is otherwise.

use crate::answers::{self, Directory};
use crate::scenario::Scenario;
use hawser_esp::packet::Ecn;
use hawser_flight::{Event, Path, PeerLabel};
use hawser_policy::{Policy, TenantId};
use hawser_shard::hooks::{HookScope, Hooks};
use hawser_shard::io::*;
use hawser_shard::recorder::Incident;
use hawser_shard::trace::{Sight, Target, Traced, What};
use hawser_shard::view::PeerView;
use hawser_shard::{Shard, ShardConfig, shard_of};
use ipnet::IpNet;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// A datagram that the network card puts on another shard's queue than its SPI says, and an inner
/// packet on another TUN queue: one in so many.
const ASTRAY: u32 = 10;

/// What headquarters does to the world.
#[derive(Debug)]
pub enum Effect {
    /// A datagram goes out.
    Send(Path, Vec<u8>),
    /// A packet came out of a tunnel.
    Inner(TenantId, Vec<u8>),
    /// Work for a key-exchange worker of this shard.
    Work(usize, AskId, KeRequest),
    /// A plugin has decided what this shard asked.
    Decided(usize, AskId, Answer),
    /// One shard tells another.
    Mail(ShardId, Message),
    /// Something happened.
    Event(Option<Arc<PeerLabel>>, Event),
    /// An IKE message of somebody who is looked at.
    Traced(Box<Traced>),
    /// A device dropped, or is back.
    Incident(Box<Incident>),
}

/// Headquarters.
pub struct Gateway {
    shards: Vec<Shard>,
    /// What the shards share.
    pub directory: Directory,
    routes: BTreeMap<(TenantId, IpNet), Vec<u64>>,
    effects: Vec<Effect>,
    replies: Vec<Reply>,
    finished: usize,
    rng: ChaCha8Rng,
    /// What must not happen, and did.
    pub wrongs: Vec<String>,
    /// What is kept of the run for plugins, where that is wanted.
    pub(crate) scenario: Option<Scenario>,
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

impl Gateway {
    /// With so many shards.
    pub fn new(policy: Policy, hooks: Hooks, shards: u8, seed: u64, now: Instant) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (policy, hooks) = (Arc::new(policy), Arc::new(hooks));
        let shards = (0..shards)
            .map(|id| {
                let config = ShardConfig {
                    id: ShardId(id),
                    shards,
                    seed: rng.random(),
                    policy: Arc::clone(&policy),
                };
                let mut shard = Shard::new(config, now);
                shard.hooks(now, Arc::clone(&hooks));
                shard
            })
            .collect();
        Self {
            shards,
            directory: Directory::default(),
            routes: BTreeMap::new(),
            effects: Vec::new(),
            replies: Vec::new(),
            finished: 0,
            rng,
            wrongs: Vec::new(),
            scenario: None,
        }
    }

    /// From now on the shards ask what they ask where a DPD plugin is loaded, and it is kept.
    pub fn keep_scenario(&mut self, now: Instant) {
        self.scenario = Some(Scenario::new(now));
        let hooks = Arc::new(Hooks {
            dpd: vec![HookScope::default()],
            ..Hooks::default()
        });
        for shard in &mut self.shards {
            shard.hooks(now, Arc::clone(&hooks));
        }
    }

    /// What it has done since it was last asked.
    pub fn done(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// When it wants to be woken.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.shards.iter().filter_map(Shard::next_timeout).min()
    }

    /// Its time has come.
    pub fn timeout(&mut self, now: Instant) {
        for shard in &mut self.shards {
            if shard.next_timeout().is_some_and(|at| at <= now) {
                shard.timeout(now);
            }
        }
        self.drain(now);
    }

    /// A datagram arrives.
    pub fn datagram(&mut self, now: Instant, path: Path, mut bytes: Vec<u8>) {
        let shard = self.steer(&path, &bytes);
        let mut sink = Sink::default();
        self.shards[shard].datagram(now, path, Ecn::NotEct, &mut bytes, &mut sink);
        self.absorb(now, sink);
        self.drain(now);
    }

    fn any_shard(&mut self) -> usize {
        self.rng.random_range(0..self.shards.len())
    }

    /// As the kernel steers (DESIGN, Bucket in the SPI); now and then it errs.
    fn steer(&mut self, path: &Path, bytes: &[u8]) -> usize {
        if self.rng.random_ratio(1, ASTRAY) {
            return self.any_shard();
        }
        let ike = match (path.encapsulated, bytes.first_chunk::<4>()) {
            (true, Some([0, 0, 0, 0])) => &bytes[4..],
            (true, Some([bucket, ..])) => return self.owner(*bucket),
            _ => bytes,
        };
        let from_initiator = ike.get(19).is_some_and(|flags| flags & 8 != 0);
        let ours = ike.get(if from_initiator { 8 } else { 0 }).copied();
        match ours {
            Some(bucket) if bucket != 0 => self.owner(bucket),
            _ => ike
                .get(7)
                .map_or(0, |b| usize::from(*b) % self.shards.len()),
        }
    }

    fn owner(&self, bucket: u8) -> usize {
        let shards = u8::try_from(self.shards.len()).unwrap_or(u8::MAX);
        usize::from(shard_of(bucket, shards).0)
    }

    /// A packet from the inside, if it has a route into the TUN of the tenant.
    pub fn inner(&mut self, now: Instant, tenant: TenantId, to: IpAddr, mut packet: Vec<u8>) {
        if !self.has_route(tenant, to) {
            return;
        }
        let shard = self.any_shard();
        let mut sink = Sink::default();
        self.shards[shard].inner(now, tenant, &mut packet, &mut sink);
        self.absorb(now, sink);
        self.drain(now);
    }

    /// Whether the kernel would send a packet for this address into the TUN of the tenant.
    pub fn has_route(&self, tenant: TenantId, to: IpAddr) -> bool {
        let covers = |((t, net), owners): (&(TenantId, IpNet), &Vec<u64>)| {
            *t == tenant && net.contains(&to) && !owners.is_empty()
        };
        self.routes.iter().any(covers)
    }

    fn absorb(&mut self, now: Instant, sink: Sink) {
        for (path, packet) in sink.outer {
            self.effects.push(Effect::Send(path, packet));
        }
        for (tenant, packet) in sink.inner {
            self.effects.push(Effect::Inner(tenant, packet));
        }
        for (to, packet) in sink.handed {
            let mut sink = Sink::default();
            let shard = &mut self.shards[usize::from(to.0)];
            match packet {
                Handed::Datagram(path, mut bytes) => {
                    shard.handed_datagram(now, path, Ecn::NotEct, &mut bytes, &mut sink);
                }
                Handed::Inner(tenant, mut bytes) => {
                    shard.handed_inner(now, tenant, &mut bytes, &mut sink);
                }
            }
            self.absorb(now, sink);
        }
    }

    /// Another shard's message arrives.
    pub fn message(&mut self, now: Instant, to: ShardId, message: Message) {
        self.shards[usize::from(to.0)].message(now, message);
        self.drain(now);
    }

    /// A worker is done.
    pub fn worked(&mut self, now: Instant, shard: usize, id: AskId, work: KeRequest) {
        let answer = Answer::KeyExchange(answers::work(&mut self.rng, work));
        self.shards[shard].answer(now, id, answer);
        self.drain(now);
    }

    /// IKE messages of whoever is at an address are told from now on.
    pub fn watch(&mut self, now: Instant, address: IpAddr, until: Instant) {
        let target = Target {
            device: None,
            address,
        };
        for shard in &mut self.shards {
            shard.trace(now, CommandId(0), target, What::Messages, until);
        }
    }

    /// What a plugin decided arrives.
    pub fn decided(&mut self, now: Instant, shard: usize, id: AskId, answer: Answer) {
        self.shards[shard].answer(now, id, answer);
        self.drain(now);
    }

    fn drain(&mut self, now: Instant) {
        loop {
            let mut idle = true;
            for shard in 0..self.shards.len() {
                while let Some(output) = self.shards[shard].poll_output() {
                    idle = false;
                    self.output(now, shard, output);
                }
            }
            if idle {
                return;
            }
        }
    }

    fn output(&mut self, now: Instant, shard: usize, output: Output) {
        match output {
            Output::Transmit { path, payload } => self.effects.push(Effect::Send(path, payload)),
            Output::Ask(id, Question::Directory(request)) => {
                let answer = self.directory.answer(request);
                self.shards[shard].answer(now, id, answer);
            }
            Output::Ask(id, Question::KeyExchange(work)) => {
                self.effects.push(Effect::Work(shard, id, work));
            }
            Output::Ask(id, Question::Authorize(request)) => {
                let answer = answers::authorize(&request);
                self.effects.push(Effect::Decided(shard, id, answer));
            }
            Output::Ask(id, Question::DpdPolicy(evidence)) => match &mut self.scenario {
                Some(scenario) => {
                    let answer = scenario.decide(&evidence);
                    self.shards[shard].answer(now, id, Answer::DpdPolicy(answer));
                }
                None => {
                    let answer = answers::police(&evidence);
                    self.effects.push(Effect::Decided(shard, id, answer));
                }
            },
            Output::Route(change) => self.route(&change),
            Output::Send(to, message) => self.effects.push(Effect::Mail(to, message)),
            Output::Event(label, event) => self.effects.push(Effect::Event(label, event)),
            Output::Reply(_, reply) => self.replies.push(reply),
            Output::Incident(incident) => self.effects.push(Effect::Incident(incident)),
            Output::Traced(_, Sight::Message(traced)) => {
                self.effects.push(Effect::Traced(traced));
            }
            // Neither packets nor keys are asked for.
            Output::Traced(..) => {}
            Output::Finished => self.finished += 1,
        }
    }

    fn route(&mut self, change: &RouteChange) {
        let at = (change.tenant, change.net);
        let owners = self.routes.entry(at).or_default();
        let known = owners.iter().position(|o| *o == change.owner);
        match (change.install, known) {
            (true, None) => owners.push(change.owner),
            (false, Some(at)) => {
                owners.swap_remove(at);
            }
            _ => self
                .wrongs
                .push(format!("a route change that makes no sense: {change:?}")),
        }
        if self.routes.get(&at).is_some_and(Vec::is_empty) {
            self.routes.remove(&at);
        }
    }

    /// An operator's command, to every shard; the replies.
    pub fn command(&mut self, now: Instant, command: &Command) -> Vec<Reply> {
        for shard in &mut self.shards {
            shard.command(now, CommandId(1), command.clone());
        }
        self.drain(now);
        std::mem::take(&mut self.replies)
    }

    /// Everything it knows of its peers.
    pub fn show(&mut self, now: Instant) -> Vec<PeerView> {
        let replies = self.command(now, &Command::Show(PeerFilter::All));
        let views = replies.into_iter().filter_map(|r| match r {
            Reply::Show(views) => Some(views),
            _ => None,
        });
        views.flatten().collect()
    }

    /// The routes: tenant, network, owners.
    pub fn routes(&self) -> impl Iterator<Item = (&(TenantId, IpNet), &Vec<u64>)> {
        self.routes.iter()
    }

    /// Whether every shard has said that it is finished.
    pub fn is_finished(&self) -> bool {
        self.finished == self.shards.len()
    }

    /// Sum of what the shards keep: timers, questions, devices, SAs under way, pairs and SAD.
    pub fn footprint(&self) -> [usize; 5] {
        let mut sum = [0; 5];
        for shard in &self.shards {
            let more = shard.footprint();
            sum.iter_mut().zip(more).for_each(|(sum, n)| *sum += n);
        }
        sum
    }
}
