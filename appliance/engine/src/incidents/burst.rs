//! Drops that come together are one event, not thousands.

use super::store::PeerName;
use hawser_flight::verdict::{NodeHealth, Situation};
use hawser_flight::{CloseCause, Recording};
use hawser_shard::recorder::{Incident as Told, Recall};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Drops are together that are no further apart: what is cut off at once is not missed at once,
/// for each device's DPD begins with the last packet of its own.
pub(super) const TOGETHER: Duration = Duration::from_secs(10);
/// So many together are a mass event, if they are also a twentieth of all that were up.
const MASS: usize = 10;
const SHARE: u64 = 20;
/// A mass event that grows is written no more often than this, and less often when it is large.
const PACE: Duration = Duration::from_secs(1);
/// A mass event that does not end is told in pieces of so many.
const LARGEST: usize = 100_000;

/// A drop, or a return from one.
#[derive(Debug)]
pub(crate) struct Case {
    came: Instant,
    pub(super) peer: PeerName,
    /// When it dropped, since 1970.
    pub(super) at_ms: u64,
    pub(super) is_back: bool,
    recall: Recall,
    offset_ms: u64,
}

impl Case {
    pub(super) fn new(came: Instant, offset_ms: u64, told: Told) -> Self {
        let recall = told.recall;
        let label = &recall.label;
        let at_ms = told.dropped_ms + offset_ms;
        Self {
            came,
            peer: PeerName {
                tenant: label.tenant.to_string(),
                template: label.template.to_string(),
                identity: label.identity.to_string(),
                endpoint: label.path.remote_label(),
                networks: recall.networks.clone(),
                last_ms: at_ms,
            },
            at_ms,
            is_back: told.back,
            recall,
            offset_ms,
        }
    }

    /// What was recorded, with times since 1970.
    pub(super) fn recording(&self) -> Recording {
        let mut recording = self.recall.ring.recording();
        recording.shift(self.offset_ms);
        recording
    }

    fn cause(&self) -> Option<CloseCause> {
        let recording = self.recording();
        Situation::last_drop(&self.peer.identity, &recording.entries, self.at_ms)?.cause()
    }

    fn id(&self) -> (u64, u64) {
        (self.recall.label.instance, self.at_ms)
    }

    fn is_same_drop(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

/// One of those that dropped together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Dropped {
    /// Who.
    pub peer: PeerName,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What ended its last Child SA.
    pub cause: Option<CloseCause>,
}

/// Many devices that dropped together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MassEvent {
    /// When the first dropped, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who.
    pub dropped: Vec<Dropped>,
    /// How the node did.
    pub health: NodeHealth,
}

/// What is to be written.
#[derive(Debug)]
pub(super) enum Ready {
    /// One drop.
    Drop {
        case: Rc<Case>,
        /// How many dropped around it, up to now.
        together: u32,
        /// Nothing joins it any more: this is its last word.
        settled: bool,
    },
    /// Many, or more of those that were written before.
    Mass(Piece),
    /// One that was settled before has come back.
    Back(Rc<Case>),
}

/// A mass event as far as it has come.
#[derive(Debug)]
pub(super) struct Piece {
    /// Its name in the file: the first drop that was known when it became one.
    pub(super) at_ms: u64,
    pub(super) dropped: Vec<Dropped>,
    /// So many of them were written before.
    pub(super) known: usize,
    /// Drops that were written before one knew what they belong to.
    pub(super) instead_of: Vec<Rc<Case>>,
}

/// A drop that may turn out to be one of many.
#[derive(Debug)]
struct Waiting {
    case: Rc<Case>,
    written: bool,
}

#[derive(Default)]
struct Mass {
    at_ms: u64,
    dropped: Vec<Dropped>,
    written: usize,
    last: Option<Instant>,
    instead_of: Vec<Rc<Case>>,
}

impl Mass {
    /// It is written again as it grows, the larger the less often.
    fn is_due(&self, now: Instant) -> bool {
        let pace = PACE + PACE * u32::try_from(self.dropped.len() / 10_000).unwrap_or(u32::MAX);
        let rested = |at: Instant| now.saturating_duration_since(at) >= pace;
        self.dropped.len() > self.written && self.last.is_none_or(rested)
    }

    fn piece(&mut self, now: Instant) -> Ready {
        let known = std::mem::replace(&mut self.written, self.dropped.len());
        self.last = Some(now);
        Ready::Mass(Piece {
            at_ms: self.at_ms,
            dropped: self.dropped.clone(),
            known,
            instead_of: std::mem::take(&mut self.instead_of),
        })
    }
}

/// Drops are written at once; those that turn out to be together become one.
#[derive(Default)]
pub(super) struct Burst {
    waiting: Vec<Waiting>,
    mass: Mass,
    in_mass: HashSet<(u64, u64)>,
    last: Option<Instant>,
}

impl Burst {
    /// A drop or a return has come; `were_up` devices were up before.
    pub(super) fn take(&mut self, case: Case, were_up: u64) -> Option<Ready> {
        if case.is_back {
            return self.take_back(case);
        }
        self.last = Some(case.came);
        if !self.mass.dropped.is_empty() {
            self.join(&case);
            return None;
        }
        let now = case.came;
        self.waiting.push(Waiting {
            case: Rc::new(case),
            written: false,
        });
        let together = |w: &&Waiting| now.saturating_duration_since(w.case.came) <= TOGETHER;
        let count = self.waiting.iter().filter(together).count();
        if count >= MASS && count as u64 * SHARE >= were_up {
            self.become_mass();
        }
        None
    }

    fn take_back(&mut self, case: Case) -> Option<Ready> {
        let mut waiting = self.waiting.iter_mut();
        if let Some(same) = waiting.find(|w| w.case.is_same_drop(&case)) {
            let came = same.case.came;
            same.case = Rc::new(Case { came, ..case });
            same.written = false;
            return None;
        }
        (!self.in_mass.contains(&case.id())).then(|| Ready::Back(Rc::new(case)))
    }

    fn become_mass(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let first = waiting.iter().map(|w| w.case.at_ms).min();
        self.mass = Mass {
            at_ms: first.unwrap_or(0),
            ..Mass::default()
        };
        for Waiting { case, written } in waiting {
            self.join(&case);
            if written {
                self.mass.instead_of.push(case);
            }
        }
    }

    fn join(&mut self, case: &Case) {
        self.in_mass.insert(case.id());
        self.mass.dropped.push(Dropped {
            peer: case.peer.clone(),
            at_ms: case.at_ms,
            cause: case.cause(),
        });
    }

    /// What is not written yet, and what has waited long enough; `end`: nothing waits any more.
    pub(super) fn due(&mut self, now: Instant, end: bool) -> Vec<Ready> {
        let over = |at: Instant| end || now.saturating_duration_since(at) >= TOGETHER;
        let mut ready = Vec::new();
        let calm = self.last.is_none_or(over);
        let ends = calm || self.mass.dropped.len() >= LARGEST;
        let grew = self.mass.dropped.len() > self.mass.written;
        if (ends && grew) || self.mass.is_due(now) {
            ready.push(self.mass.piece(now));
        }
        if ends {
            self.mass = Mass::default();
        }
        if calm {
            self.in_mass.clear();
        }
        let together = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        self.waiting.retain_mut(|waiting| {
            let settled = over(waiting.case.came);
            if settled || !std::mem::replace(&mut waiting.written, true) {
                ready.push(Ready::Drop {
                    case: Rc::clone(&waiting.case),
                    together,
                    settled,
                });
            }
            !settled
        });
        ready
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use hawser_flight::{Event, Path, PeerLabel, Ring};

    fn told(instance: u64, dropped_ms: u64, up: bool) -> Told {
        let mut ring = Ring::new(1024);
        ring.record(
            dropped_ms,
            &Event::PeerDown {
                cause: CloseCause::DpdTimeout,
            },
        );
        let path = Path {
            local: "192.0.2.1:4500".parse().unwrap(),
            remote: "198.51.100.7:4500".parse().unwrap(),
            encapsulated: true,
        };
        let label = PeerLabel {
            instance,
            tenant: "default".into(),
            template: "1".into(),
            identity: "test".into(),
            path,
        };
        let recall = Recall {
            label: label.into(),
            networks: vec![format!("172.16.{instance}.0/24")],
            up,
            now_ms: dropped_ms,
            ring,
            clocks: Event::PeerUp,
        };
        Told {
            dropped_ms,
            back: up,
            recall,
        }
    }

    fn mass(ready: &[Ready]) -> &Piece {
        match ready {
            [Ready::Mass(piece)] => piece,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ten_thousand_drops_are_one_event() {
        let begin = Instant::now();
        let mut burst = Burst::default();
        for n in 0..10_000u64 {
            let came = begin + Duration::from_millis(n);
            let case = Case::new(came, 1_000_000, told(n, n, false));
            assert!(burst.take(case, 10_000).is_none());
        }
        // What is known is written at once, and none of them for itself.
        let late = begin + Duration::from_secs(19);
        let ready = burst.due(late, false);
        let dropped = &mass(&ready).dropped;
        assert_eq!(dropped.len(), 10_000);
        assert_eq!(dropped[7].at_ms, 1_000_007);
        assert_eq!(dropped[7].cause, Some(CloseCause::DpdTimeout));
        assert!(mass(&ready).instead_of.is_empty());
        // It goes on: the same event is written again, and what is new in it is known.
        burst.take(Case::new(late, 1_000_000, told(10_000, 19_000, false)), 1);
        assert!(burst.due(late, false).is_empty(), "not for each of them");
        let ready = burst.due(late + TOGETHER, false);
        assert_eq!(
            (mass(&ready).at_ms, mass(&ready).known),
            (1_000_000, 10_000)
        );
        assert_eq!(mass(&ready).dropped.len(), 10_001);
        assert!(burst.due(begin + TOGETHER * 9, true).is_empty());
    }

    #[test]
    fn what_was_written_alone_becomes_part_of_the_event() {
        let now = Instant::now();
        let mut burst = Burst::default();
        for n in 0..MASS as u64 {
            burst.take(Case::new(now, 1000, told(n, 50 - n, false)), 100);
            let ready = burst.due(now, false);
            if n + 1 < MASS as u64 {
                let [Ready::Drop { settled, .. }] = ready.as_slice() else {
                    panic!("{ready:?}")
                };
                assert!(!settled);
                continue;
            }
            assert_eq!(mass(&ready).at_ms, 1041);
            assert_eq!(mass(&ready).dropped.len(), MASS);
            assert_eq!(mass(&ready).instead_of.len(), MASS - 1);
        }
        assert!(burst.due(now, true).is_empty(), "nothing is left");
    }

    #[test]
    fn a_few_of_many_are_chance() {
        let now = Instant::now();
        let mut burst = Burst::default();
        for n in 0..20 {
            burst.take(Case::new(now, 0, told(n, n, false)), 50_000);
        }
        for (at, last) in [(now, false), (now + TOGETHER, true)] {
            let ready = burst.due(at, false);
            assert_eq!(ready.len(), 20);
            let expected = |r: &Ready| matches!(r, Ready::Drop { together: 20, settled, .. } if *settled == last);
            assert!(ready.iter().all(expected), "{ready:?}");
        }
        assert!(burst.due(now + TOGETHER, true).is_empty());
    }

    #[test]
    fn a_return_belongs_to_its_drop() {
        let now = Instant::now();
        let mut burst = Burst::default();
        burst.take(Case::new(now, 0, told(1, 5, false)), 2);
        assert_eq!(burst.due(now, false).len(), 1);
        // It may still be one of many: what is written again knows of the return.
        assert!(burst.take(Case::new(now, 0, told(1, 5, true)), 2).is_none());
        for at in [now, now + TOGETHER] {
            let ready = burst.due(at, false);
            let [Ready::Drop { case, .. }] = ready.as_slice() else {
                panic!("{ready:?}")
            };
            assert!(case.recall.up);
        }
        // Settled already: it is revised.
        let back = burst.take(Case::new(now, 0, told(1, 5, true)), 2);
        assert!(matches!(back, Some(Ready::Back(_))));
    }
}
