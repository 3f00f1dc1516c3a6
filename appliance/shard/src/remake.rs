//! A device that has lost its last pair while its IKE SA lives: another is asked for.

use crate::Shard;
use crate::asks::Asker;
use crate::io::{DeviceId, DirectoryRequest, Located, Question};
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

/// What a device had before it lost its last pair.
#[derive(Debug)]
pub(crate) struct Lost {
    /// When it is asked for; `None`: the IKE SA is lost too.
    pub(crate) at: Option<Instant>,
    pub(crate) children: Vec<ChildTemplate>,
}

impl Shard {
    /// What pairs of a device are, as templates. One that is being rekeyed is there twice.
    pub(crate) fn children_of(&self, key: usize, pairs: &[usize]) -> Vec<ChildTemplate> {
        let mut children: Vec<ChildTemplate> = Vec::new();
        for pair in pairs.iter().filter_map(|at| self.pairs.get(*at)) {
            let peer = self.peers.get(key);
            let live = peer.and_then(|p| p.find_ike_sa(pair.ike_spi));
            let sa = live.or_else(|| Some(&peer?.kept(pair.ike_spi)?.sa));
            let Some(child) = sa.and_then(|sa| sa.template().children.get(pair.child)) else {
                continue;
            };
            let same = |c: &ChildTemplate| c.local == pair.local && c.remote == pair.remote;
            if !children.iter().any(same) {
                children.push(ChildTemplate {
                    local: pair.local.clone(),
                    remote: pair.remote.clone(),
                    ..child.clone()
                });
            }
        }
        children
    }

    /// What a pair that is about to end was; nothing where it is not to be missed.
    pub(crate) fn missed(&self, key: usize, at: usize, cause: CloseCause) -> Vec<ChildTemplate> {
        use CloseCause::{DeletedByPeer, Expired, Internal};
        if !matches!(cause, DeletedByPeer | Expired | Internal) {
            return Vec::new();
        }
        self.children_of(key, &[at])
    }

    /// The device's last pair has ended, and its IKE SA lives.
    pub(crate) fn lost_last_pair(
        &mut self,
        now: Instant,
        key: usize,
        children: Vec<ChildTemplate>,
    ) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let unwanted = |at: Instant| now.saturating_duration_since(at) < UNWANTED;
        let wanted = !children.is_empty() && !peer.remade.is_some_and(unwanted);
        peer.lost = wanted.then_some(Lost { at: None, children });
        self.remake(now, key);
    }

    /// The device's last pairs are parked with their IKE SA.
    pub(crate) fn lost_with_its_sa(&mut self, key: usize, children: Vec<ChildTemplate>) {
        if let Some(peer) = self.peers.get_mut(key).filter(|_| !children.is_empty()) {
            peer.lost = Some(Lost { at: None, children });
        }
    }

    /// The device has an IKE SA, and no pair: in a while what it had last is asked for.
    pub(crate) fn remake(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let ours = peer.template.upkeep.revive == Revive::On && peer.template.initiate.is_none();
        let able = ours && peer.newest().is_some();
        if let Some(lost) = peer.lost.as_mut().filter(|_| able) {
            lost.at = Some(now + WAIT);
        }
    }

    /// It has had time to ask for another by itself. Meanwhile somebody else may have got its network.
    pub(crate) fn remake_due(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let due = |lost: &&mut Lost| lost.at.is_some_and(|at| at <= now);
        let Some(lost) = peer.lost.as_mut().filter(due) else {
            return;
        };
        lost.at = None;
        let remote = lost.children.iter().flat_map(|c| c.remote.iter().copied());
        let question = DirectoryRequest::Locate {
            tenant: peer.tenant,
            identity: peer.identity.clone(),
            endpoint: peer.path.remote,
            selectors: remote.collect(),
        };
        let asker = Asker::Remake(peer.device);
        self.ask(now, asker, Question::Directory(question));
    }

    pub(crate) fn remake_located(
        &mut self,
        now: Instant,
        device: DeviceId,
        same: &[Located],
        others: &[Located],
    ) {
        let taken = |d: &Located| d.alive && d.overlaps && d.device != device;
        let key = self.devices.get(&device).copied();
        let Some((key, peer)) = key.and_then(|key| Some((key, self.peers.get_mut(key)?))) else {
            return;
        };
        let free = !same.iter().chain(others).any(taken);
        // One that only waits for the answer to its DELETE is not there.
        let childless = |sa: &&mut IkeSa| !sa.children().iter().any(ChildSa::is_in_use);
        let alone = peer.pairs.is_empty();
        let newest = peer.newest().filter(|_| alone && free);
        let children = peer.lost.as_ref().map(|lost| lost.children.clone());
        let sa = newest.and_then(|spi| Peer::ike_sa(peer, spi));
        let (Some(sa), Some(children)) = (sa.filter(childless), children) else {
            return;
        };
        for child in children {
            ask_for(sa, child, &mut crate::env!(self, now));
        }
        peer.remade = Some(now);
        let label = Arc::clone(&peer.label);
        let what = Repair::NoChildSa;
        self.event(Some(label), Event::Repaired { what });
        self.drive(now, key);
    }
}

/// Asks for a Child SA on an IKE SA.
pub(crate) fn ask_for(sa: &mut IkeSa, child: ChildTemplate, env: &mut hawser_ike::io::Env<'_>) {
    let mut children = sa.template().children.clone();
    let known = children.iter().position(|c| *c == child);
    let at = known.unwrap_or(children.len());
    if known.is_none() {
        children.push(child);
        sa.set_template(Arc::new(PeerTemplate {
            children,
            ..(**sa.template()).clone()
        }));
    }
    sa.create_child(env, at);
}
