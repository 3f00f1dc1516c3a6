//! What goes into the IKE state machines and what comes out.
//!
//! Time and randomness are arguments ([`Env`]). A machine is called with one input and then
//! drained of its [`Output`]s, in order: order is meaning. An inbound Child SA is installed before
//! the datagram that reveals its SPI is transmitted.

use crate::child_sa::ChildSa;
use crate::exchange::Task;
use crate::ike_sa::IkeSa;
use crate::select::EspSuite;
use hawser_crypto::{KeError, KePrivate, KeyExchange, SharedSecret};
use hawser_flight::{CloseCause, Event, Lineage, Path};
use hawser_policy::{Identity, Secret, TemplateId, TrafficSelector};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Where local SPIs come from: unique, never zero, the top byte a bucket of the shard.
pub trait SpiSource {
    /// A SPI for an IKE SA.
    fn ike_spi(&mut self, rng: &mut dyn rand::CryptoRng) -> u64;
    /// A SPI for an inbound Child SA, above 255 (RFC 4303 2.1).
    fn esp_spi(&mut self, rng: &mut dyn rand::CryptoRng) -> u32;
}

/// The outside world of one call.
pub struct Env<'a> {
    /// Now.
    pub now: Instant,
    /// Randomness.
    pub rng: &'a mut dyn rand::CryptoRng,
    /// Local SPIs.
    pub spis: &'a mut dyn SpiSource,
}

impl Env<'_> {
    /// A duration between 0 and `bound`, uniformly.
    pub fn up_to(&mut self, bound: Duration) -> Duration {
        let share = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        bound.mul_f64(share)
    }

    /// 32 random octets for a nonce (RFC 7296 2.10: at least half of the PRF's key).
    pub fn nonce(&mut self) -> Vec<u8> {
        let mut nonce = vec![0; 32];
        self.rng.fill_bytes(&mut nonce);
        nonce
    }
}

/// A piece of key-exchange work: asked for, never waited for.
#[derive(Debug)]
pub enum KeRequest {
    /// Make a key pair (we initiate).
    Generate(KeyExchange),
    /// Make a key pair and compute the shared secret with the peer's public value (we respond).
    Respond {
        /// Method.
        method: KeyExchange,
        /// The peer's public value, not validated yet.
        peer_public: Vec<u8>,
    },
    /// Compute the shared secret with the peer's public value (we initiated).
    Agree {
        /// Our private half.
        private: KePrivate,
        /// The peer's public value, not validated yet.
        peer_public: Vec<u8>,
    },
}

/// The answer to a [`KeRequest`], variant by variant.
#[derive(Debug)]
pub enum KeAnswer {
    /// A key pair.
    Generated(Result<(KePrivate, Vec<u8>), KeError>),
    /// Our public value and the shared secret.
    Responded(Result<(Vec<u8>, SharedSecret), KeError>),
    /// The shared secret.
    Agreed(Result<SharedSecret, KeError>),
}

/// Names a question of one state machine; a stale answer carries an old one and is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Token(pub u32);

/// What a peer asks for when it authenticates, or when it wants another Child SA.
#[derive(Clone, Debug)]
pub struct ChildRequest {
    /// Index of the Child SA's template in the peer template.
    pub child: usize,
    /// Our side, narrowed to the template.
    pub local: Vec<TrafficSelector>,
    /// The peer's side, narrowed to the template.
    pub remote: Vec<TrafficSelector>,
}

/// What an authenticated peer asks for in IKE_AUTH; answered by [`IkeSa::grant`] or
/// [`IkeSa::refuse`].
#[derive(Clone, Debug)]
pub struct AuthRequest {
    /// The authenticated identity.
    pub identity: Identity,
    /// The template that its secret led to.
    pub template: TemplateId,
    /// The Child SA it asks for; `None`: none, or nothing that fits.
    pub child: Option<ChildRequest>,
    /// The pre-shared key that it has proved.
    pub secret: Secret,
    /// The peer says that it has no other SA with us (RFC 7296 2.4).
    pub initial_contact: bool,
}

/// Why a Child SA is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChildRefusal {
    /// TS_UNACCEPTABLE: the selectors do not fit, or belong to another device.
    Selectors(hawser_flight::HandshakeFailure),
    /// AUTHENTICATION_FAILED: the whole IKE SA is refused.
    NotAuthorized,
}

impl ChildRefusal {
    /// For the record.
    pub fn reason(self) -> hawser_flight::HandshakeFailure {
        match self {
            Self::Selectors(reason) => reason,
            Self::NotAuthorized => hawser_flight::HandshakeFailure::NotAuthorized,
        }
    }
}

/// A pair of Child SAs, ready for ESP.
pub struct ChildInstall {
    /// Our inbound SPI.
    pub spi_in: u32,
    /// The peer's SPI.
    pub spi_out: u32,
    /// Algorithms.
    pub suite: EspSuite,
    /// Encryption key of what we receive.
    pub encr_in: Zeroizing<Vec<u8>>,
    /// Integrity key of what we receive; empty with AEAD.
    pub integ_in: Zeroizing<Vec<u8>>,
    /// Encryption key of what we send.
    pub encr_out: Zeroizing<Vec<u8>>,
    /// Integrity key of what we send; empty with AEAD.
    pub integ_out: Zeroizing<Vec<u8>>,
    /// Our side's selectors.
    pub local: Vec<TrafficSelector>,
    /// The peer's side's selectors.
    pub remote: Vec<TrafficSelector>,
    /// Index of the Child SA's template in the peer template.
    pub child: usize,
    /// How it came to be; a rekey names the inbound SPI of its predecessor.
    pub lineage: Lineage,
    /// Send on it at once; else [`Output::ActivateOutbound`] says when.
    pub outbound: bool,
}

impl std::fmt::Debug for ChildInstall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChildInstall")
            .field("spi_in", &format_args!("{:08x}", self.spi_in))
            .field("spi_out", &format_args!("{:08x}", self.spi_out))
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// What a rekeyed IKE SA leaves to its successor.
#[derive(Debug)]
pub struct Inheritance {
    /// The local SPI of the successor.
    pub successor: u64,
    /// The Child SAs.
    pub children: Vec<ChildSa>,
    /// What was still to be done for them.
    pub tasks: Vec<Task>,
}

/// What comes out of an IKE state machine.
#[derive(Debug)]
pub enum Output {
    /// An IKE message, without the non-ESP marker.
    Transmit {
        /// From where to where.
        path: Path,
        /// The message.
        message: Vec<u8>,
    },
    /// A NAT keepalive (RFC 3948 2.3).
    Keepalive(Path),
    /// Key-exchange work.
    Ask(Token, KeRequest),
    /// The peer asks for another Child SA; answer with [`IkeSa::grant`] or [`IkeSa::refuse`].
    Authorize(ChildRequest),
    /// An authentic message that was not seen before came on this path.
    Authentic(Path),
    /// Install a pair of Child SAs.
    InstallChild(Box<ChildInstall>),
    /// From now on send on the Child SA with this inbound SPI.
    ActivateOutbound(u32),
    /// Remove the Child SA with this inbound SPI: outbound at once, inbound after `linger`.
    RemoveChild {
        /// Inbound SPI.
        spi_in: u32,
        /// Why.
        cause: CloseCause,
        /// How long what is under way may still arrive.
        linger: Duration,
    },
    /// A rekeyed IKE SA.
    Successor(Box<IkeSa>),
    /// The Child SAs move to the successor, for [`IkeSa::inherit`].
    Inherit(Inheritance),
    /// A request was sent for the `attempt`-th time again.
    Retransmitted {
        /// 1 for the first retransmission.
        attempt: u8,
    },
    /// A probe that asks is not answered yet: see [`IkeSa::probe_again`], [`IkeSa::probe_later`],
    /// [`IkeSa::probe_unasked`] and [`IkeSa::presume_dead`].
    ProbeUnanswered,
    /// A liveness probe ended.
    Probed(ProbeOutcome),
    /// Something happened.
    Event(Event),
    /// The IKE SA was given up because the peer does not answer. It keeps everything, its Child SAs
    /// too, for [`IkeSa::resurrect`]; for routes and status it is gone.
    Parked(CloseCause),
    /// The IKE SA is gone, and its Child SAs (each already removed).
    Closed(CloseCause),
}

/// How a liveness probe ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProbeOutcome {
    /// The peer answered after this time since the last transmission.
    Answered(Duration),
    /// It did not.
    Failed,
}

/// Why a state machine wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// A request waits for its response.
    Retransmit,
    /// The IKE SA is due for rekeying.
    RekeyIke,
    /// The IKE SA's hard lifetime ends.
    ExpireIke,
    /// A Child SA is due for rekeying.
    RekeyChild,
    /// A Child SA's hard lifetime ends.
    ExpireChild,
    /// A Child SA that we answered for is sent on even without confirmation.
    ActivateChild,
    /// A queued task that was put off is tried again.
    Retry,
    /// A NAT keepalive is due.
    Keepalive,
    /// A handshake takes too long.
    HandshakeTimeout,
    /// A replaced SA that the peer never deleted is dropped.
    Cleanup,
}
