//! A route stays a while after its Child SA: a branch that reauthenticates break-before-make, or is
//! revived, finds it there, and what goes to it meanwhile is dropped by the SPD instead of taking
//! another way in clear.

use hawser_policy::TenantId;
use hawser_shard::io::{RouteChange, ShardId};
use ipnet::IpNet;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// How long a route stays.
pub(super) const LINGER: Duration = Duration::from_secs(10);

type Owned = (TenantId, IpNet, u64);

fn owned(change: &RouteChange) -> Owned {
    (change.tenant, change.net, change.owner)
}

/// Removals that wait, the first at the front.
#[derive(Default)]
pub(super) struct Lingering {
    queue: VecDeque<(Instant, ShardId, RouteChange)>,
    /// When each is due; one that is not here was taken back.
    due: HashMap<Owned, Instant>,
}

impl Lingering {
    /// When the first is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.front().map(|(at, ..)| *at)
    }

    /// Whether a change is carried out now; a removal is put off.
    pub(super) fn passes(&mut self, now: Instant, shard: ShardId, change: &RouteChange) -> bool {
        if change.install {
            self.due.remove(&owned(change));
        } else {
            self.due.insert(owned(change), now + LINGER);
            self.queue.push_back((now + LINGER, shard, change.clone()));
        }
        change.install
    }

    /// The removals that are due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(ShardId, RouteChange)> {
        let mut ready = Vec::new();
        while let Some((at, ..)) = self.queue.front()
            && *at <= now
            && let Some((at, shard, change)) = self.queue.pop_front()
        {
            if self.due.get(&owned(&change)) == Some(&at) {
                self.due.remove(&owned(&change));
                ready.push((shard, change));
            }
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn change(owner: u64, install: bool) -> RouteChange {
        RouteChange {
            tenant: TenantId(0),
            net: "10.1.0.0/24".parse().unwrap(),
            owner,
            install,
        }
    }

    #[test]
    fn a_removal_waits_and_is_taken_back_when_its_owner_returns() {
        let (mut lingering, start) = (Lingering::default(), Instant::now());
        let shard = ShardId(0);
        assert!(lingering.passes(start, shard, &change(1, true)));
        assert!(!lingering.passes(start, shard, &change(1, false)));
        assert!(!lingering.passes(start, shard, &change(2, false)));
        assert_eq!(lingering.next(), Some(start + LINGER));
        assert!(lingering.due(start + LINGER / 2).is_empty());
        // A resurrected pair has the owner that it had.
        assert!(lingering.passes(start + LINGER / 2, shard, &change(1, true)));
        let due = lingering.due(start + LINGER);
        assert_eq!(due, [(shard, change(2, false))]);
        assert_eq!(lingering.next(), None);
        // It goes again: its time counts from then.
        let again = start + LINGER * 2;
        assert!(!lingering.passes(again, shard, &change(1, false)));
        assert!(lingering.due(again + LINGER / 2).is_empty());
        assert_eq!(lingering.due(again + LINGER).len(), 1);
    }
}
