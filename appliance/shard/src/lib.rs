//! Sans-IO shard: everything that one pinned thread of the gateway does, without the thread.
//!
//! A shard owns its peers, their IKE SAs and Child SAs, its timers and its tables outright: there
//! are no locks. See [`io`] for how it is called.
//!
//! Where is what:
//! * [`admission`]: who may begin a handshake; `handshakes`: half-open SAs in both roles;
//! * `placing`: which device an authenticated peer is, and on which shard it lives;
//! * `peer`, `drive`: a device and what its IKE SAs want done; `pairs`: its Child SAs;
//! * `packets`: ESP in and out; `liveness`: DPD; `timers`; `commands`; `status`.

pub mod admission;
mod commands;
pub mod counters;
mod drive;
mod handshakes;
pub mod io;
mod liveness;
mod packets;
mod pairs;
mod peer;
mod placing;
mod spi;
mod status;
mod timers;
pub mod view;

pub use spi::shard_of;

use admission::Gate;
use counters::Counters;
use handshakes::Handshakes;
use hawser_esp::packet::Ecn;
use hawser_esp::{Sad, Spd};
use hawser_flight::{Event, Path, PeerLabel};
use hawser_ike::handshake::cookie::CookieJar;
use hawser_policy::{Policy, TenantId};
use io::{AskId, DeviceId, Output, PacketSink, Question, ShardId};
use pairs::{Pair, Target};
use peer::Peer;
use placing::Asker;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;
use timers::Timers;

/// What makes a shard.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Which one.
    pub id: ShardId,
    /// How many there are: 1 to 255.
    pub shards: u8,
    /// Seed of all its randomness.
    pub seed: [u8; 32],
    /// What it does.
    pub policy: Arc<Policy>,
}

/// One shard.
pub struct Shard {
    id: ShardId,
    shards: u8,
    policy: Arc<Policy>,
    rng: ChaCha20Rng,
    gate: Gate,
    cookies: CookieJar,
    handshakes: Handshakes,
    peers: Slab<Peer>,
    devices: HashMap<DeviceId, usize>,
    next_device: u64,
    ike_index: HashMap<u64, usize>,
    forwards: HashMap<u64, ShardId>,
    gone: VecDeque<(DeviceId, Instant)>,
    sad: Sad<usize>,
    pairs: Slab<Pair>,
    spds: Vec<Spd<Target>>,
    timers: Timers,
    asks: HashMap<AskId, Asker>,
    next_ask: u64,
    shutting_down: Option<Instant>,
    out: VecDeque<Output>,
    counters: Counters,
    sealed: Vec<u8>,
}

/// Builds the [`hawser_ike::io::Env`] of a call, borrowing only what it needs of the shard.
macro_rules! env {
    ($shard:expr, $now:expr) => {
        hawser_ike::io::Env {
            now: $now,
            rng: &mut $shard.rng,
            spis: &mut $crate::spi::SpiPicker {
                sad: &$shard.sad,
                shard: $shard.id,
                shards: $shard.shards,
            },
        }
    };
}
pub(crate) use env;

impl Shard {
    /// A shard with no peers; handshakes of templates that initiate begin at once.
    pub fn new(config: ShardConfig, now: Instant) -> Self {
        let mut rng = ChaCha20Rng::from_seed(config.seed);
        let cookies = CookieJar::new(now, &mut rng);
        let spds = config.policy.tenants.iter().map(|_| Spd::new()).collect();
        let mut shard = Self {
            id: config.id,
            shards: config.shards.max(1),
            gate: Gate::default(),
            cookies,
            rng,
            policy: config.policy,
            handshakes: Handshakes::default(),
            peers: Slab::new(),
            devices: HashMap::new(),
            next_device: 0,
            ike_index: HashMap::new(),
            forwards: HashMap::new(),
            gone: VecDeque::new(),
            sad: Sad::new(),
            pairs: Slab::new(),
            spds,
            timers: Timers::default(),
            asks: HashMap::new(),
            next_ask: 0,
            shutting_down: None,
            out: VecDeque::new(),
            counters: Counters::default(),
            sealed: Vec::with_capacity(2048),
        };
        shard.initiate_all(now);
        shard
    }

    /// An outer UDP datagram. `path.encapsulated`: it arrived on the NAT traversal port, where
    /// ESP and IKE are told apart by the non-ESP marker (RFC 3948 2.2).
    pub fn datagram(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        payload: &mut [u8],
        sink: &mut dyn PacketSink,
    ) {
        self.demux(now, path, ecn, payload, false, sink);
    }

    /// A datagram that another shard received and handed over.
    pub fn handed_datagram(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        payload: &mut [u8],
        sink: &mut dyn PacketSink,
    ) {
        self.demux(now, path, ecn, payload, true, sink);
    }

    /// A packet from the TUN of a tenant.
    pub fn inner(
        &mut self,
        now: Instant,
        tenant: TenantId,
        packet: &mut [u8],
        sink: &mut dyn PacketSink,
    ) {
        self.inner_packet(now, tenant, packet, false, sink);
    }

    /// A packet from the inside that another shard handed over.
    pub fn handed_inner(
        &mut self,
        now: Instant,
        tenant: TenantId,
        packet: &mut [u8],
        sink: &mut dyn PacketSink,
    ) {
        self.inner_packet(now, tenant, packet, true, sink);
    }

    /// The next output, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// What has been counted so far; the gauges are brought up to date by the call.
    pub fn counters(&mut self) -> &Counters {
        self.update_gauges();
        &self.counters
    }

    fn ask(&mut self, asker: Asker, question: Question) {
        self.next_ask += 1;
        let id = AskId(self.next_ask);
        self.asks.insert(id, asker);
        self.out.push_back(Output::Ask(id, question));
    }

    fn event(&mut self, peer: Option<Arc<PeerLabel>>, event: Event) {
        self.out.push_back(Output::Event(peer, event));
    }

    /// Sends an IKE message, with the non-ESP marker where the path wants it.
    fn transmit(&mut self, path: Path, message: &[u8]) {
        self.counters.ike_sent += 1;
        let marker: &[u8] = if path.encapsulated { &[0; 4] } else { &[] };
        let payload = [marker, message].concat();
        self.out.push_back(Output::Transmit { path, payload });
    }
}
