//! A pair that is sent on, and on which nothing comes back, while the peer answers on the IKE SA:
//! the peer may have lost it. It may be unable to say so: its DELETE waits for the answer to another
//! request.
//!
//! Traffic that goes one way is legitimate. So this asks first, makes the pair anew at most once, and
//! not again before something has come, or for an hour.

use crate::Shard;
use crate::liveness::CONTEST;
use crate::pairs::{Pair, PairLife};
use crate::remake::ask_for;
use hawser_flight::{CloseCause, Event, Repair};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For how long, and in how many moments a second apart, must be sent.
const LONG: Duration = Duration::from_secs(8);
const MOMENTS: u8 = 3;
const APART: Duration = Duration::from_secs(1);

/// How long rekeying it may take.
const REKEYED: Duration = Duration::from_secs(3);

/// And how long a peer may put off another one, before the IKE SA is made anew.
const PUT_OFF: Duration = Duration::from_secs(10);

/// How long a pair that was made anew in vain is left alone.
const AGAIN: Duration = Duration::from_secs(3600);

/// What was sent on a pair since anything came on it.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Unanswered {
    since: Option<Instant>,
    last: Option<Instant>,
    moments: u8,
}

impl Unanswered {
    /// Something is sent: says, once, that this has gone on for too long.
    pub(crate) fn is_too_long(&mut self, now: Instant) -> bool {
        if self.moments > MOMENTS || self.last.is_some_and(|at| now < at + APART) {
            return false;
        }
        self.last = Some(now);
        self.moments = self.moments.saturating_add(1).min(MOMENTS);
        let since = *self.since.get_or_insert(now);
        let long = self.moments == MOMENTS && since + LONG <= now;
        self.moments += u8::from(long);
        long
    }

    /// Whether it was said, and nothing has come since.
    fn was_too_long(&self) -> bool {
        self.moments > MOMENTS
    }
}

/// A pair that the device may have lost.
#[derive(Debug)]
pub(crate) struct OneWay {
    /// Its inbound SPI.
    spi_in: u32,
    /// When its rekeying has failed, or another is put off for too long.
    pub(crate) at: Option<Instant>,
    /// Another has been asked for.
    asked: bool,
}

impl Shard {
    /// Nothing comes on a pair of the device: does the device live?
    pub(crate) fn ask_about_pair(&mut self, now: Instant, key: usize, spi_in: u32) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let in_vain = |at: Instant| now < at + AGAIN && peer.flow.last().is_none_or(|esp| esp < at);
        let off = peer.template.upkeep.audit.is_none();
        if off || peer.nudged.is_some_and(in_vain) {
            return;
        }
        peer.one_way = Some(OneWay {
            spi_in,
            at: None,
            asked: false,
        });
        if let Some(sa) = peer.newest().and_then(|spi| peer.ike_sa(spi)) {
            sa.audit(&mut crate::env!(self, now), CONTEST);
        }
        self.drive(now, key);
    }

    /// Something new has come on an IKE SA: a pair that nothing comes on is made anew.
    pub(crate) fn renew_lost_pair(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let Some(one_way) = peer.one_way.as_mut().filter(|lost| lost.at.is_none()) else {
            return;
        };
        one_way.at = Some(now + REKEYED);
        let spi_in = one_way.spi_in;
        let Some(ike_spi) = self.lost_pair(spi_in).map(|pair| pair.ike_spi) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if let Some(sa) = peer.ike_sa(ike_spi) {
            sa.rekey_child(&mut crate::env!(self, now), spi_in);
            peer.nudged = Some(now);
            let label = Arc::clone(&peer.label);
            let what = Repair::OneWay;
            self.event(Some(label), Event::Repaired { what });
        }
    }

    /// A peer that is about to delete the pair, or that never got the answer by which it replaced it, does not let it
    /// be rekeyed: another is asked for. One that puts off that too is about to delete the IKE SA, and waits for the
    /// answer to something else first.
    pub(crate) fn one_way_due(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let due = |lost: &mut OneWay| lost.at.is_some_and(|at| at <= now);
        let Some(OneWay { spi_in, asked, .. }) = peer.one_way.take_if(due) else {
            return;
        };
        let at = self.sad.get(spi_in).map(|entry| entry.owner);
        let Some(ike_spi) = self.lost_pair(spi_in).map(|pair| pair.ike_spi) else {
            return;
        };
        let child = self.children_of(key, at.as_slice()).pop();
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let (Some(child), Some(sa)) = (child, peer.ike_sa(ike_spi)) else {
            return;
        };
        if !asked {
            sa.doubt_child(spi_in);
            ask_for(sa, child, &mut crate::env!(self, now));
            peer.one_way = Some(OneWay {
                spi_in,
                at: Some(now + PUT_OFF),
                asked: true,
            });
        } else if sa.put_off_since().is_some_and(|at| at + REKEYED <= now) {
            sa.delete(&mut crate::env!(self, now), CloseCause::Internal);
            let label = Arc::clone(&peer.label);
            let what = Repair::TemporaryFailure;
            self.event(Some(label), Event::Repaired { what });
        }
    }

    /// The pair, if it is in use and still nothing comes on it.
    fn lost_pair(&self, spi_in: u32) -> Option<&Pair> {
        let pair = self.pairs.get(self.sad.get(spi_in)?.owner)?;
        let lost = pair.active && pair.unanswered.was_too_long() && pair.life == PairLife::InUse;
        lost.then_some(pair)
    }
}
