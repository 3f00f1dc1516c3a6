//! A device that has lost its last pair while its IKE SA lives: another is asked for.

use crate::Shard;
use crate::peer::Peer;
use hawser_flight::{CloseCause, Event, Repair};
use hawser_ike::IkeSa;
use hawser_ike::child_sa::ChildSa;
use hawser_policy::{ChildTemplate, PeerTemplate, Revive};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the branch has to ask for another by itself.
const WAIT: Duration = Duration::from_secs(1);

/// A branch that deletes so soon what we asked for does not want it.
const UNWANTED: Duration = Duration::from_secs(20);

/// The last pair of a device, that was lost.
#[derive(Debug)]
pub(crate) struct Lost {
    /// When another is asked for.
    pub(crate) at: Instant,
    child: ChildTemplate,
}

impl Shard {
    /// What a pair that is about to end was, as a template; `None` where it is not to be missed.
    pub(crate) fn missed(&self, key: usize, at: usize, cause: CloseCause) -> Option<ChildTemplate> {
        use CloseCause::{DeletedByPeer, Expired, Internal};
        let (peer, pair) = (self.peers.get(key)?, self.pairs.get(at)?);
        let sa = peer.find_ike_sa(pair.ike_spi)?;
        let ours = peer.template.upkeep.revive == Revive::On && peer.template.initiate.is_none();
        if !ours || !matches!(cause, DeletedByPeer | Expired | Internal) {
            return None;
        }
        Some(ChildTemplate {
            local: pair.local.clone(),
            remote: pair.remote.clone(),
            ..sa.template().children.get(pair.child)?.clone()
        })
    }

    /// The device's last pair has ended, and its IKE SA lives.
    pub(crate) fn lost_last_pair(&mut self, now: Instant, key: usize, child: ChildTemplate) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let unwanted = |at: Instant| now.saturating_duration_since(at) < UNWANTED;
        if peer.newest().is_some() && !peer.remade.is_some_and(unwanted) {
            let at = now + WAIT;
            peer.lost = Some(Lost { at, child });
        }
    }

    /// It has had time to ask for another by itself.
    pub(crate) fn remake_due(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let Some(lost) = peer.lost.take_if(|lost| lost.at <= now) else {
            return;
        };
        // One that only waits for the answer to its DELETE is not there.
        let childless = |sa: &&mut IkeSa| !sa.children().iter().any(ChildSa::is_in_use);
        let alone = peer.pairs.is_empty();
        let newest = peer.newest().filter(|_| alone);
        let sa = newest.and_then(|spi| Peer::ike_sa(peer, spi));
        let Some(sa) = sa.filter(childless) else {
            return;
        };
        let mut children = sa.template().children.clone();
        let known = children.iter().position(|c| *c == lost.child);
        let child = known.unwrap_or(children.len());
        if known.is_none() {
            children.push(lost.child);
        }
        sa.set_template(Arc::new(PeerTemplate {
            children,
            ..(**sa.template()).clone()
        }));
        sa.create_child(&mut crate::env!(self, now), child);
        peer.remade = Some(now);
        let label = Arc::clone(&peer.label);
        let what = Repair::NoChildSa;
        self.event(Some(label), Event::Repaired { what });
    }
}
