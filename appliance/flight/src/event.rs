//! The one enum of events.

use crate::cause::{CloseCause, HandshakeFailure, MessageError};
use crate::forms::{Word, forms, word};
use crate::path::Path;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;

/// Who began an SA or an exchange.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// We did.
    Initiator,
    /// The peer did.
    Responder,
}

forms! {
json("Lineage", tag = "kind", content = "parent")
/// How an SA came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lineage {
    /// By a handshake of its own.
    Initial,
    /// By rekeying the SA with this local SPI.
    Rekey(u64),
}
}

/// How bringing a device back ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevivalOutcome {
    /// By a handshake of ours.
    Revived,
    /// The device came back by itself.
    CameBack,
    /// Every attempt has failed.
    Failed,
    /// It has deleted what we brought back: it wants to be down.
    WantsToBeDown,
    /// Its last endpoint is another device's now.
    EndpointTaken,
    /// Its selectors are another device's now.
    SelectorsTaken,
    /// The configuration does not allow it.
    NotAllowed,
}

/// What was inconsistent of a device, and is being repaired.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// More than one IKE SA was in use: the best stays.
    ExtraIkeSa,
    /// Several pairs had the same selectors: the newest confirmed stays.
    DuplicateChildSa,
    /// A pair only received: it is sent on now.
    InboundOnly,
    /// The peer answers on the IKE SA, and nothing came back on a pair that was sent on: it is made anew.
    OneWay,
    /// The IKE SA lives, and its last pair was lost: another is asked for.
    NoChildSa,
    /// TEMPORARY_FAILURE was said for too long, by either side: the IKE SA is made anew.
    TemporaryFailure,
}

/// What another configuration means for a device that is up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Consequence {
    /// Its SAs are rekeyed.
    Rekey,
    /// A new IKE SA is made beside the one that it has.
    Reauthenticate,
    /// What it has stays as it was made until it ends: we may not, or cannot, begin.
    StayUntilEnd,
    /// It is not allowed any more: its SAs are deleted.
    Close,
}

/// Which peer an event is about, as operators name it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeerLabel {
    /// Number of the peer (the device) in this run; never reused.
    pub instance: u64,
    /// Tenant name.
    pub tenant: Arc<str>,
    /// Template name.
    pub template: Arc<str>,
    /// The authenticated identity.
    pub identity: Arc<str>,
    /// The outer endpoint at the time of the event.
    pub path: Path,
}

/// One recorded event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Milliseconds since 1970-01-01 UTC, stamped by the recorder.
    pub unix_ms: u64,
    /// The shard that saw it.
    pub shard: u16,
    /// The peer, where one is authenticated.
    pub peer: Option<Arc<PeerLabel>>,
    /// What happened.
    pub event: Event,
}

forms! {
json("Event", tag = "event")
/// Everything that can happen, once. Field types are small and cheap to copy into a ring.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A handshake ended without an IKE SA.
    HandshakeFailed {
        /// Who began the IKE SA.
        role: Role,
        /// Outer endpoint.
        path: Path,
        /// The claimed, not authenticated identity, if it got so far.
        claimed_identity: Option<String>,
        /// Why.
        reason: HandshakeFailure,
    },
    /// A datagram was refused; recorded at a bounded rate, counted always.
    MessageRefused {
        /// Source address.
        source: SocketAddr,
        /// Why.
        reason: MessageError,
    },
    /// A device has its first usable pair of Child SAs.
    PeerUp,
    /// A device has no Child SA any more.
    PeerDown {
        /// Why.
        cause: CloseCause,
    },
    /// How a device stood when its last Child SA went: recorded before [`Event::PeerDown`].
    Clocks {
        /// Milliseconds since the last new, authentic IKE message of it.
        ike_in_ms: Option<u32>,
        /// Milliseconds since the last authentic ESP packet of it.
        esp_in_ms: Option<u32>,
        /// Milliseconds since the last ESP packet to it.
        esp_out_ms: Option<u32>,
        /// ESP packets received on that Child SA.
        packets_in: u64,
        /// ESP packets sent on it.
        packets_out: u64,
    },
    /// An IKE SA was established.
    IkeSaEstablished {
        /// Who began it.
        role: Role,
        /// Initiator's SPI.
        spi_i: u64,
        /// Responder's SPI.
        spi_r: u64,
        /// Suite in strongSwan's keywords.
        suite: String,
        /// The peer is behind a NAT.
        peer_behind_nat: bool,
        /// We are behind a NAT.
        local_behind_nat: bool,
        /// Handshake or rekey.
        lineage: Lineage,
        /// The peer's outer endpoint.
        endpoint: SocketAddr,
    },
    /// An IKE SA ended.
    IkeSaClosed {
        /// Initiator's SPI.
        spi_i: u64,
        /// Responder's SPI.
        spi_r: u64,
        /// Why.
        cause: CloseCause,
    },
    /// A pair of Child SAs was installed.
    ChildSaInstalled {
        /// Our inbound SPI.
        spi_in: u32,
        /// The peer's SPI, for our outbound packets.
        spi_out: u32,
        /// Suite in strongSwan's keywords.
        suite: String,
        /// Our side's selectors.
        local: String,
        /// The peer's side's selectors.
        remote: String,
        /// Handshake or rekey.
        lineage: Lineage,
    },
    /// A pair of Child SAs was removed.
    ChildSaRemoved {
        /// Our inbound SPI.
        spi_in: u32,
        /// The peer's SPI.
        spi_out: u32,
        /// Why.
        cause: CloseCause,
    },
    /// A Child SA that the peer asked for, or we did, was refused.
    ChildSaRefused {
        /// Who asked.
        role: Role,
        /// Why.
        reason: HandshakeFailure,
    },
    /// The peer's outer endpoint moved (NAT rebind) and we follow.
    EndpointMoved {
        /// Before.
        from: SocketAddr,
        /// Now.
        to: SocketAddr,
    },
    /// A liveness probe was sent.
    ProbeSent {
        /// Message ID of the INFORMATIONAL request.
        message_id: u32,
    },
    /// A request was retransmitted.
    Retransmitted {
        /// Exchange type (IANA number).
        exchange: u8,
        /// Message ID.
        message_id: u32,
        /// 1 for the first retransmission.
        attempt: u8,
    },
    /// A liveness probe was answered.
    ProbeAnswered {
        /// Message ID of the INFORMATIONAL request.
        message_id: u32,
        /// Round-trip time in microseconds, since the last transmission.
        rtt_us: u32,
    },
    /// A liveness probe was given up.
    ProbeFailed {
        /// Message ID of the INFORMATIONAL request.
        message_id: u32,
    },
    /// We sent a DELETE for the IKE SA or for Child SAs.
    DeleteSent {
        /// Local SPI: of the IKE SA, or the inbound one of the Child SA.
        spi: u64,
        /// Message ID of the INFORMATIONAL request; incidents of before have none.
        #[serde(default)]
        message_id: Option<u32>,
    },
    /// The peer sent a DELETE for the IKE SA or for Child SAs.
    DeleteReceived {
        /// The peer's SPI.
        spi: u64,
        /// Message ID of the INFORMATIONAL request, where it did not come before what it is about.
        #[serde(default)]
        message_id: Option<u32>,
    },
    /// A rekey or another exchange met one of the peer's; what was decided (RFC 7296 2.25).
    Collision {
        /// Which case of RFC 7296 2.25.
        #[serde(deserialize_with = "word")]
        case: Word,
    },
    /// The peer's selectors overlap those of another living device.
    SelectorConflict {
        /// The disputed prefix.
        prefix: String,
        /// The identity that holds it.
        holder: String,
    },
    /// A prefix was not routed: a default route, or one over outer endpoints or headquarters' networks.
    RouteRefused {
        /// The prefix.
        prefix: String,
    },
    /// A weak algorithm was negotiated because the configuration names it.
    WeakAlgorithm {
        /// The suite in strongSwan's keywords.
        suite: String,
    },
    /// An authenticated INVALID_SPI or an unprotected hint about an unknown SPI came (RFC 7296 1.5).
    InvalidSpiHint {
        /// The SPI the peer did not know.
        spi: u32,
    },
    /// The peer says how long it takes us for authenticated (RFC 4478).
    AuthLifetime {
        /// From now, in seconds.
        seconds: u32,
    },
    /// ESP came from the peer with a SPI that no SA here has; it was told so in its IKE SA.
    UnknownSpiReported {
        /// The SPI.
        spi: u32,
    },
    /// An SA that was given up is kept, whole, for a peer that never noticed.
    Parked {
        /// Local SPI of the IKE SA.
        spi: u64,
        /// Why it was given up.
        cause: CloseCause,
    },
    /// An authentic, new message came under an SA that was given up: it goes on, with its Child
    /// SAs, as if nothing had been.
    Resurrected {
        /// Local SPI of the IKE SA.
        spi: u64,
        /// Where the message came from.
        from: SocketAddr,
        /// How long it was parked, in milliseconds.
        parked_ms: u64,
    },
    /// An authentic, new message came under an SA that was deleted: its peer lives, and has not
    /// noticed.
    TombstoneHit {
        /// The SPI that it named: of the IKE SA, or of the Child SA.
        spi: u64,
        /// Where it came from.
        from: SocketAddr,
    },
    /// The device is gone without a successor: we are going to begin a handshake.
    RevivalBegun {
        /// How it went.
        after: CloseCause,
        /// Where it was last.
        to: SocketAddr,
    },
    /// A handshake that is to bring a device back was begun.
    RevivalAttempt {
        /// 1 for the first.
        attempt: u8,
        /// Where it goes.
        to: SocketAddr,
    },
    /// Bringing the device back is over.
    RevivalEnded {
        /// How.
        outcome: RevivalOutcome,
    },
    /// An IKE SA that nothing came on was tested, and the peer does not answer; nothing ends by
    /// that.
    AuditFailed,
    /// The device of a tenant was taken away by somebody else, or is there again.
    InnerDevice {
        /// The tenant.
        tenant: String,
        /// Name of the interface.
        interface: String,
        /// It is there (again).
        present: bool,
    },
    /// Whether the kernel takes trains of datagrams as one on an outer socket (UDP GSO) has changed.
    Trains {
        /// Where the socket is bound.
        local: SocketAddr,
        /// It does (again).
        taken: bool,
    },
    /// An output of the log does not take lines, or takes them again.
    LogOutput {
        /// The output as the configuration writes it, e.g. `tcp:192.0.2.9:514`.
        output: String,
        /// It takes them (again).
        works: bool,
        /// Why it does not.
        reason: String,
        /// Lines that it has not taken in this run.
        dropped: u64,
    },
    /// Events are not in the log: too many came at once. Only the log itself tells it.
    EventsLeftOut {
        /// How many.
        count: u64,
    },
    /// An inconsistency was found and is being repaired.
    Repaired {
        /// What.
        what: Repair,
    },
    /// An operator acted.
    OperatorAction {
        /// The verb.
        #[serde(deserialize_with = "word")]
        verb: Word,
    },
    /// Somebody begins to capture the packets of a peer.
    CaptureBegun {
        /// Whom he named.
        target: String,
        /// For how long at most, in seconds.
        seconds: u32,
        /// With the keys of the SAs that are made meanwhile.
        keys: bool,
        /// The user ID of who asked.
        uid: u32,
        /// His process, where the kernel tells it.
        pid: Option<u32>,
    },
    /// A configuration was applied.
    ConfigApplied {
        /// Its revision, counted from 1 in this run.
        revision: u64,
    },
    /// A configuration was applied, and this is done for it with a device that is up.
    ConfigAffects {
        /// What is done.
        consequence: Consequence,
    },
    /// A plugin decided about a peer. Of decisions that only wait the first in a row is told.
    PluginDecided {
        /// Its hook.
        #[serde(deserialize_with = "word")]
        hook: Word,
        /// Its name.
        plugin: Arc<str>,
        /// Its version.
        version: Arc<str>,
        /// Its generation in this run.
        generation: u64,
        /// What it decided, and its reason.
        decision: String,
    },
    /// A plugin was asked about a peer and did not decide: the fallback of the hook did.
    PluginUndecided {
        /// The hook.
        #[serde(deserialize_with = "word")]
        hook: Word,
        /// What happened in place of a decision: `refused`, `allowed` or `template`.
        #[serde(deserialize_with = "word")]
        fallback: Word,
        /// Why.
        reason: String,
    },
    /// Something happened to a plugin.
    PluginChanged {
        /// `loaded`, `rolled_back`, `unloaded`, `load_failed`, `fault` or `disabled`.
        #[serde(deserialize_with = "word")]
        change: Word,
        /// Its hook.
        #[serde(deserialize_with = "word")]
        hook: Word,
        /// Where it decides.
        scope: String,
        /// Name, version and generation, where they are known.
        plugin: String,
        /// More about it.
        detail: String,
    },
}
}

impl Event {
    /// Whether it happens all the time to a device that is well.
    pub(crate) fn is_routine(&self) -> bool {
        matches!(
            self,
            Self::ProbeSent { .. }
                | Self::ProbeAnswered { .. }
                | Self::Retransmitted { .. }
                | Self::PluginDecided {
                    hook: "dpd-policy",
                    ..
                }
        )
    }

    /// The same with its texts cut to so many octets: a device may have very many selectors.
    pub(crate) fn shortened(&self, octets: usize) -> Self {
        let mut event = self.clone();
        match &mut event {
            Self::IkeSaEstablished { suite, .. } | Self::WeakAlgorithm { suite } => {
                cut(suite, octets);
            }
            Self::ChildSaInstalled {
                suite,
                local,
                remote,
                ..
            } => [suite, local, remote]
                .into_iter()
                .for_each(|text| cut(text, octets)),
            Self::SelectorConflict { prefix, holder } => {
                cut(prefix, octets);
                cut(holder, octets);
            }
            Self::RouteRefused { prefix: text } | Self::CaptureBegun { target: text, .. } => {
                cut(text, octets);
            }
            Self::PluginDecided { decision: text, .. }
            | Self::PluginUndecided { reason: text, .. } => cut(text, octets),
            Self::HandshakeFailed {
                claimed_identity: Some(identity),
                ..
            } => cut(identity, octets),
            _ => {}
        }
        event
    }
}

fn cut(text: &mut String, octets: usize) {
    if text.len() > octets {
        text.truncate(text.floor_char_boundary(octets));
        text.push('…');
    }
}
