//! What IKE knows of a pair of Child SAs.

use crate::io::{ChildInstall, Env};
use crate::keymat::ChildKeys;
use crate::select::EspSuite;
use hawser_flight::{Lineage, Role};
use hawser_policy::{Lifetimes, TrafficSelector};
use std::time::{Duration, Instant};

/// How long the responder of a rekey waits for a sign of life on the new pair before it sends on
/// it anyway.
pub const CONFIRM_WAIT: Duration = Duration::from_secs(4);

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
    /// When it ends.
    pub expire_at: Option<Instant>,
    /// We send on it from then on without confirmation; `None`: we send already.
    pub activate_at: Option<Instant>,
}

/// What makes a new pair.
pub struct ChildParts {
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
    /// The record that IKE keeps, and what ESP needs.
    ///
    /// `leads`: we began the IKE SA, so that rekeying is first of all ours; else it comes near
    /// the hard lifetime.
    pub fn new(
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
            activate_at: (!parts.outbound).then(|| env.now + CONFIRM_WAIT),
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

/// When an SA is rekeyed by us and when it ends.
///
/// Who leads rekeys one to two margins before the end; the other side leaves it the lead and
/// steps in a quarter to a half of a margin before the end (RFC 7296 2.8: no rekey storms).
pub fn renewal(
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
