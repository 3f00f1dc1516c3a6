//! What is known of a drop, and questions to it.

use crate::cause::CloseCause;
use crate::event::{Event, Lineage, Role};
use crate::ring::Entry;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// How this node did around the drop.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct NodeHealth {
    /// The longest time that something ready waited for a shard's loop, in milliseconds.
    pub loop_lag_ms: u32,
    /// Packets that sockets, TUNs and rings of this node took no more.
    pub socket_drops: u64,
}

/// A drop with what was recorded around it.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The device's identity.
    pub identity: &'a str,
    /// What was recorded of the device, in order.
    pub entries: &'a [Entry],
    /// Which of the entries is the [`Event::PeerDown`]; for a device that is up, past the last.
    pub drop: usize,
    /// How the node did.
    pub health: NodeHealth,
    /// How many devices dropped with it, itself included; 0 or 1: it alone.
    pub together: u32,
}

/// An IKE SA's beginning, from its event.
pub(super) struct Established {
    pub(super) at_ms: u64,
    pub(super) role: Role,
    pub(super) lineage: Lineage,
    pub(super) endpoint: SocketAddr,
    pub(super) behind_nat: bool,
    spis: (u64, u64),
}

/// How the device came back.
pub(super) struct Return {
    pub(super) after_ms: u64,
    pub(super) endpoint: SocketAddr,
    /// With the keys it had: it never noticed.
    pub(super) old_keys: bool,
    /// It began, not we.
    pub(super) by_itself: bool,
}

/// The clocks at the drop.
pub(super) struct Clocks {
    pub(super) ike_in_ms: Option<u32>,
    pub(super) esp_in_ms: Option<u32>,
    pub(super) packets_in: u64,
    pub(super) packets_out: u64,
}

impl Established {
    pub(super) fn spis(&self) -> (u64, u64) {
        self.spis
    }
}

impl<'a> Situation<'a> {
    /// The situation of the last drop at or before a time, if one is recorded.
    pub fn last_drop(identity: &'a str, entries: &'a [Entry], until_ms: u64) -> Option<Self> {
        let is_it = |e: &Entry| e.at_ms <= until_ms && matches!(e.event, Event::PeerDown { .. });
        Some(Self {
            identity,
            entries,
            drop: entries.iter().rposition(is_it)?,
            health: NodeHealth::default(),
            together: 1,
        })
    }

    /// The situation of a device that is up.
    pub fn living(identity: &'a str, entries: &'a [Entry]) -> Self {
        Self {
            identity,
            entries,
            drop: entries.len(),
            health: NodeHealth::default(),
            together: 0,
        }
    }

    /// When it dropped.
    pub fn at_ms(&self) -> u64 {
        let last = self.entries.get(self.drop).or(self.entries.last());
        last.map_or(0, |e| e.at_ms)
    }

    /// What ended its last Child SA.
    pub fn cause(&self) -> Option<CloseCause> {
        match self.entries.get(self.drop)?.event {
            Event::PeerDown { cause } => Some(cause),
            _ => None,
        }
    }

    pub(super) fn before(&self) -> &'a [Entry] {
        self.entries.get(..self.drop).unwrap_or(self.entries)
    }

    /// What happened since, up to the next drop.
    pub(super) fn after(&self) -> &'a [Entry] {
        let rest = self.entries.get(self.drop + 1..).unwrap_or(&[]);
        let next = rest
            .iter()
            .position(|e| matches!(e.event, Event::PeerDown { .. }));
        rest.get(..next.unwrap_or(rest.len())).unwrap_or(rest)
    }

    /// What happened in the last `ms` before the drop, the latest first.
    pub(super) fn lately(&self, ms: u64) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let from = self.at_ms().saturating_sub(ms);
        self.before()
            .iter()
            .rev()
            .take_while(move |e| e.at_ms >= from)
    }

    /// How long before the drop, in milliseconds.
    pub(super) fn ago(&self, at_ms: u64) -> u64 {
        self.at_ms().saturating_sub(at_ms)
    }

    /// The IKE SAs that began before the drop, the latest first.
    pub(super) fn established(&self) -> impl Iterator<Item = Established> + use<'a> {
        self.before().iter().rev().filter_map(beginning)
    }

    /// The time of the handshake that an IKE SA goes back to by rekeying.
    pub(super) fn root_ms(&self, of: &Established) -> Option<u64> {
        let mut at = of.at_ms;
        let mut lineage = of.lineage;
        for earlier in self.established().filter(|e| e.at_ms <= of.at_ms) {
            let Lineage::Rekey(parent) = lineage else {
                return Some(at);
            };
            if earlier.spis.0 == parent || earlier.spis.1 == parent {
                (at, lineage) = (earlier.at_ms, earlier.lineage);
            }
        }
        (lineage == Lineage::Initial).then_some(at)
    }

    /// How far the branch's handshakes were apart, those that followed each other without a
    /// drop first: its reauthentication cycle.
    pub(super) fn cycle_ms(&self, before_ms: u64) -> Option<u64> {
        let theirs = |e: &Established| {
            e.lineage == Lineage::Initial && e.role == Role::Responder && e.at_ms <= before_ms
        };
        let mut times = self.established().filter(theirs).map(|e| e.at_ms);
        let (last, previous) = (times.next()?, times.next()?);
        Some(last - previous)
    }

    pub(super) fn clocks(&self) -> Option<Clocks> {
        self.lately(0).find_map(|e| match e.event {
            Event::Clocks {
                ike_in_ms,
                esp_in_ms,
                packets_in,
                packets_out,
                ..
            } => Some(Clocks {
                ike_in_ms,
                esp_in_ms,
                packets_in,
                packets_out,
            }),
            _ => None,
        })
    }

    /// Where it was, before it dropped.
    pub(super) fn endpoint(&self) -> Option<SocketAddr> {
        self.before().iter().rev().find_map(|e| match &e.event {
            Event::EndpointMoved { to, .. } => Some(*to),
            Event::IkeSaEstablished { endpoint, .. } => Some(*endpoint),
            _ => None,
        })
    }

    pub(super) fn is_behind_nat(&self) -> bool {
        self.established().next().is_some_and(|e| e.behind_nat)
    }

    /// How it came back, if it has.
    pub(super) fn returned(&self) -> Option<Return> {
        self.after().iter().find_map(|e| {
            let after_ms = e.at_ms.saturating_sub(self.at_ms());
            match &e.event {
                Event::EndpointMoved { to: endpoint, .. }
                | Event::Resurrected { from: endpoint, .. }
                | Event::TombstoneHit { from: endpoint, .. } => Some(Return {
                    after_ms,
                    endpoint: *endpoint,
                    old_keys: true,
                    by_itself: true,
                }),
                _ => beginning(e)
                    .filter(|b| b.lineage == Lineage::Initial)
                    .map(|b| Return {
                        after_ms,
                        endpoint: b.endpoint,
                        old_keys: false,
                        by_itself: b.role == Role::Responder,
                    }),
            }
        })
    }

    /// How long nothing had come from it when the request was sent first that it never answered.
    /// Needs the clocks of the drop.
    pub(super) fn quiet_before_probe_ms(&self) -> Option<u64> {
        let clocks = self.clocks()?;
        let silence = [clocks.ike_in_ms, clocks.esp_in_ms]
            .into_iter()
            .flatten()
            .min()
            .map_or(u64::MAX, u64::from);
        let heard_ms = self.at_ms().saturating_sub(silence);
        let unanswered = self
            .before()
            .iter()
            .find(|e| e.at_ms >= heard_ms && is_question(&e.event))?;
        Some(unanswered.at_ms - heard_ms)
    }

    /// How often the last unanswered request was sent again.
    pub(super) fn attempts(&self) -> Option<u8> {
        self.lately(600_000).find_map(|e| match e.event {
            Event::Retransmitted { attempt, .. } => Some(attempt),
            _ => None,
        })
    }
}

fn is_question(event: &Event) -> bool {
    matches!(
        event,
        Event::ProbeSent { .. } | Event::Retransmitted { attempt: 1, .. }
    )
}

fn beginning(entry: &Entry) -> Option<Established> {
    match &entry.event {
        Event::IkeSaEstablished {
            role,
            spi_i,
            spi_r,
            peer_behind_nat,
            lineage,
            endpoint,
            ..
        } => Some(Established {
            at_ms: entry.at_ms,
            role: *role,
            lineage: *lineage,
            endpoint: *endpoint,
            behind_nat: *peer_behind_nat,
            spis: (*spi_i, *spi_r),
        }),
        _ => None,
    }
}
