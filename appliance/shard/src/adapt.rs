//! Another policy, carried out with devices that are up: by rekeying, by a new IKE SA beside the one that they have, or
//! by DELETE; one device after the other, and traffic goes on.
//!
//! What a device is made of changes in two steps: its SAs get the new template, so that whoever rekeys first does so by
//! it, and then we begin what is missing.

use crate::Shard;
use crate::io::DeviceId;
use crate::peer::Peer;
use crate::revive::may_show;
use crate::timers::TimerKey;
use hawser_crypto::Prf;
use hawser_flight::{CloseCause, Consequence, Event, Path};
use hawser_ike::ike_sa::SaState;
use hawser_policy::change::{Change, Changes, changes};
use hawser_policy::{
    Candidate, Identity, IkeProposal, PeerTemplate, Policy, Revive, Secret, TenantId,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A shard begins with one device after the other, no faster.
const PACE: Duration = Duration::from_millis(20);

/// When one is looked at again that something is under way with, or that was to show that it is there.
const AGAIN: Duration = Duration::from_secs(2);
const ATTEMPTS: u8 = 30;

/// How a device stands: all that decides what another policy means for it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its tenant.
    pub tenant: TenantId,
    /// Name of its template.
    pub template: Arc<str>,
    /// Its authenticated identity.
    pub identity: Identity,
    /// Where it is.
    pub path: Path,
    /// It has an IKE SA.
    pub up: bool,
    /// The pre-shared key that it has proved; `None`: we began.
    secret: Option<Secret>,
    /// The names of its Child SAs' templates.
    children: Vec<String>,
    /// The PRF of its IKE SA, which no rekey changes.
    prf: Option<Prf>,
}

/// Whether the device would be let in now.
enum Admission {
    /// As it was.
    AsBefore,
    /// With another secret.
    With(Secret),
    /// As something else only.
    Otherwise,
    /// No.
    Gone,
}

impl Standing {
    /// What changing to `policy` does to it; `change` is that of its template.
    pub fn consequence(&self, change: Option<&Change>, policy: &Policy) -> Option<Consequence> {
        if !self.up {
            return None;
        }
        let begin = |secret| match self.may_begin(policy, secret) {
            true => Consequence::Reauthenticate,
            false => Consequence::StayUntilEnd,
        };
        match self.admission(policy) {
            Admission::Gone => return Some(Consequence::Close),
            Admission::Otherwise => return Some(Consequence::StayUntilEnd),
            Admission::With(secret) => return Some(begin(Some(&secret))),
            Admission::AsBefore => {}
        }
        let change = change?;
        if self.must_reauthenticate(change, policy) {
            return Some(begin(self.secret.as_ref()));
        }
        let rekeys = change.ike || self.children.iter().any(|c| change.children.contains(c));
        rekeys.then_some(Consequence::Rekey)
    }

    /// Whether the change wants more than rekeying.
    fn must_reauthenticate(&self, change: &Change, policy: &Policy) -> bool {
        let ours = self.current(policy).map(|t| t.ike_proposals.as_slice());
        let by_address = || policy.ike_proposals(self.path.local.ip());
        let proposals = ours.filter(|ours| !ours.is_empty());
        let mut proposals = proposals.unwrap_or_else(by_address).iter();
        let rekeys = self
            .prf
            .is_none_or(|prf| proposals.any(|p| p.prf.contains(&prf)));
        change.reauthenticate || (change.ike && !rekeys)
    }

    fn current<'p>(&self, policy: &'p Policy) -> Option<&'p Arc<PeerTemplate>> {
        let ours = |t: &&Arc<PeerTemplate>| t.tenant == self.tenant && t.name == self.template;
        policy.templates.iter().find(ours)
    }

    fn admission(&self, policy: &Policy) -> Admission {
        let current = self.current(policy);
        let Some(secret) = &self.secret else {
            return match current {
                Some(_) => Admission::AsBefore,
                None => Admission::Gone,
            };
        };
        let (local, remote) = (self.path.local.ip(), self.path.remote.ip());
        let candidates = policy.pad.candidates(local, remote, &self.identity);
        let ours = |c: &&Candidate| current.is_some_and(|t| t.id == c.template);
        if candidates.iter().filter(ours).any(|c| c.secret == *secret) {
            return Admission::AsBefore;
        }
        match candidates.iter().find(ours) {
            Some(candidate) => Admission::With(candidate.secret.clone()),
            None if candidates.is_empty() => Admission::Gone,
            None => Admission::Otherwise,
        }
    }

    /// Whether we may begin a handshake with it, wherever it is.
    fn may_begin(&self, policy: &Policy, secret: Option<&Secret>) -> bool {
        self.current(policy).is_some_and(|template| {
            let upkeep = &template.upkeep;
            template.initiate.is_some() || (upkeep.revive == Revive::On && may_show(upkeep, secret))
        })
    }
}

/// Devices that are still to be looked at, and for what.
#[derive(Default)]
pub(crate) struct Adapting {
    applied: Vec<Applied>,
    waiting: BTreeMap<(Instant, DeviceId), Waiting>,
    armed: Option<Instant>,
}

struct Applied {
    revision: u64,
    changes: Changes,
}

#[derive(Clone, Copy, Default)]
struct Waiting {
    attempts: u8,
    /// It is to authenticate anew in any case.
    reauthenticate: bool,
}

impl Adapting {
    /// What has changed of a template since a revision.
    fn since(&self, revision: u64, template: &(TenantId, Arc<str>)) -> Change {
        let later = self.applied.iter().filter(|a| a.revision > revision);
        later.fold(Change::default(), |mut all, applied| {
            if let Some(change) = applied.changes.get(template) {
                all.merge(change);
            }
            all
        })
    }
}

impl Shard {
    /// Everything that decides what another policy means for the devices of this shard.
    pub(crate) fn standings(&self) -> Vec<Standing> {
        self.peers
            .iter()
            .map(|(_, peer)| self.standing(peer))
            .collect()
    }

    fn standing(&self, peer: &Peer) -> Standing {
        let sas = || {
            let established = |sa: &&hawser_ike::IkeSa| sa.state() == SaState::Established;
            peer.ike_sas.iter().filter(established)
        };
        let names = sas().flat_map(|sa| {
            let named = |at: usize| Some(sa.template().children.get(at)?.name.clone());
            sa.children().iter().filter_map(move |c| named(c.child))
        });
        Standing {
            tenant: peer.tenant,
            template: Arc::clone(&peer.template.name),
            identity: peer.identity.clone(),
            path: peer.path,
            up: sas().next().is_some(),
            secret: peer.secret.clone(),
            children: names.collect(),
            prf: sas().next_back().map(|sa| sa.suite().prf),
        }
    }

    /// The policy has been replaced: from now on its devices are made to follow, one after the other.
    pub(crate) fn begin_adapting(&mut self, now: Instant, before: &Policy) {
        let policy = Arc::clone(&self.policy);
        let changes = changes(before, &policy);
        let listed = before.pad == policy.pad;
        let named = |p: &Policy| -> Vec<_> {
            let names = p.templates.iter();
            names.map(|t| (t.tenant, Arc::clone(&t.name))).collect()
        };
        let unaffected = listed && changes.is_empty() && named(before) == named(&policy);
        // Those that something was to be done for already keep that.
        let waited = std::mem::take(&mut self.adapting.waiting).into_iter();
        let mut waited: HashMap<DeviceId, Waiting> = waited.map(|((_, d), w)| (d, w)).collect();
        let mut at = now;
        for (_, peer) in &self.peers {
            let before = waited.remove(&peer.device);
            if before.is_some() || !unaffected {
                at += PACE;
                let waiting = before.unwrap_or_default();
                self.adapting.waiting.insert((at, peer.device), waiting);
            }
        }
        let revision = policy.revision;
        self.adapting.applied.push(Applied { revision, changes });
        self.arm_adapting();
    }

    fn arm_adapting(&mut self) {
        let next = self.adapting.waiting.keys().next().map(|(at, _)| *at);
        if next.is_none() {
            self.adapting.applied.clear();
        }
        self.timers
            .arm(&mut self.adapting.armed, next, TimerKey::Adapt);
    }

    pub(crate) fn adapt_due(&mut self, now: Instant) {
        self.adapting.armed = None;
        if let Some(first) = self.adapting.waiting.first_entry()
            && first.key().0 <= now
        {
            let ((_, device), waiting) = first.remove_entry();
            if let Some(key) = self.devices.get(&device).copied() {
                self.adapt(now, key, waiting);
            }
        }
        self.arm_adapting();
    }

    fn adapt(&mut self, now: Instant, key: usize, mut waiting: Waiting) {
        let policy = Arc::clone(&self.policy);
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let standing = self.standing(peer);
        let name = (standing.tenant, Arc::clone(&standing.template));
        let change = self.adapting.since(peer.revision, &name);
        let consequence = standing.consequence(Some(&change), &policy);
        match standing.admission(&policy) {
            Admission::Gone => self.revoke(now, key),
            Admission::With(secret) => {
                waiting.reauthenticate = true;
                if let Some(peer) = self.peers.get_mut(key) {
                    peer.secret = Some(secret);
                }
            }
            Admission::AsBefore | Admission::Otherwise => {}
        }
        waiting.reauthenticate |= standing.must_reauthenticate(&change, &policy);
        let done = match consequence {
            None if !waiting.reauthenticate => self.change_templates(key, &change).then_some(None),
            Some(Consequence::Close) => Some(Some(Consequence::Close)),
            _ => self.follow_policy(now, key, &change, &waiting),
        };
        match done {
            Some(consequence) => self.adapted(key, consequence),
            None if waiting.attempts < ATTEMPTS => {
                waiting.attempts += 1;
                let device = self.peers.get(key).map(|p| p.device);
                let again = device.map(|device| ((now + AGAIN, device), waiting));
                self.adapting.waiting.extend(again);
            }
            None => self.adapted(key, Some(Consequence::StayUntilEnd)),
        }
    }

    fn adapted(&mut self, key: usize, consequence: Option<Consequence>) {
        let revision = self.policy.revision;
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.revision = revision;
        let label = Arc::clone(&peer.label);
        if let Some(consequence) = consequence {
            self.event(Some(label), Event::ConfigAffects { consequence });
        }
    }

    /// It is not allowed any more, and is not to be brought back.
    fn revoke(&mut self, now: Instant, key: usize) {
        self.forget_revival(key);
        self.drop_kept(key);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.secret = None;
            for sa in &mut peer.ike_sas {
                sa.delete(
                    &mut crate::env!(self, now),
                    CloseCause::ConfigurationChanged,
                );
            }
        }
        self.drive(now, key);
    }

    /// Its SAs follow by rekeying, or another IKE SA is begun; what was done. `None`: not yet.
    fn follow_policy(
        &mut self,
        now: Instant,
        key: usize,
        change: &Change,
        waiting: &Waiting,
    ) -> Option<Option<Consequence>> {
        let Some(spi) = self.peers.get(key).and_then(Peer::newest) else {
            // Down, or about to be: what it makes next is by the new policy.
            return Some(None);
        };
        if !self.change_templates(key, change) {
            return None;
        }
        if waiting.reauthenticate {
            match self.reauthenticate(now, key, spi) {
                Begun::Yes => return Some(Some(Consequence::Reauthenticate)),
                Begun::Unheard => {
                    self.probe_device(now, key);
                    self.drive(now, key);
                    return None;
                }
                Begun::No => {}
            }
        }
        let rekeys = self.rekey_changed(now, key, spi, change);
        Some(match (waiting.reauthenticate, rekeys) {
            (false, true) => Some(Consequence::Rekey),
            (false, false) => None,
            (true, _) => Some(Consequence::StayUntilEnd),
        })
    }

    /// Its SAs get the new template; says no while something is under way by the old one.
    fn change_templates(&mut self, key: usize, change: &Change) -> bool {
        let policy = Arc::clone(&self.policy);
        let Some(peer) = self.peers.get_mut(key) else {
            return true;
        };
        for sa in &mut peer.ike_sas {
            let old = Arc::clone(sa.template());
            let named = |t: &&Arc<PeerTemplate>| t.tenant == old.tenant && t.name == old.name;
            let Some(current) = policy.templates.iter().find(named) else {
                continue;
            };
            if sa.state() != SaState::Established || Arc::ptr_eq(&old, current) {
                continue;
            }
            let by_address = policy.ike_proposals(sa.path().local.ip());
            let others = change.ike && current.ike_proposals.is_empty();
            let (template, places) = merged(&old, current, others.then_some(by_address));
            if !sa.change_template(&template, &places) {
                return false;
            }
            for at in &peer.pairs {
                if let Some(pair) = self.pairs.get_mut(*at)
                    && pair.ike_spi == sa.local_spi()
                    && let Some(place) = places.get(pair.child)
                {
                    pair.child = *place;
                }
            }
        }
        true
    }

    /// Rekeys what was made by other settings; says whether there was any.
    fn rekey_changed(&mut self, now: Instant, key: usize, spi: u64, change: &Change) -> bool {
        let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(spi)) else {
            return false;
        };
        let template = Arc::clone(sa.template());
        let name = |at: usize| template.children.get(at).map(|c| &c.name);
        let changed = |at| name(at).is_some_and(|name| change.children.contains(name));
        let children = sa.children().iter();
        let stale = children.filter(|c| c.is_in_use() && changed(c.child));
        let stale: Vec<u32> = stale.map(|c| c.spi_in).collect();
        for spi_in in &stale {
            sa.rekey_child(&mut crate::env!(self, now), *spi_in);
        }
        if change.ike {
            sa.rekey(&mut crate::env!(self, now));
        }
        self.drive(now, key);
        change.ike || !stale.is_empty()
    }

    /// A new IKE SA beside the one that it has, which goes when that is proved.
    fn reauthenticate(&mut self, now: Instant, key: usize, spi: u64) -> Begun {
        let template = self.peers.get(key).map(|p| Arc::clone(&p.template));
        match template.filter(|t| t.initiate.is_some()) {
            Some(template) => {
                self.initiate_anew(now, &template);
                Begun::Yes
            }
            None => self.begin_renewal(now, key, spi),
        }
    }
}

/// Whether another IKE SA was begun.
pub(crate) enum Begun {
    Yes,
    /// Not yet: nothing has come from the device for too long to know where it is.
    Unheard,
    /// We may not.
    No,
}

/// The template as it is now, with what only the SAs have, and where the old Child SAs' templates are in it.
fn merged(
    old: &PeerTemplate,
    current: &Arc<PeerTemplate>,
    ike_proposals: Option<&[IkeProposal]>,
) -> (Arc<PeerTemplate>, Vec<usize>) {
    let mut children = current.children.clone();
    let mut places = Vec::with_capacity(old.children.len());
    for child in &old.children {
        let same = current.children.iter().position(|c| c.name == child.name);
        places.push(same.unwrap_or(children.len()));
        if same.is_none() {
            children.push(child.clone());
        }
    }
    if ike_proposals.is_none() && children.len() == current.children.len() {
        return (Arc::clone(current), places);
    }
    let ours = current.ike_proposals.as_slice();
    let template = PeerTemplate {
        ike_proposals: ike_proposals.unwrap_or(ours).to_vec(),
        children,
        ..(**current).clone()
    };
    (Arc::new(template), places)
}
