//! Drops that come together are one event, not thousands.

use super::store::PeerName;
use hawser_flight::verdict::{NodeHealth, Situation};
use hawser_flight::{CloseCause, Recording};
use hawser_shard::recorder::{Incident as Told, Recall};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Drops are together that are no further apart: what is cut off at once is not missed at once,
/// for each device's DPD begins with the last packet of its own.
const TOGETHER: Duration = Duration::from_secs(10);
/// So many together are a mass event, if they are also a twentieth of all that were up.
const MASS: usize = 10;
const SHARE: u64 = 20;
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

    fn is_same_drop(&self, other: &Self) -> bool {
        self.at_ms == other.at_ms && self.recall.label.instance == other.recall.label.instance
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
    /// One drop, and how many dropped around it.
    Drop(Case, u32),
    /// Many.
    Mass(Vec<Dropped>),
    /// One that was written before has come back.
    Back(Case),
}

#[derive(Default)]
pub(super) struct Burst {
    waiting: Vec<Case>,
    mass: Vec<Dropped>,
    in_mass: HashSet<(u64, u64)>,
    last: Option<Instant>,
}

impl Burst {
    /// A drop or a return has come; `were_up` devices were up before.
    pub(super) fn take(&mut self, case: Case, were_up: u64) -> Option<Ready> {
        let id = (case.recall.label.instance, case.at_ms);
        if case.is_back {
            let same = self.waiting.iter_mut().find(|w| w.is_same_drop(&case));
            return match same {
                Some(waiting) => {
                    waiting.recall = case.recall;
                    None
                }
                None if self.in_mass.contains(&id) => None,
                None => Some(Ready::Back(case)),
            };
        }
        self.last = Some(case.came);
        if !self.mass.is_empty() {
            self.join(case);
            return None;
        }
        let now = case.came;
        self.waiting.push(case);
        let together = |w: &&Case| now.saturating_duration_since(w.came) <= TOGETHER;
        let count = self.waiting.iter().filter(together).count();
        if count >= MASS && count as u64 * SHARE >= were_up {
            let waiting = std::mem::take(&mut self.waiting);
            waiting.into_iter().for_each(|case| self.join(case));
        }
        None
    }

    fn join(&mut self, case: Case) {
        self.in_mass
            .insert((case.recall.label.instance, case.at_ms));
        let (cause, at_ms) = (case.cause(), case.at_ms);
        self.mass.push(Dropped {
            peer: case.peer,
            at_ms,
            cause,
        });
    }

    /// What has waited long enough; `end`: nothing waits any more.
    pub(super) fn due(&mut self, now: Instant, end: bool) -> Vec<Ready> {
        let over = |at: Instant| end || now.saturating_duration_since(at) >= TOGETHER;
        let mut ready = Vec::new();
        let calm = self.last.is_none_or(over);
        if !self.mass.is_empty() && (calm || self.mass.len() >= LARGEST) {
            ready.push(Ready::Mass(std::mem::take(&mut self.mass)));
        }
        if calm {
            self.in_mass.clear();
        }
        let together = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        let waiting = std::mem::take(&mut self.waiting);
        for case in waiting {
            if over(case.came) {
                ready.push(Ready::Drop(case, together));
            } else {
                self.waiting.push(case);
            }
        }
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

    #[test]
    fn ten_thousand_drops_are_one_event() {
        let begin = Instant::now();
        let mut burst = Burst::default();
        for n in 0..10_000u64 {
            let came = begin + Duration::from_millis(n);
            let case = Case::new(came, 1_000_000, told(n, n, false));
            assert!(burst.take(case, 10_000).is_none());
        }
        let late = begin + Duration::from_secs(19);
        assert!(burst.due(late, false).is_empty(), "it may still go on");
        let mut ready = burst.due(begin + Duration::from_secs(20), false);
        let Some(Ready::Mass(dropped)) = ready.pop() else {
            panic!("{ready:?}")
        };
        // The first ones made it one event only when there were enough of them.
        assert_eq!(dropped.len(), 10_000);
        assert_eq!(dropped[7].at_ms, 1_000_007);
        assert_eq!(dropped[7].cause, Some(CloseCause::DpdTimeout));
        assert!(ready.is_empty());
        assert!(burst.due(begin + TOGETHER * 9, true).is_empty());
    }

    #[test]
    fn a_few_of_many_are_chance() {
        let now = Instant::now();
        let mut burst = Burst::default();
        for n in 0..20 {
            burst.take(Case::new(now, 0, told(n, n, false)), 50_000);
        }
        let ready = burst.due(now + TOGETHER, false);
        assert_eq!(ready.len(), 20);
        assert!(ready.iter().all(|r| matches!(r, Ready::Drop(_, 20))));
    }

    #[test]
    fn a_return_belongs_to_its_drop() {
        let now = Instant::now();
        let mut burst = Burst::default();
        burst.take(Case::new(now, 0, told(1, 5, false)), 2);
        // Still waiting: what is written knows of the return.
        assert!(burst.take(Case::new(now, 0, told(1, 5, true)), 2).is_none());
        let mut ready = burst.due(now + TOGETHER, false);
        let Some(Ready::Drop(case, 1)) = ready.pop() else {
            panic!("{ready:?}")
        };
        assert!(case.recall.up);
        // Written already: it is revised.
        let back = burst.take(Case::new(now, 0, told(1, 5, true)), 2);
        assert!(matches!(back, Some(Ready::Back(_))));
    }
}
