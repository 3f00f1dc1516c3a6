//! What IKE knows of a pair of Child SAs.

use crate::ike_sa::REPLACED_WAIT;
use crate::io::{ChildInstall, Env};
use crate::keymat::ChildKeys;
use crate::select::EspSuite;
use hawser_flight::{Lineage, Role};
use hawser_policy::{Lifetimes, TrafficSelector};
use std::time::{Duration, Instant};

/// How long the responder of a rekey waits for a sign of life on the new pair before it sends on
/// it anyway: as long as the old pair, which carries the traffic until then. The DELETE of that is a
/// sign of life too.
pub const CONFIRM_WAIT: Duration = REPLACED_WAIT;

/// How long the inbound half of a replaced pair still takes what was under way.
pub const LINGER: Duration = Duration::from_secs(5);

/// Where a pair is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChildState {
    /// In use.
    Installed,
    /// Replaced by a rekey; the one who initiated the rekey deletes it.
    Rekeyed,
    /// We sent, or are about to send, a DELETE.
    Deleting,
}

/// A pair of Child SAs.
#[derive(Clone, Debug)]
pub struct ChildSa {
    /// Our inbound SPI.
    pub spi_in: u32,
    /// The peer's SPI.
    pub spi_out: u32,
    /// Algorithms.
    pub suite: EspSuite,
    /// Index of its template in the peer template.
    pub child: usize,
    /// Our side's selectors.
    pub local: Vec<TrafficSelector>,
    /// The peer's side's selectors.
    pub remote: Vec<TrafficSelector>,
    /// Where it is in its life.
    pub state: ChildState,
    /// Inbound SPI of the pair that it replaces.
    pub predecessor: Option<u32>,
    /// Since when.
    pub created: Instant,
    /// When we rekey it.
    pub rekey_at: Option<Instant>,
    /// When its hard lifetime ends.
    pub expire_at: Option<Instant>,
    /// It is replaced: until then whoever replaced it may delete it.
    pub replaced_until: Option<Instant>,
    /// The owner was told to remove it; only its DELETE is still to be sent or answered.
    pub removed: bool,
    /// We send on it from then on without confirmation; `None`: we send already.
    pub activate_at: Option<Instant>,
    /// The owner believes that the peer has lost it.
    pub doubted: bool,
}

/// What makes a new pair.
pub(crate) struct ChildParts {
    /// Our inbound SPI.
    pub spi_in: u32,
    /// The peer's SPI.
    pub spi_out: u32,
    /// Algorithms.
    pub suite: EspSuite,
    /// Index of its template in the peer template.
    pub child: usize,
    /// Our side's selectors.
    pub local: Vec<TrafficSelector>,
    /// The peer's side's selectors.
    pub remote: Vec<TrafficSelector>,
    /// Its keys, by direction as seen from the initiator of the exchange.
    pub keys: ChildKeys,
    /// Our role in the exchange that made it.
    pub role: Role,
    /// Handshake or rekey.
    pub lineage: Lineage,
    /// Send on it at once.
    pub outbound: bool,
}

impl ChildSa {
    /// Whether it is in use: neither replaced nor being deleted.
    pub fn is_in_use(&self) -> bool {
        self.state == ChildState::Installed && !self.removed
    }

    /// The record that IKE keeps, and what ESP needs.
    ///
    /// `leads`: we began the IKE SA, so that rekeying is first of all ours; else it comes near
    /// the hard lifetime.
    pub(crate) fn new(
        parts: ChildParts,
        lifetimes: &Lifetimes,
        leads: bool,
        env: &mut Env<'_>,
    ) -> (Self, Box<ChildInstall>) {
        let ChildKeys {
            encr_i,
            integ_i,
            encr_r,
            integ_r,
        } = parts.keys;
        let ((encr_out, integ_out), (encr_in, integ_in)) = match parts.role {
            Role::Initiator => ((encr_i, integ_i), (encr_r, integ_r)),
            Role::Responder => ((encr_r, integ_r), (encr_i, integ_i)),
        };
        let (rekey_at, expire_at) = renewal(lifetimes, leads, env);
        let sa = Self {
            spi_in: parts.spi_in,
            spi_out: parts.spi_out,
            suite: parts.suite,
            child: parts.child,
            local: parts.local.clone(),
            remote: parts.remote.clone(),
            state: ChildState::Installed,
            predecessor: match parts.lineage {
                Lineage::Rekey(spi) => u32::try_from(spi).ok(),
                Lineage::Initial => None,
            },
            created: env.now,
            rekey_at,
            expire_at,
            replaced_until: None,
            removed: false,
            activate_at: (!parts.outbound).then(|| env.now + CONFIRM_WAIT),
            doubted: false,
        };
        let install = Box::new(ChildInstall {
            spi_in: parts.spi_in,
            spi_out: parts.spi_out,
            suite: parts.suite,
            encr_in,
            integ_in,
            encr_out,
            integ_out,
            local: parts.local,
            remote: parts.remote,
            child: parts.child,
            lineage: parts.lineage,
            outbound: parts.outbound,
        });
        (sa, install)
    }
}

impl ChildSa {
    /// Another pair has taken over; who made that one deletes this one.
    pub(crate) fn replace(&mut self, until: Instant) {
        self.state = ChildState::Rekeyed;
        (self.rekey_at, self.activate_at) = (None, None);
        self.replaced_until = Some(until);
    }

    /// It only waits for the answer to our DELETE.
    pub(crate) fn stop(&mut self) {
        self.state = ChildState::Deleting;
        (self.rekey_at, self.activate_at) = (None, None);
        (self.expire_at, self.replaced_until) = (None, None);
    }
}

/// When an SA is rekeyed by us and when it ends.
///
/// Who leads rekeys one to two margins before the end; the other side leaves it the lead and
/// steps in a quarter to a half of a margin before the end (RFC 7296 2.8: no rekey storms).
pub(crate) fn renewal(
    lifetimes: &Lifetimes,
    leads: bool,
    env: &mut Env<'_>,
) -> (Option<Instant>, Option<Instant>) {
    let Some(time) = lifetimes.time else {
        return (None, None);
    };
    let margin = lifetimes.margin.min(time / 3);
    let early = if leads {
        margin + env.up_to(margin)
    } else {
        margin / 4 + env.up_to(margin / 4)
    };
    (Some(env.now + time - early), Some(env.now + time))
}
