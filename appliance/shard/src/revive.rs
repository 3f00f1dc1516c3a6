//! Devices that are gone without a successor are brought back by a handshake of ours, through the
//! NAT mapping that they were last seen behind.
//!
//! The rules are DESIGN's (Revive): only towards an endpoint that was authenticated a short while
//! ago, or that has opened a tombstone, and that nobody else uses; a handshake of the peer comes
//! before ours; three attempts; never with INITIAL_CONTACT. Who begins shows its identity and a
//! proof first, so a weak secret needs the template's consent.

use crate::Shard;
use crate::adapt::Begun;
use crate::asks::Asker;
use crate::io::{DeviceId, DirectoryRequest, Located, Message, Output, Question, ShardId};
use crate::peer::Peer;
use hawser_flight::{CloseCause, Event, HandshakeFailure, Path, RevivalOutcome};
use hawser_ike::IkeSa;
use hawser_ike::handshake::initiator::Initiator;
use hawser_ike::ike_sa::SaState;
use hawser_ike::io::{KeAnswer, Token};
use hawser_policy::{
    ChildTemplate, Initiate, PeerTemplate, Retransmission, Revive, Secret, TrafficSelector, Upkeep,
};
use rand::RngExt;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the endpoint of a device is believed in after the last authentic packet from there.
const BELIEVED: Duration = Duration::from_secs(120);

/// How long a device that has deleted its SA has to come back by itself.
const AFTER_DELETE: Duration = Duration::from_millis(300);

/// The same, where it did not come back by itself the last time.
const AFTER_DELETE_AGAIN: Duration = Duration::from_millis(20);

/// Many may be lost at once: not all come back in the same moment. Those that say so one by one need less.
const JITTER: Duration = Duration::from_millis(500);
const JITTER_AFTER_DELETE: Duration = Duration::from_millis(100);

/// How long one that has begun a handshake has to finish it, and how often that is waited for.
const PUT_OFF: Duration = Duration::from_secs(5);
const PUT_OFFS: u8 = 6;

/// Waits before the second attempt and the third.
const WAITS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(15)];

/// A device that deletes so soon what we brought back wants to be down.
const WANTED_DOWN: Duration = Duration::from_secs(20);

/// How long after ours its DELETE may have crossed ours.
const CROSSED: Duration = Duration::from_secs(2);

/// Of an attempt: 1, 1.5, 2.3 and then every 3 s, for half a minute.
const RETRANSMISSION: Retransmission = Retransmission {
    initial: Duration::from_secs(1),
    backoff_percent: 150,
    max: Duration::from_secs(3),
    tries: 11,
};

/// In place of the local SPI of an IKE SA, where none is left.
const NO_SA: u64 = 0;

/// The keys of a handshake that may not be wanted.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) token: Token,
    pub(crate) answer: KeAnswer,
}

/// A device that is being brought back.
#[derive(Debug)]
pub(crate) struct Revival {
    /// How its IKE SA went.
    after: Option<CloseCause>,
    /// It is not given up yet: this ends when anything comes on it.
    pub(crate) early: bool,
    /// The IKE SA is well, and is to be replaced: another policy wants a new authentication.
    renews: bool,
    pub(crate) held: Option<Held>,
    /// Something authentic has just come from its endpoint: who else was there is not any more.
    seen: bool,
    /// Local SPI of the IKE SA, kept or not given up yet, whose Child SAs are wanted.
    pub(crate) spi: u64,
    children: Vec<ChildTemplate>,
    path: Path,
    attempts: u8,
    put_off: u8,
    /// When the next attempt begins; `None` while one is under way.
    pub(crate) at: Option<Instant>,
    /// The handshake that is under way.
    handshake: Option<usize>,
}

impl Revival {
    fn of(spi: u64, children: Vec<ChildTemplate>, path: Path, at: Instant) -> Self {
        Self {
            after: None,
            early: false,
            renews: false,
            held: None,
            seen: false,
            spi,
            children,
            path,
            attempts: 0,
            put_off: 0,
            at: Some(at),
            handshake: None,
        }
    }

    /// When something is to be done for it.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.at
    }
}

/// Endpoints at which devices are being revived, by address: a handshake of the peer may come from
/// another port of it.
#[derive(Default)]
pub(crate) struct Reviving(HashMap<IpAddr, Vec<(SocketAddr, Reviver)>>);

/// Who is reviving.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reviver {
    Here(DeviceId),
    There(ShardId),
}

impl Reviving {
    fn add(&mut self, endpoint: SocketAddr, who: Reviver) {
        self.0
            .entry(endpoint.ip())
            .or_default()
            .push((endpoint, who));
    }

    fn remove(&mut self, endpoint: SocketAddr, who: Reviver) {
        if let Some(there) = self.0.get_mut(&endpoint.ip()) {
            if let Some(at) = there.iter().position(|one| *one == (endpoint, who)) {
                there.swap_remove(at);
            }
            if there.is_empty() {
                self.0.remove(&endpoint.ip());
            }
        }
    }

    fn at(&self, address: IpAddr) -> Vec<(SocketAddr, Reviver)> {
        self.0.get(&address).cloned().unwrap_or_default()
    }

    /// Whether a device is being revived at an address.
    pub(crate) fn is_at(&self, address: IpAddr) -> bool {
        self.0.contains_key(&address)
    }

    fn is_taken(&self, endpoint: SocketAddr) -> bool {
        let there = self.0.get(&endpoint.ip());
        there.is_some_and(|there| there.iter().any(|(at, _)| *at == endpoint))
    }
}

impl Shard {
    /// The last IKE SA of a device has ended.
    pub(crate) fn consider_revival(
        &mut self,
        now: Instant,
        key: usize,
        spi: u64,
        cause: CloseCause,
    ) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if let Some(revival) = peer
            .revival
            .as_mut()
            .filter(|r| (r.early || r.renews) && r.spi == spi)
        {
            // Begun already.
            (revival.early, revival.renews, revival.after) = (false, false, Some(cause));
            if revival.held.is_some() {
                revival.at = Some(now);
            }
            return;
        }
        let young = |at: Instant| now.saturating_duration_since(at) < WANTED_DOWN;
        let ours = peer.revived.take_if(|(revived, _)| *revived == spi);
        let wanted_down =
            ours.is_some_and(|(_, at)| young(at)) && !peer.deleted_surplus(now, CROSSED);
        if cause == CloseCause::DeletedByPeer && wanted_down {
            return self.tell_revival(key, RevivalOutcome::WantsToBeDown);
        }
        let (wait, jitter) = match cause {
            CloseCause::DpdTimeout | CloseCause::RetransmitTimeout => (Duration::ZERO, JITTER),
            CloseCause::DeletedByPeer if peer.stays_down => {
                (AFTER_DELETE_AGAIN, JITTER_AFTER_DELETE)
            }
            CloseCause::DeletedByPeer => (AFTER_DELETE, JITTER_AFTER_DELETE),
            CloseCause::Expired
            | CloseCause::Admin
            | CloseCause::PeerMisbehaved
            | CloseCause::Internal => (AFTER_DELETE, JITTER),
            _ => return,
        };
        // Silence is counted until the request that was given up was first sent.
        let asked = peer.kept(spi).and_then(|k| k.sa.waiting_since());
        if is_believed(peer, asked.unwrap_or(now)) {
            let jitter = jitter.mul_f64(self.rng.random_range(0.0..1.0));
            self.begin_revival(now, key, spi, Some(cause), now + wait + jitter);
        }
    }

    /// The device has shown that it lives, and where.
    pub(crate) fn revive_at_once(&mut self, now: Instant, key: usize, spi: u64, cause: CloseCause) {
        let under_way = |r: &Revival| r.handshake.is_some();
        let revival = self.peers.get(key).and_then(|p| p.revival.as_ref());
        if !revival.is_some_and(under_way) {
            self.forget_revival(key);
            self.begin_revival(now, key, spi, Some(cause), now);
            if let Some(revival) = self.peers.get_mut(key).and_then(|p| p.revival.as_mut()) {
                revival.seen = true;
            }
            self.arm_peer(key);
        }
    }

    /// The device was up when another run of the gateway ended.
    pub(crate) fn revive_restored(&mut self, now: Instant, key: usize, at: Instant) {
        self.begin_revival(now, key, NO_SA, Some(CloseCause::Shutdown), at);
    }

    /// The device may have lost this IKE SA, which is not given up yet.
    pub(crate) fn begin_early_revival(&mut self, now: Instant, key: usize, spi: u64, at: Instant) {
        self.begin_revival(now, key, spi, None, at);
    }

    /// `after`: how it went; `None`: it is not given up yet.
    fn begin_revival(
        &mut self,
        now: Instant,
        key: usize,
        spi: u64,
        after: Option<CloseCause>,
        at: Instant,
    ) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let path = peer.path;
        let settings = peer.template.upkeep;
        let wanted = settings.revive == Revive::On && peer.template.initiate.is_none();
        let children = self.lost_children(key, spi);
        if !wanted || children.is_empty() || peer.revival.is_some() || self.stage.is_ending() {
            return;
        }
        if !may_show(&settings, peer.secret.as_ref()) {
            return self.tell_revival(key, RevivalOutcome::NotAllowed);
        }
        // Who has just been heard there is there, and whoever else is called there is not.
        if self.reviving.is_taken(path.remote) && peer.heard != now {
            return self.tell_revival(key, RevivalOutcome::EndpointTaken);
        }
        let label = Arc::clone(&peer.label);
        let to = path.remote;
        if let Some(after) = after {
            self.event(Some(label), Event::RevivalBegun { after, to });
        }
        let early = after.is_none();
        self.add_revival(
            key,
            Revival {
                after,
                early,
                ..Revival::of(spi, children, path, at.max(now))
            },
        );
    }

    fn add_revival(&mut self, key: usize, revival: Revival) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let (device, to) = (peer.device, revival.path.remote);
        peer.revival = Some(revival);
        self.reviving.add(to, Reviver::Here(device));
        self.tell_shards(to, true);
        self.arm_peer(key);
    }

    /// A new IKE SA takes the place of this one, which is well, by the policy as it is now.
    pub(crate) fn begin_renewal(&mut self, now: Instant, key: usize, spi: u64) -> Begun {
        let Some(peer) = self.peers.get(key) else {
            return Begun::No;
        };
        let (settings, path) = (peer.template.upkeep, peer.path);
        let allowed = settings.revive == Revive::On && may_show(&settings, peer.secret.as_ref());
        let children = self.renewed_children(key, spi);
        if !allowed || children.is_empty() || self.stage.is_ending() {
            return Begun::No;
        }
        let busy = peer.revival.is_some() || self.reviving.is_taken(path.remote);
        if busy || !is_believed(peer, now) {
            return Begun::Unheard;
        }
        let revival = Revival {
            renews: true,
            ..Revival::of(spi, children, path, now)
        };
        self.add_revival(key, revival);
        Begun::Yes
    }

    /// What its pairs are by the template as it is now, as far as that still covers them.
    fn renewed_children(&self, key: usize, spi: u64) -> Vec<ChildTemplate> {
        let Some(peer) = self.peers.get(key) else {
            return Vec::new();
        };
        let mut children: Vec<ChildTemplate> = Vec::new();
        for had in self.lost_children(key, spi) {
            let mut now = peer.template.children.iter();
            let Some(child) = now.find(|c| c.name == had.name) else {
                continue;
            };
            let remote = TrafficSelector::narrow(&had.remote, &child.remote);
            if !remote.is_empty() && !children.iter().any(|c| c.remote == remote) {
                children.push(ChildTemplate {
                    remote,
                    ..child.clone()
                });
            }
        }
        children
    }

    fn tell_shards(&mut self, endpoint: SocketAddr, begins: bool) {
        for shard in (0..self.shards).map(ShardId).filter(|s| *s != self.id) {
            let message = Message::Reviving {
                endpoint,
                shard: self.id,
                begins,
            };
            self.out.push_back(Output::Send(shard, message));
        }
    }

    fn tell_revival(&mut self, key: usize, outcome: RevivalOutcome) {
        let label = self.peers.get(key).map(|p| Arc::clone(&p.label));
        self.event(label, Event::RevivalEnded { outcome });
    }

    /// A device is no longer being revived; nothing is told.
    pub(crate) fn forget_revival(&mut self, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let Some(revival) = peer.revival.take() else {
            return;
        };
        let endpoint = revival.path.remote;
        self.reviving.remove(endpoint, Reviver::Here(peer.device));
        self.tell_shards(endpoint, false);
        // Where the peer may believe in it already it is brought to its end, and deleted then.
        let open = revival.handshake.filter(|at| !self.has_proved(*at));
        if let Some(handshake) = open {
            self.remove_initiator(handshake);
        }
    }

    pub(crate) fn end_revival(&mut self, key: usize, outcome: RevivalOutcome) {
        if self.peers.get(key).is_some_and(|p| p.revival.is_some()) {
            self.forget_revival(key);
            self.tell_revival(key, outcome);
        }
    }

    /// The device has an IKE SA again.
    pub(crate) fn came_back(&mut self, now: Instant, key: usize, spi: u64) {
        let revived = self.peers.get(key).and_then(|p| p.revived);
        let outcome = match revived {
            Some((ours, at)) if ours == spi && at == now => RevivalOutcome::Revived,
            _ => RevivalOutcome::CameBack,
        };
        self.end_revival(key, outcome);
    }

    /// Its time has come: the directory is asked first whether anybody else is there.
    pub(crate) fn revive_due(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let Some(revival) = &mut peer.revival else {
            return;
        };
        if revival.at.is_none_or(|at| at > now) {
            return;
        }
        revival.at = None;
        if let (Some(held), Some(handshake)) = (revival.held.take(), revival.handshake) {
            // Nothing has come on the old IKE SA.
            return self.go_on(now, handshake, held.token, held.answer);
        }
        let remote = revival.children.iter().flat_map(|c| &c.remote);
        let question = DirectoryRequest::Locate {
            tenant: peer.tenant,
            identity: peer.identity.clone(),
            endpoint: revival.path.remote,
            selectors: remote.copied().collect(),
        };
        let device = peer.device;
        self.ask(now, Asker::Revive(device), Question::Directory(question));
    }

    pub(crate) fn revive_located(
        &mut self,
        now: Instant,
        device: DeviceId,
        same: &[Located],
        others: &[Located],
    ) {
        let Some(key) = self.devices.get(&device).copied() else {
            return;
        };
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let Some(revival) = peer.revival.as_ref().filter(|r| r.handshake.is_none()) else {
            return;
        };
        if peer.has_usable_ike_sa() && !revival.early && !revival.renews {
            return self.end_revival(key, RevivalOutcome::CameBack);
        }
        let endpoint = revival.path.remote;
        let alive = |d: &&Located| d.alive && d.device != device;
        let mut living = same.iter().chain(others).filter(alive);
        let there = |d: &Located| d.endpoint == endpoint && !revival.seen;
        let taken = living.find_map(|d| match (d.overlaps, there(d)) {
            (_, true) => Some(RevivalOutcome::EndpointTaken),
            (true, _) => Some(RevivalOutcome::SelectorsTaken),
            _ => None,
        });
        match (taken, self.revival_template(key)) {
            (Some(outcome), _) => self.end_revival(key, outcome),
            (None, None) => self.end_revival(key, RevivalOutcome::NotAllowed),
            (None, Some(template)) => self.attempt_revival(now, key, &template),
        }
        self.arm_peer(key);
    }

    /// The IKE SA that the device has lost, or may have, and its pairs.
    fn lost_sa(&self, key: usize, spi: u64) -> Option<(&IkeSa, Vec<usize>)> {
        let peer = self.peers.get(key)?;
        if let Some(kept) = peer.kept(spi) {
            return Some((&kept.sa, kept.pairs.clone()));
        }
        let of_it = |at: &usize| self.pairs.get(*at).is_some_and(|p| p.ike_spi == spi);
        let pairs = peer.pairs.iter().copied().filter(of_it);
        Some((peer.find_ike_sa(spi)?, pairs.collect()))
    }

    /// What its pairs cover on the device's side.
    pub(crate) fn lost_selectors(&self, key: usize, spi: u64) -> Vec<TrafficSelector> {
        let children = self.lost_children(key, spi).into_iter();
        children.flat_map(|c| c.remote).collect()
    }

    /// What its pairs were, or, where they had ended before, what they had been.
    fn lost_children(&self, key: usize, spi: u64) -> Vec<ChildTemplate> {
        let pairs = self.lost_sa(key, spi).map(|(_, pairs)| pairs);
        let children = self.children_of(key, &pairs.unwrap_or_default());
        let lost = self.peers.get(key).and_then(|p| p.lost.as_ref());
        match lost.filter(|_| children.is_empty()) {
            Some(lost) => lost.children.clone(),
            None => children,
        }
    }

    /// What the device had, as a template: its selectors, its suite, its secret.
    fn revival_template(&self, key: usize) -> Option<Arc<PeerTemplate>> {
        let peer = self.peers.get(key)?;
        let revival = peer.revival.as_ref()?;
        // Of a device of another run nothing is left but what the policy says.
        let sa = self.lost_sa(key, revival.spi).map(|(sa, _)| sa);
        let secret = peer.secret.clone()?;
        let base = &peer.template;
        let by_address = self.policy.ike_proposals(revival.path.local.ip());
        let first = match sa {
            Some(sa) if !revival.renews => vec![sa.suite().as_proposal()],
            Some(_) if !base.ike_proposals.is_empty() => Vec::new(),
            _ => by_address.to_vec(),
        };
        let ike_proposals = first.into_iter().chain(base.ike_proposals.iter().cloned());
        let identity = sa.map_or(&peer.identity, IkeSa::remote_identity);
        Some(Arc::new(PeerTemplate {
            ike_proposals: ike_proposals.collect(),
            children: revival.children.clone(),
            retransmission: RETRANSMISSION,
            initiate: Some(Initiate {
                remote: revival.path.remote,
                remote_identity: identity.clone(),
                secret,
            }),
            ..(**base).clone()
        }))
    }

    fn attempt_revival(&mut self, now: Instant, key: usize, template: &Arc<PeerTemplate>) {
        let listen = &self.policy.listen;
        let (nat_port, force) = (listen.nat_port, !listen.native_esp);
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let (device, label) = (peer.device, Arc::clone(&peer.label));
        let Some(revival) = &mut peer.revival else {
            return;
        };
        revival.attempts += 1;
        let (attempt, path) = (revival.attempts, revival.path);
        let to = path.remote;
        let mut env = crate::env!(self, now);
        let Some(initiator) = Initiator::begin_on(&mut env, template, path, nat_port, force) else {
            return self.end_revival(key, RevivalOutcome::NotAllowed);
        };
        self.event(Some(label), Event::RevivalAttempt { attempt, to });
        let handshake = self.add_initiator(now, initiator, Some(device));
        if let Some(revival) = self.peers.get_mut(key).and_then(|p| p.revival.as_mut()) {
            revival.handshake = Some(handshake);
        }
    }

    /// An attempt has failed; `reason`: where it was answered.
    pub(crate) fn revival_failed(
        &mut self,
        now: Instant,
        device: DeviceId,
        reason: Option<HandshakeFailure>,
    ) {
        let Some(key) = self.devices.get(&device).copied() else {
            return;
        };
        // Another identity has answered: asked again, that peer would once more replace what it has.
        if reason == Some(HandshakeFailure::AuthenticationFailed) {
            return self.end_revival(key, RevivalOutcome::EndpointTaken);
        }
        let Some(revival) = self.peers.get_mut(key).and_then(|p| p.revival.as_mut()) else {
            return;
        };
        revival.handshake = None;
        revival.held = None;
        let wait = WAITS.get(usize::from(revival.attempts).saturating_sub(1));
        match wait {
            Some(wait) => {
                let jitter = self.rng.random_range(0.8..1.2);
                revival.at = Some(now + wait.mul_f64(jitter));
                self.arm_peer(key);
            }
            None => self.end_revival(key, RevivalOutcome::Failed),
        }
    }

    /// A handshake of ours, begun at `since`, has succeeded. If there has been another meanwhile, the
    /// branch's or ours, both are up, and that one stays. What the branch had before it gives up by itself.
    pub(crate) fn place_revived(
        &mut self,
        now: Instant,
        device: DeviceId,
        mut sa: IkeSa,
        since: Instant,
    ) {
        let spi = sa.local_spi();
        let Some(key) = self.devices.get(&device).copied() else {
            return self.place_initiated(now, sa);
        };
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let base = &peer.template;
        let lost = sa.template().children.iter();
        let children = lost.chain(&base.children).cloned().collect();
        let template = PeerTemplate {
            children,
            ..(**base).clone()
        };
        sa.set_template(Arc::new(template));
        let forgotten = peer.revival.as_ref().is_some_and(|r| !r.renews);
        let younger = |sa: &&IkeSa| sa.state() == SaState::Established && sa.created() >= since;
        let rival = peer.ike_sas.iter().rfind(younger).map(IkeSa::local_spi);
        if sa.children().is_empty() {
            return self.decline(now, key, sa);
        }
        if rival.is_none() {
            peer.revived = Some((spi, now));
        }
        let revival = peer.revival.as_ref();
        peer.stays_down = revival.is_some_and(|r| r.after == Some(CloseCause::DeletedByPeer));
        let base = Arc::clone(base);
        // Nothing came on what it had before: it has forgotten that.
        self.settle(now, key, sa, forgotten && rival.is_none());
        if let Some(peer) = self.peers.get_mut(key) {
            peer.template = base;
        }
        if let Some(rival) = rival {
            self.prefer(now, key, rival, spi);
        }
        self.arm_peer(key);
    }

    /// Who has answered our handshake does not want what the device had: somebody else is there now, with the same
    /// secret. The device is neither heard by that nor moved there.
    fn decline(&mut self, now: Instant, key: usize, sa: IkeSa) {
        let spi = sa.local_spi();
        self.end_revival(key, RevivalOutcome::EndpointTaken);
        let stranger = self.childless_home(now, &sa, sa.remote_identity());
        self.settle(now, stranger, sa, false);
        if let Some(sa) = self.peers.get_mut(stranger).and_then(|p| p.ike_sa(spi)) {
            sa.delete(&mut crate::env!(self, now), CloseCause::Superseded);
        }
        self.drive(now, stranger);
    }

    /// An IKE_SA_INIT has come from there: a handshake of the peer comes before ours.
    pub(crate) fn peer_begins(&mut self, now: Instant, endpoint: SocketAddr) {
        for (_, who) in self.reviving.at(endpoint.ip()) {
            match who {
                Reviver::Here(device) => self.put_off_revival(now, device),
                Reviver::There(shard) => {
                    let message = Message::PeerBegins(endpoint);
                    self.out.push_back(Output::Send(shard, message));
                }
            }
        }
    }

    /// Another shard has been sent one.
    pub(crate) fn peer_begins_here(&mut self, now: Instant, endpoint: SocketAddr) {
        for (_, who) in self.reviving.at(endpoint.ip()) {
            if let Reviver::Here(device) = who {
                self.put_off_revival(now, device);
            }
        }
    }

    fn put_off_revival(&mut self, now: Instant, device: DeviceId) {
        let Some(key) = self.devices.get(&device).copied() else {
            return;
        };
        let Some(revival) = self.peers.get_mut(key).and_then(|p| p.revival.as_mut()) else {
            return;
        };
        if revival.put_off == PUT_OFFS {
            return;
        }
        let handshake = revival.handshake;
        if handshake.is_some_and(|at| self.has_proved(at)) {
            return;
        }
        if let Some(handshake) = handshake {
            self.remove_initiator(handshake);
        }
        if let Some(revival) = self.peers.get_mut(key).and_then(|p| p.revival.as_mut()) {
            revival.put_off += 1;
            revival.held = None;
            revival.attempts -= u8::from(handshake.is_some());
            revival.handshake = None;
            revival.at = Some(now + PUT_OFF);
        }
        self.arm_peer(key);
    }

    /// Another shard revives a device, or has ended that.
    pub(crate) fn others_revival(&mut self, endpoint: SocketAddr, shard: ShardId, begins: bool) {
        let who = Reviver::There(shard);
        if begins {
            self.reviving.add(endpoint, who);
        } else {
            self.reviving.remove(endpoint, who);
        }
    }
}

/// Whether the endpoint of a device was still its at a time.
pub(crate) fn is_believed(peer: &Peer, at: Instant) -> bool {
    at.saturating_duration_since(peer.heard) <= BELIEVED
}

/// Whether a secret may be shown the proof of: strong ones always.
pub(crate) fn may_show(settings: &Upkeep, secret: Option<&Secret>) -> bool {
    let strong = |s: &Secret| s.expose().len() >= Upkeep::STRONG_SECRET;
    secret.is_some_and(|s| settings.revive_weak_secret || strong(s))
}
