//! How often devices of an identity came up and went down within the last hour.

use hawser_flight::{Event, PeerLabel};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
/// Changes of an identity that are remembered; more than these are as bad.
const CHANGES: usize = 256;
/// Identities that are remembered.
const IDENTITIES: usize = 65_536;

type Changes = VecDeque<(Instant, bool)>;

/// Tenant and identity.
type Name = (Arc<str>, Arc<str>);

/// The changes of each identity.
#[derive(Default)]
pub(crate) struct Flaps(Mutex<HashMap<Name, Changes>>);

impl Flaps {
    /// Notes that a device came up or went down; other events say nothing here.
    pub(crate) fn note(&self, peer: Option<&PeerLabel>, event: &Event) {
        let up = match event {
            Event::PeerUp => true,
            Event::PeerDown { .. } => false,
            _ => return,
        };
        if let Some(peer) = peer {
            self.change(&peer.tenant, &peer.identity, up, Instant::now());
        }
    }

    fn change(&self, tenant: &Arc<str>, identity: &Arc<str>, up: bool, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(tenant), Arc::clone(identity));
        if all.len() >= IDENTITIES && !all.contains_key(&key) {
            let recent = |changes: &Changes| changes.back().is_some_and(|(at, _)| now - *at < HOUR);
            all.retain(|_, changes| recent(changes));
            if all.len() >= IDENTITIES {
                return;
            }
        }
        let changes = all.entry(key).or_default();
        changes.push_back((now, up));
        if changes.len() > CHANGES {
            changes.pop_front();
        }
    }

    /// Ups and downs.
    pub(super) fn of(&self, tenant: &Arc<str>, identity: &str) -> (u32, u32) {
        let now = Instant::now();
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(changes) = all.get(&(Arc::clone(tenant), Arc::from(identity))) else {
            return (0, 0);
        };
        let recent = changes.iter().filter(|(at, _)| now - *at < HOUR);
        recent.fold((0, 0), |(ups, downs), (_, up)| {
            (ups + u32::from(*up), downs + u32::from(!*up))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hour_of_an_identity_of_a_tenant_counts() {
        let flaps = Flaps::default();
        let (tenant, other): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let now = Instant::now();
        for up in [true, false, true] {
            flaps.change(&tenant, &"test".into(), up, now);
        }
        if let Some(long_ago) = now.checked_sub(2 * HOUR) {
            flaps.change(&tenant, &"test".into(), false, long_ago);
        }
        assert_eq!(flaps.of(&tenant, "test"), (2, 1));
        assert_eq!(flaps.of(&other, "test"), (0, 0));
        for _ in 0..10 * CHANGES {
            flaps.change(&tenant, &"test".into(), true, now);
        }
        assert_eq!(flaps.of(&tenant, "test").0 as usize, CHANGES);
    }
}
