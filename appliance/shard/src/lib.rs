//! Sans-IO shard: everything that one pinned thread of the gateway does, without the thread.
//!
//! A shard owns its peers, their IKE SAs and Child SAs, its timers and its tables outright: there
//! are no locks. See [`io`] for how it is called.
//!
//! Where is what:
//! * packets: `packets` sorts what comes and opens ESP, `inside` seals what goes out, `outbound` is the SPD over all
//!   shards, `pairs` the Child SAs, `endpoint` where a device is;
//! * IKE: `ike_messages` finds the SA of a datagram, `responders` and `initiators` are the
//!   half-open ones, `drive` does what established ones want done, `hints` is what is said outside
//!   of SAs, [`admission`] who may begin;
//! * devices: `placing` finds out which one a peer is and on which shard it lives, `contest` which
//!   of its IKE SAs stays, `peer` is the device, `memory` what is kept of it, [`restore`]
//!   what another run of the gateway knew, `liveness` its DPD;
//! * [`recorder`] is what was recorded of each device, and what a drop leaves behind;
//! * [`trace`] tells every IKE message of one peer while somebody looks on, [`capture`] every packet;
//! * plugins: [`hooks`] is what they are asked, `authorize` and `dpd_policy` carry out what they
//!   answer;
//! * [`adapt`] makes devices follow another policy;
//! * `asks` (questions), `timers`, `commands`, `status`, `census`.

pub mod adapt;
pub mod admission;
mod asks;
mod authorize;
pub mod capture;
mod census;
mod commands;
mod contest;
pub mod counters;
mod cycle;
mod dpd_policy;
mod drive;
mod endpoint;
mod hints;
pub mod hooks;
mod ike_messages;
mod index;
mod initiators;
mod inside;
pub mod io;
mod kept;
mod liveness;
mod memory;
mod one_way;
mod outbound;
mod packets;
mod pairs;
mod peer;
mod placing;
mod reconcile;
pub mod recorder;
mod remake;
mod responders;
pub mod restore;
mod revive;
mod spi;
mod status;
mod suspect;
mod timers;
pub mod trace;
mod trial;
pub mod view;

pub use spi::shard_of;

use adapt::Adapting;
use admission::Gate;
use asks::Asks;
use census::Census;
use commands::Stage;
use counters::Counters;
use hawser_esp::Sad;
use hawser_esp::packet::Ecn;
use hawser_flight::{Event, Path, PeerLabel};
use hawser_ike::handshake::cookie::CookieJar;
use hawser_ike::header::Header;
use hawser_ike::peek::Direction;
use hawser_policy::{Policy, TenantId};
use hooks::Hooks;
use index::Index;
use initiators::Initiators;
use io::{DeviceId, InnerPacket, Message, Output, PacketSink, ShardId};
use kept::KeptSas;
use memory::{Childless, Gone};
use outbound::Outbound;
use pairs::Pair;
use peer::Peer;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use responders::Responders;
use revive::Reviving;
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;
use timers::Timers;
use trace::Traces;

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
    responders: Responders,
    initiators: Initiators,
    peers: Slab<Peer>,
    devices: HashMap<DeviceId, usize>,
    next_device: u64,
    /// The device of each IKE SA, by local SPI.
    ike_index: HashMap<u64, usize>,
    /// IKE SAs, authenticated, whose device is being looked for or that are being authorized, and
    /// the keys of the half-open SAs that they were.
    placing: HashMap<u64, usize>,
    /// IKE SAs with a SPI of this shard's bucket that were handed over.
    forwards: HashMap<u64, ShardId>,
    /// IKE SAs, here or kept here, whose SPI has another shard's bucket: which shard's.
    forwarded: HashMap<u64, ShardId>,
    gone: Gone,
    childless: Childless,
    index: Index,
    census: Census,
    kept: KeptSas,
    awaited: restore::Awaited,
    /// Where devices are being revived, over all shards.
    reviving: Reviving,
    sad: Sad<usize>,
    pairs: Slab<Pair>,
    /// By tenant.
    spds: Vec<Outbound>,
    timers: Timers,
    asks: Asks,
    hooks: Arc<Hooks>,
    stage: Stage,
    out: VecDeque<Output>,
    counters: Counters,
    /// What recorded times are counted from.
    born: Instant,
    /// Now, as the caller said last.
    clock: Instant,
    /// Devices that dropped or came back, with the time of the drop: not told yet.
    freezing: Vec<(DeviceId, u64, bool)>,
    traces: Traces,
    adapting: Adapting,
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
        let tables = |_| Outbound::default();
        let spds = config.policy.tenants.iter().map(tables).collect();
        let mut shard = Self {
            id: config.id,
            shards: config.shards.max(1),
            gate: Gate::default(),
            cookies,
            rng,
            policy: config.policy,
            responders: Responders::default(),
            initiators: Initiators::default(),
            peers: Slab::new(),
            devices: HashMap::new(),
            next_device: 0,
            ike_index: HashMap::new(),
            placing: HashMap::new(),
            forwards: HashMap::new(),
            forwarded: HashMap::new(),
            gone: Gone::default(),
            childless: Childless::default(),
            index: Index::default(),
            census: Census::default(),
            kept: KeptSas::default(),
            awaited: restore::Awaited::default(),
            reviving: Reviving::default(),
            sad: Sad::new(),
            pairs: Slab::new(),
            spds,
            timers: Timers::default(),
            asks: Asks::default(),
            hooks: Arc::default(),
            stage: Stage::Running,
            out: VecDeque::new(),
            counters: Counters::default(),
            born: now,
            clock: now,
            freezing: Vec::new(),
            traces: Traces::default(),
            adapting: Adapting::default(),
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
        self.clock = now;
        self.demux(now, path, ecn, payload, false, sink);
    }

    /// Outer UDP datagrams that came on one path, one after the other, as [`datagram`](Self::datagram) takes each.
    pub fn datagrams(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        payloads: &mut [&mut [u8]],
        sink: &mut dyn PacketSink,
    ) {
        self.clock = now;
        self.demux_batch(now, path, ecn, payloads, sink);
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
        self.clock = now;
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
        self.clock = now;
        let packet = InnerPacket::from(packet);
        self.inner_packets(now, tenant, &mut [packet], false, sink);
    }

    /// Packets and super-packets from the TUN of a tenant, in order.
    pub fn inner_batch(
        &mut self,
        now: Instant,
        tenant: TenantId,
        packets: &mut [InnerPacket<'_>],
        sink: &mut dyn PacketSink,
    ) {
        self.clock = now;
        self.inner_packets(now, tenant, packets, false, sink);
    }

    /// A packet from the inside that another shard handed over.
    pub fn handed_inner(
        &mut self,
        now: Instant,
        tenant: TenantId,
        packet: &mut [u8],
        sink: &mut dyn PacketSink,
    ) {
        self.clock = now;
        let packet = InnerPacket::from(packet);
        self.inner_packets(now, tenant, &mut [packet], true, sink);
    }

    /// What another shard sends.
    pub fn message(&mut self, now: Instant, message: Message) {
        self.clock = now;
        match message {
            Message::Adopt(adoption) => self.adopt(now, *adoption),
            Message::SelectorsAdded { .. } | Message::SelectorsRemoved { .. } => {
                self.others_selectors(&message);
            }
            Message::Probe(device) => {
                if let Some(key) = self.devices.get(&device).copied() {
                    self.probe_device(now, key);
                    self.drive(now, key);
                }
            }
            Message::ForgetSpi(spi) => {
                self.forwards.remove(&spi);
                self.shutdown_progress();
            }
            Message::Reviving {
                endpoint,
                shard,
                begins,
            } => self.others_revival(endpoint, shard, begins),
            Message::PeerBegins(endpoint) => self.peer_begins_here(now, endpoint),
            Message::Yield(device) => self.yield_device(now, device),
            Message::SpiHint { source, spi } => self.spi_hint(now, source, spi),
        }
    }

    /// Which templates have plugins from now on; until it is called none has. A swap of a plugin
    /// is none of the shard's business.
    pub fn hooks(&mut self, now: Instant, hooks: Arc<Hooks>) {
        self.clock = now;
        self.hooks = hooks;
        self.police_everybody(now);
    }

    /// The next output, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.out.is_empty() {
            self.tell_incidents();
        }
        self.out.pop_front()
    }

    /// What has been counted so far; the gauges are brought up to date by the call.
    pub fn counters(&mut self) -> &Counters {
        self.update_gauges();
        &self.counters
    }

    /// How much is kept, for tests of what must not grow: timers, questions, devices, and IKE SAs
    /// that are forwarded or placed.
    #[doc(hidden)]
    pub fn footprint(&self) -> [usize; 5] {
        [
            self.timers.len(),
            self.asks.len(),
            self.peers.len(),
            self.forwards.len() + self.placing.len(),
            self.pairs.len() + self.sad.len(),
        ]
    }

    /// Tells an event, and records it where it is about a device.
    fn event(&mut self, peer: Option<Arc<PeerLabel>>, event: Event) {
        if let Some(label) = &peer {
            self.record(DeviceId(label.instance), &event);
        }
        self.out.push_back(Output::Event(peer, event));
    }

    /// Sends an IKE message, with the non-ESP marker where the path wants it.
    fn transmit(&mut self, path: Path, message: &[u8]) {
        self.counters.ike_sent += 1;
        if self.traces.are_armed()
            && let Ok(header) = Header::parse(message)
        {
            self.look_on(self.clock, Direction::Out, path, &header, message);
        }
        let marker: &[u8] = if path.encapsulated { &[0; 4] } else { &[] };
        let payload = [marker, message].concat();
        self.out.push_back(Output::Transmit { path, payload });
    }
}
