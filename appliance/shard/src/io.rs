//! What goes into a shard and what comes out.
//!
//! The engine calls, in a run-to-completion loop on the shard's own thread:
//!
//! 1. [`Shard::datagrams`](crate::Shard::datagrams) for outer datagrams and
//!    [`Shard::inner_batch`](crate::Shard::inner_batch) for packets from a TUN, with a [`PacketSink`]
//!    that takes the packets these make;
//! 2. [`Shard::message`](crate::Shard::message) for what other shards sent,
//!    [`Shard::answer`](crate::Shard::answer) for answers to questions,
//!    [`Shard::command`](crate::Shard::command) for operators' commands;
//! 3. [`Shard::timeout`](crate::Shard::timeout) when `next_timeout()` has passed;
//! 4. then [`Shard::poll_output`](crate::Shard::poll_output) until it is empty, in order:
//!    order is meaning.

use crate::adapt::Standing;
use crate::hooks::{Allowed, AuthorizeRequest, Authorized, DpdDecided, DpdEvidence};
use crate::recorder::{Incident, Recall};
use crate::trace::Sight;
use crate::view::{PeerView, StatusView};
use hawser_esp::SealedBatch;
use hawser_esp::offload::Segmentation;
use hawser_esp::packet::Ecn;
use hawser_flight::{Event, Path, PeerLabel};
use hawser_ike::IkeSa;
pub use hawser_ike::{KeAnswer, KeRequest};
use hawser_policy::{Identity, TenantId, TrafficSelector};
use ipnet::IpNet;
use std::net::SocketAddr;
use std::sync::Arc;

/// Number of a shard, from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, serde::Serialize)]
pub struct ShardId(pub u8);

/// Number of a device in this run, over all shards: the shard in the top 8 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, serde::Serialize)]
pub struct DeviceId(pub u64);

/// Correlates a [`Question`] with its [`Answer`]; never reused in a shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AskId(pub u64);

/// Correlates a [`Command`] with its [`Reply`]; chosen by the engine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CommandId(pub u64);

/// Takes the packets that a batch makes.
pub trait PacketSink {
    /// An ESP packet or keepalive to send. `packet` is the UDP payload, or with
    /// `path.encapsulated == false` the payload of IP protocol 50.
    fn outer(&mut self, path: &Path, ecn: Ecn, packet: &[u8]);
    /// ESP packets for one peer, in order: `seal` appends them to the buffer that they are sent from.
    fn outer_batch(&mut self, path: &Path, seal: &mut dyn FnMut(&mut SealedBatch)) {
        let mut batch = SealedBatch::default();
        seal(&mut batch);
        let mut octets = batch.octets.as_slice();
        for sealed in &batch.packets {
            let (packet, rest) = octets.split_at(sealed.len);
            self.outer(path, sealed.ecn, packet);
            octets = rest;
        }
    }
    /// A decrypted packet for the TUN of a tenant.
    fn inner(&mut self, tenant: TenantId, packet: &[u8]);
    /// A packet that belongs to another shard, for its ring.
    fn hand_off(&mut self, to: ShardId, packet: HandOff<'_>);
}

/// What was read from a TUN.
#[derive(Debug)]
pub struct InnerPacket<'a> {
    /// An IP packet, its checksums complete unless it is a super-packet.
    pub packet: &'a mut [u8],
    /// How it is to be split, of a super-packet (see [`hawser_esp::offload`]).
    pub segmentation: Option<Segmentation>,
}

impl<'a> From<&'a mut [u8]> for InnerPacket<'a> {
    fn from(packet: &'a mut [u8]) -> Self {
        Self {
            packet,
            segmentation: None,
        }
    }
}

/// A packet on its way to the shard that owns its SA.
#[derive(Debug)]
pub enum HandOff<'a> {
    /// An outer datagram, as it was received.
    Datagram {
        /// Where it arrived and came from.
        path: Path,
        /// Its ECN field.
        ecn: Ecn,
        /// The UDP payload (or payload of IP protocol 50).
        payload: &'a [u8],
    },
    /// A packet from the inside.
    Inner {
        /// Whose.
        tenant: TenantId,
        /// The IP packet.
        packet: &'a [u8],
    },
}

/// What comes out of a shard.
#[derive(Debug)]
pub enum Output {
    /// An IKE datagram; the non-ESP marker is already there where the path wants it.
    Transmit {
        /// From where to where.
        path: Path,
        /// The UDP payload.
        payload: Vec<u8>,
    },
    /// A question, to be answered by [`crate::Shard::answer`] with the same identifier.
    Ask(AskId, Question),
    /// Install or remove a route.
    Route(RouteChange),
    /// For another shard's mailbox; delivered in order, never lost.
    Send(ShardId, Message),
    /// Something happened.
    Event(Option<Arc<PeerLabel>>, Event),
    /// A device dropped, or one that had dropped came back.
    Incident(Box<Incident>),
    /// For who looks on ([`crate::Shard::trace`]).
    Traced(CommandId, Sight),
    /// The answer to an operator's command.
    Reply(CommandId, Reply),
    /// After `Command::Shutdown`: every DELETE is answered or given up.
    Finished,
}

/// A route to a branch's network through the TUN of its tenant.
///
/// The engine counts owners: the route goes when its last owner has removed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteChange {
    /// Whose TUN.
    pub tenant: TenantId,
    /// The destination.
    pub net: IpNet,
    /// Which Child SA owns it: unique over all shards.
    pub owner: u64,
    /// Install, or remove.
    pub install: bool,
}

/// What a shard cannot decide or compute by itself.
#[derive(Debug)]
pub enum Question {
    /// For a worker: a key pair, or a key pair and the shared secret at once.
    KeyExchange(KeRequest),
    /// For the directory that shards share: answered at once, in order.
    Directory(DirectoryRequest),
    /// For the authorization plugins of the peer's template.
    Authorize(Box<AuthorizeRequest>),
    /// For the DPD plugin of the device's template.
    DpdPolicy(Box<DpdEvidence>),
}

/// What the directory is asked.
#[derive(Clone, Debug)]
pub enum DirectoryRequest {
    /// A peer has authenticated: which shard owns its device, who holds its selectors?
    Locate {
        /// Tenant.
        tenant: TenantId,
        /// Authenticated identity, canonical.
        identity: Identity,
        /// Outer endpoint of the peer.
        endpoint: SocketAddr,
        /// The peer's selectors, narrowed to the template.
        selectors: Vec<TrafficSelector>,
    },
    /// The device holds these selectors now, replacing what it held (empty: it is gone).
    Claim {
        /// The device.
        device: DeviceId,
        /// Its shard.
        shard: ShardId,
        /// Tenant.
        tenant: TenantId,
        /// Identity, canonical.
        identity: Identity,
        /// Where it is.
        path: Path,
        /// Everything that its Child SAs cover on its side, or covered last.
        selectors: Vec<TrafficSelector>,
        /// It has Child SAs. Else it is remembered only, so that it is known when it returns.
        alive: bool,
        /// Inbound SPIs of those.
        spis: Vec<u32>,
    },
}

/// A device as the directory knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The device.
    pub device: DeviceId,
    /// The shard that owns it.
    pub shard: ShardId,
    /// Its identity.
    pub identity: Identity,
    /// Its outer endpoint when it last claimed.
    pub endpoint: SocketAddr,
    /// Whether its selectors overlap those asked for (else: only the endpoint is the same).
    pub overlaps: bool,
    /// Whether it has Child SAs.
    pub alive: bool,
}

/// The answer to a [`Question`].
#[derive(Debug)]
pub enum Answer {
    /// To [`Question::KeyExchange`].
    KeyExchange(KeAnswer),
    /// To [`DirectoryRequest::Locate`]: devices of the same identity whose selectors overlap or
    /// whose endpoint is equal, and devices of other identities whose selectors overlap; at most
    /// 4 of each. Also given, empty, to [`DirectoryRequest::Claim`].
    Located {
        /// Devices of the same identity.
        same: Vec<Located>,
        /// Devices of other identities.
        others: Vec<Located>,
    },
    /// To [`Question::Authorize`].
    Authorized(Authorized),
    /// To [`Question::DpdPolicy`].
    DpdPolicy(DpdDecided),
}

/// What one shard tells another.
#[derive(Debug)]
pub enum Message {
    /// An authenticated IKE SA that belongs to a device of the receiver, before its IKE_AUTH is
    /// answered. The sender forwards what arrives for its SPI from now on.
    Adopt(Box<Adoption>),
    /// Selectors of a device of the sender were installed: packets for them go to `shard`.
    SelectorsAdded {
        /// Whose they are.
        shard: ShardId,
        /// Tenant.
        tenant: TenantId,
        /// Which Child SA: unique over all shards.
        owner: u64,
        /// Our side.
        local: Vec<TrafficSelector>,
        /// The branch's side.
        remote: Vec<TrafficSelector>,
    },
    /// They were removed.
    SelectorsRemoved {
        /// Whose they were.
        shard: ShardId,
        /// Tenant.
        tenant: TenantId,
        /// Which Child SA.
        owner: u64,
    },
    /// Find out whether this device of the receiver lives: somebody else claims its selectors.
    Probe(DeviceId),
    /// The IKE SA that was handed over with this SPI is gone: stop forwarding.
    ForgetSpi(u64),
    /// A device of the sender is being revived at this endpoint, or no more.
    Reviving {
        /// Where.
        endpoint: SocketAddr,
        /// The sender.
        shard: ShardId,
        /// Or no more.
        begins: bool,
    },
    /// From there, where a device of the receiver is being revived, an IKE_SA_INIT has come.
    PeerBegins(SocketAddr),
    /// Another device holds what this one of the receiver holds: it is to end.
    Yield(DeviceId),
    /// Somebody at this address says, unprotected, that a SPI of its is unknown to it: ask the
    /// peer that it is sent on to whether it lives.
    SpiHint {
        /// Where the hint came from.
        source: std::net::IpAddr,
        /// The SPI, of ESP that we send.
        spi: u32,
    },
}

/// An IKE SA on its way to the shard of its device.
#[derive(Debug)]
pub struct Adoption {
    /// The SA, authenticated, its IKE_AUTH not yet answered.
    pub ike_sa: Box<IkeSa>,
    /// What it asked for.
    pub request: hawser_ike::io::AuthRequest,
    /// What it is granted.
    pub allowed: Allowed,
    /// The device of the receiver that it belongs to.
    pub device: DeviceId,
    /// The shard whose bucket the IKE SPI has.
    pub from: ShardId,
}

/// Which peers a command is about.
#[derive(Clone, Debug)]
pub enum PeerFilter {
    /// Every peer.
    All,
    /// Peers of a tenant.
    Tenant(String),
    /// What an operator typed: identity, `address/port`, address, inner address or subnet, or a
    /// prefix of these.
    Name(String),
    /// One device.
    Device(DeviceId),
}

/// Which SAs an operator wants rekeyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RekeyWhat {
    /// The IKE SA and every Child SA.
    #[default]
    All,
    /// The IKE SA.
    Ike,
    /// Every Child SA.
    Children,
}

/// What an operator wants. Every command is answered by one [`Reply`].
#[derive(Clone, Debug)]
pub enum Command {
    /// Counts and a line per peer.
    Status(PeerFilter),
    /// Everything about the peers that match.
    Show(PeerFilter),
    /// End the SAs of a device with DELETE; routes and selectors go with them.
    Reset(DeviceId),
    /// Rekey the IKE SA of a device, its Child SAs, or both.
    Rekey(DeviceId, RekeyWhat),
    /// What was recorded of a device.
    Recall(DeviceId),
    /// Record that an operator did this with a device, or with none that is known, beside the shard.
    Audit(Option<DeviceId>, Event),
    /// Probe a device now; the reply comes with the answer or when it is given up.
    Ping(DeviceId),
    /// How every device stands: what decides what a policy that is not applied yet means for it.
    Standings,
    /// A new policy; SAs that are up follow one device after the other.
    Apply(Arc<hawser_policy::Policy>),
    /// Send DELETE for everything, then emit [`Output::Finished`] (after 3 s at most).
    Shutdown,
}

/// The answer to a [`Command`].
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Command::Status`].
    Status(StatusView),
    /// To [`Command::Show`].
    Show(Vec<PeerView>),
    /// To [`Command::Recall`].
    #[serde(skip)]
    Recall(Box<Recall>),
    /// To [`Command::Standings`].
    #[serde(skip)]
    Standings(Vec<Standing>),
    /// Begun (reset, rekey, apply).
    Done,
    /// To [`Command::Ping`]: the peer answered.
    Pong {
        /// Round-trip time in microseconds.
        rtt_us: u32,
    },
    /// No such device on this shard.
    NotFound,
    /// It could not be done, and why.
    Failed(String),
}
