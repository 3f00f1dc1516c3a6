//! What must hold of every device, checked while it might not, and repaired: nobody has to clear a
//! tunnel by hand.
//!
//! A device with one IKE SA and one pair that is sent on has nothing that could be wrong, and no timer here.

use crate::Shard;
use crate::pairs::Pair;
use crate::peer::Peer;
use hawser_flight::{CloseCause, Event, Repair};
use hawser_ike::IkeSa;
use hawser_ike::child_sa::ChildSa;
use hawser_ike::ike_sa::SaState;
use hawser_policy::Uniqueness;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a device is looked at that might need it.
const EVERY: Duration = Duration::from_secs(5);

/// How long what two sides are at may look wrong.
const GRACE: Duration = Duration::from_secs(5);

/// How long a peer may be put off with TEMPORARY_FAILURE.
const PUT_OFF: Duration = Duration::from_secs(30);

impl Peer {
    /// Whether anything of it could be inconsistent.
    fn is_irregular(&self) -> bool {
        let refuses = |sa: &IkeSa| sa.refusing_since().is_some();
        self.ike_sas.len() > 1 || self.pairs.len() > 1 || self.ike_sas.iter().any(refuses)
    }

    /// IKE SAs in use of which none is being replaced, nor asked whether it lives.
    fn at_rest(&self) -> impl Iterator<Item = &IkeSa> {
        let rest = self.contests.is_empty() && self.retiring.is_empty() && self.trial.is_none();
        let in_use = move |sa: &&IkeSa| rest && sa.state() == SaState::Established;
        self.ike_sas.iter().filter(in_use)
    }
}

impl Shard {
    /// The device is looked at in a while, if it might need it.
    pub(crate) fn watch(&mut self, key: usize) {
        let now = self.clock;
        if let Some(peer) = self.peers.get_mut(key) {
            let mut pairs = peer.pairs.iter().filter_map(|at| self.pairs.get(*at));
            let needs = peer.is_irregular() || pairs.any(|pair| !pair.active);
            peer.check_at = needs.then(|| peer.check_at.unwrap_or(now + EVERY));
        }
    }

    pub(crate) fn reconcile_due(&mut self, now: Instant, key: usize) {
        let due = |p: &&mut Peer| p.check_at.is_some_and(|at| at <= now);
        let Some(peer) = self.peers.get_mut(key).filter(due) else {
            return;
        };
        peer.check_at = None;
        self.merge_pairs(now, key);
        self.merge_ike_sas(now, key);
        self.end_refusal(now, key);
        self.send_on_lonely(now, key);
    }

    fn repaired(&mut self, key: usize, what: Repair) {
        let label = self.peers.get(key).map(|p| Arc::clone(&p.label));
        self.event(label, Event::Repaired { what });
    }

    /// Of several pairs with the same selectors the newest confirmed one stays.
    fn merge_pairs(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let pair_of = |spi_in: u32| {
            let at = self.sad.get(spi_in)?.owner;
            self.pairs.get(at).filter(|p| p.spi_in == spi_in)
        };
        let in_use = |sa: &&IkeSa| !sa.is_waiting();
        let children = peer.at_rest().filter(in_use).flat_map(|sa| {
            let used = sa.children().iter().filter(|c| c.is_in_use());
            used.map(move |c| (sa.local_spi(), c))
        });
        let mut children: Vec<_> = children.collect();
        children.sort_by_key(|(_, c)| std::cmp::Reverse(c.created));
        let mut surplus = Vec::new();
        for (n, (ike_spi, old)) in children.iter().enumerate() {
            let same = |(_, c): &&(u64, &ChildSa)| {
                c.local == old.local
                    && c.remote == old.remote
                    && c.created + GRACE <= now
                    && pair_of(c.spi_in).is_some_and(|p| p.active && !p.unconfirmed)
            };
            if children.iter().take(n).any(|c| same(&c)) {
                surplus.push((*ike_spi, old.spi_in));
            }
        }
        for (ike_spi, spi_in) in surplus {
            if let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(ike_spi)) {
                sa.delete_child(&mut crate::env!(self, now), spi_in, CloseCause::Superseded);
                self.repaired(key, Repair::DuplicateChildSa);
            }
        }
    }

    /// Of several IKE SAs of one endpoint the one stays that has pairs, and was heard last.
    fn merge_ike_sas(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        if peer.template.upkeep.uniqueness == Uniqueness::Never {
            return;
        }
        let old_enough = |sa: &&IkeSa| sa.created() + 2 * GRACE <= now;
        // One that only waits for the answer to its DELETE is none.
        let has_pair = |sa: &IkeSa| sa.children().iter().any(ChildSa::is_in_use);
        let Some(best) = peer
            .at_rest()
            .filter(old_enough)
            .max_by_key(|sa| (has_pair(sa), sa.last_inbound(), sa.created()))
        else {
            return;
        };
        let (stays, endpoint) = (best.local_spi(), best.path().remote);
        let others = peer.at_rest().filter(old_enough);
        let others = others.filter(|sa| sa.local_spi() != stays && sa.path().remote == endpoint);
        let others: Vec<u64> = others.map(IkeSa::local_spi).collect();
        for goes in others {
            self.prefer(now, key, stays, goes);
            self.repaired(key, Repair::ExtraIkeSa);
        }
    }

    /// An IKE SA on which nothing is granted any more is given up, and made anew.
    fn end_refusal(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let stuck = |sa: &&mut IkeSa| {
            let since = sa.refusing_since();
            sa.state() == SaState::Established && since.is_some_and(|at| at + PUT_OFF <= now)
        };
        if let Some(sa) = peer.ike_sas.iter_mut().find(stuck) {
            sa.delete(&mut crate::env!(self, now), CloseCause::Internal);
            self.repaired(key, Repair::TemporaryFailure);
        }
    }

    /// A pair that only receives, and that no other sends for, is sent on.
    fn send_on_lonely(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let pairs = || peer.pairs.iter().filter_map(|at| self.pairs.get(*at));
        let served = |pair: &Pair| {
            pairs().any(|p| p.active && p.local == pair.local && p.remote == pair.remote)
        };
        let born = |pair: &Pair| {
            let children = peer.at_rest().flat_map(IkeSa::children);
            let mut children = children.filter(|c| c.spi_in == pair.spi_in);
            children.next().map(|c| c.created)
        };
        let lonely = |pair: &&Pair| {
            let old = born(pair).is_some_and(|at| at + 2 * GRACE <= now);
            old && !pair.active && !served(pair)
        };
        let lonely: Vec<u32> = pairs().filter(lonely).map(|p| p.spi_in).collect();
        for spi_in in lonely {
            self.activate_pair(key, spi_in);
            self.repaired(key, Repair::InboundOnly);
        }
    }
}
