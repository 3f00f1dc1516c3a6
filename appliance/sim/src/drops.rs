//! What dropped in a run, and the verdicts on it: what `explain` says at a real headquarters.

use hawser_flight::Entry;
use hawser_flight::verdict::{Finding, NodeHealth, Situation, judge, judge_living};
use hawser_shard::recorder::{Incident, Recall};
use std::time::Duration;

/// Drops are together that are no further apart (as the engine counts them).
const TOGETHER_MS: u64 = 10_000;
/// So many together are a mass event.
const MASS: usize = 10;
/// How far back the node's lateness may be the reason.
const LATELY: Duration = Duration::from_secs(60);

/// A drop that has been judged.
#[derive(Clone, Debug)]
pub struct Drop {
    /// Who.
    pub identity: String,
    /// When, in milliseconds since the run began.
    pub at_ms: u64,
    /// Why.
    pub finding: Finding,
}

/// The drops of a run. Nothing is kept of them unless [`Drops::keep`] was called.
#[derive(Debug, Default)]
pub struct Drops {
    kept: Option<Vec<(Incident, NodeHealth)>>,
    late: Vec<(Duration, Duration)>,
}

impl Drops {
    /// Drops are kept from now on, and earlier ones forgotten.
    pub fn keep(&mut self) {
        self.kept = Some(Vec::new());
    }

    /// What headquarters had to do was done so late, so long after the run began.
    pub(crate) fn late(&mut self, now: Duration, late: Duration) {
        self.late.retain(|(at, _)| *at + LATELY >= now);
        self.late.push((now, late));
    }

    /// A device dropped, or one that had dropped is back: what is known of its drop then is more.
    pub(crate) fn told(&mut self, incident: Incident) {
        let health = self.health(incident.recall.now_ms);
        let Some(kept) = &mut self.kept else {
            return;
        };
        let id = |i: &Incident| (i.recall.label.instance, i.dropped_ms);
        match kept.iter_mut().find(|(k, _)| id(k) == id(&incident)) {
            Some(same) => same.0 = incident,
            None if incident.back => {}
            None => kept.push((incident, health)),
        }
    }

    fn health(&self, now_ms: u64) -> NodeHealth {
        let recent =
            |(at, _): &&(Duration, Duration)| *at + LATELY >= Duration::from_millis(now_ms);
        let worst = self.late.iter().filter(recent).map(|(_, late)| *late).max();
        NodeHealth {
            loop_lag_ms: u32::try_from(worst.unwrap_or_default().as_millis()).unwrap_or(u32::MAX),
            socket_drops: 0,
        }
    }

    /// All of them, judged.
    pub fn judged(&self) -> Vec<Drop> {
        let all = self.kept.iter().flatten();
        all.clone()
            .map(|(incident, health)| {
                let near = |i: &Incident| i.dropped_ms.abs_diff(incident.dropped_ms) <= TOGETHER_MS;
                let together = all.clone().filter(|(other, _)| near(other)).count();
                verdict(incident, *health, together)
            })
            .collect()
    }
}

/// What can be seen of a device that has not dropped and does not work.
pub fn living(recall: &Recall) -> Option<Finding> {
    let mut entries = recall.ring.recording().entries;
    entries.push(Entry {
        at_ms: recall.now_ms,
        event: recall.clocks.clone(),
    });
    judge_living(&Situation::living(&recall.label.identity, &entries))
}

fn verdict(incident: &Incident, health: NodeHealth, together: usize) -> Drop {
    let identity = incident.recall.label.identity.to_string();
    let recording = incident.recall.ring.recording();
    let entries = &recording.entries;
    let drop = Situation::last_drop(&identity, entries, incident.dropped_ms);
    let situation = Situation {
        health,
        together: if together >= MASS { together as u32 } else { 1 },
        ..drop.unwrap_or(Situation::living(&identity, entries))
    };
    Drop {
        finding: judge(&situation),
        at_ms: incident.dropped_ms,
        identity,
    }
}
