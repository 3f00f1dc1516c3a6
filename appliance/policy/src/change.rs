//! What another policy means for the SAs that were made by this one.

use crate::Policy;
use crate::template::{ChildTemplate, PeerTemplate};
use crate::tenant::TenantId;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What has to be made anew of a template's SAs; everything else follows at once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// The IKE SA is to be rekeyed: its proposals or lifetimes have changed.
    pub ike: bool,
    /// The Child SAs of these names are to be rekeyed: their proposals, lifetimes or replay windows have changed.
    pub children: BTreeSet<String>,
    /// The device is to authenticate anew: who we are, whom we begin with, or what the Child SAs cover has changed.
    pub reauthenticate: bool,
}

/// By tenant and name of the template.
pub type Changes = HashMap<(TenantId, Arc<str>), Change>;

impl Change {
    /// What is to be done for a later change too.
    pub fn merge(&mut self, later: &Self) {
        self.ike |= later.ike;
        self.reauthenticate |= later.reauthenticate;
        self.children.extend(later.children.iter().cloned());
    }

    fn between(before: &PeerTemplate, after: &PeerTemplate, other_policies: bool) -> Self {
        let mut change = Self {
            ike: before.ike_proposals != after.ike_proposals
                || before.ike_lifetimes != after.ike_lifetimes
                || (after.ike_proposals.is_empty() && other_policies),
            children: BTreeSet::new(),
            reauthenticate: before.local_identity != after.local_identity
                || before.initiate != after.initiate,
        };
        for child in &before.children {
            let same = |c: &&ChildTemplate| c.name == child.name;
            let Some(now) = after.children.iter().find(same) else {
                change.reauthenticate = true;
                continue;
            };
            if (&child.local, &child.remote) != (&now.local, &now.remote) {
                change.reauthenticate = true;
            }
            if child.proposals != now.proposals
                || child.lifetimes != now.lifetimes
                || child.replay_window != now.replay_window
            {
                change.children.insert(child.name.clone());
            }
        }
        change
    }
}

/// The templates of which something has to be made anew. One that is gone is not among them.
pub fn changes(before: &Policy, after: &Policy) -> Changes {
    let other_policies = before.ike_policies != after.ike_policies;
    let named = |t: &Arc<PeerTemplate>| (t.tenant, Arc::clone(&t.name));
    let now: HashMap<_, _> = after.templates.iter().map(|t| (named(t), t)).collect();
    let both = before.templates.iter().filter_map(|old| {
        let name = named(old);
        let new = now.get(&name)?;
        Some((name, Change::between(old, new, other_policies)))
    });
    both.filter(|(_, change)| *change != Change::default())
        .collect()
}
