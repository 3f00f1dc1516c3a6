//! Which device an authenticated peer is, and on which shard it lives.
//!
//! The rules are DESIGN's (Successor or another device; Overlap is an attack until shown
//! otherwise). An IKE SA whose device lives on another shard moves there whole, before its IKE_AUTH
//! is answered, so that a device is always owned by one shard.

use crate::Shard;
use crate::asks::Asker;
use crate::drive::established_event;
use crate::hooks::Allowed;
use crate::io::{
    Adoption, DeviceId, DirectoryRequest, Located, Message, Output, Question, ShardId,
};
use hawser_flight::{CloseCause, Event, HandshakeFailure, Path, Role};
use hawser_ike::IkeSa;
use hawser_ike::io::{AuthRequest, ChildRefusal, ChildRequest};
use hawser_policy::{Identity, PeerTemplate, TrafficSelector, Uniqueness};
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// What the directory's answer means for a peer that has authenticated.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// It is this device.
    Known(&'a Located),
    /// It is a device of its own.
    New,
    /// What it asks for is this device's.
    Taken(&'a Located),
}

/// Where an authenticated IKE SA goes.
#[derive(Clone, Copy)]
pub(crate) enum Home {
    /// To this device of ours.
    Here(DeviceId),
    /// To this device of another shard.
    Elsewhere(DeviceId, ShardId),
    /// To a device of its own.
    New,
}

impl Home {
    pub(crate) fn device(self) -> Option<DeviceId> {
        match self {
            Self::Here(device) | Self::Elsewhere(device, _) => Some(device),
            Self::New => None,
        }
    }
}

/// Which device a peer at this endpoint is, of those that the directory names.
fn judge<'a>(
    endpoint: std::net::SocketAddr,
    same: &'a [Located],
    others: &'a [Located],
) -> Place<'a> {
    if let Some(holder) = others.iter().find(|o| o.alive && o.overlaps) {
        return Place::Taken(holder);
    }
    let at_home = |d: &&Located| d.endpoint == endpoint;
    let holds = |d: &&Located| d.overlaps && d.alive;
    let find = |fits: &dyn Fn(&&'a Located) -> bool| same.iter().find(fits);
    // Whose these selectors were comes before who was last seen here: behind a NAT another one soon has the port.
    let device = find(&|d| holds(d) && at_home(d))
        .or_else(|| find(&holds))
        .or_else(|| find(&|d| d.overlaps && at_home(d)))
        .or_else(|| find(&|d| d.overlaps))
        .or_else(|| find(&|d| d.alive && at_home(d)))
        .or_else(|| find(&at_home));
    let Some(device) = device else {
        return Place::New;
    };
    let another = same.iter().find(|d| holds(d) && d.device != device.device);
    another.map_or(Place::Known(device), Place::Taken)
}

/// Whether prefixes of a family together are a default route: an eighth of all addresses, which no
/// branch has (two halves do the same as `0.0.0.0/0`, and `2000::/3` is the IPv6 internet).
fn is_default_route(nets: &[IpNet], v4: bool) -> bool {
    let of_family = |net: &&IpNet| net.addr().is_ipv4() == v4;
    let share = |net: &IpNet| 0.5_f64.powi(net.prefix_len().into());
    nets.iter().filter(of_family).map(share).sum::<f64>() >= 0.125
}

/// Whether the template wants its identities to be one device each, and this one may have another
/// than those that the directory named.
fn wants_whole_identity(sa: &IkeSa, same: &[Located]) -> bool {
    match sa.template().upkeep.uniqueness {
        Uniqueness::Replace => same.is_empty(),
        Uniqueness::Keep => true,
        Uniqueness::Device | Uniqueness::Never => false,
    }
}

impl Shard {
    /// A peer has authenticated, and its half-open SA has this key: the directory is asked for its
    /// device.
    pub(crate) fn place(
        &mut self,
        now: Instant,
        half_open: usize,
        mut sa: Box<IkeSa>,
        request: AuthRequest,
    ) {
        let path = sa.path();
        let tenant = sa.template().tenant;
        let wanted = request
            .child
            .as_ref()
            .map_or(&[][..], |c| c.remote.as_slice());
        if let Some(net) = self.forbidden_route(&sa, &path, wanted) {
            let refusal = ChildRefusal::Selectors(HandshakeFailure::RouteRefused);
            sa.refuse(&mut crate::env!(self, now), refusal);
            let key = self.childless_home(now, &sa, &request.identity);
            let label = self.peers.get(key).map(|p| Arc::clone(&p.label));
            let prefix = net.to_string();
            self.event(label, Event::RouteRefused { prefix });
            return self.settle(now, key, *sa, request.initial_contact);
        }
        let question = DirectoryRequest::Locate {
            tenant,
            identity: request.identity.canonical(),
            endpoint: path.remote,
            selectors: wanted.to_vec(),
        };
        self.placing.insert(sa.local_spi(), half_open);
        self.ask(
            now,
            Asker::Place(sa, request),
            Question::Directory(question),
        );
    }

    /// The directory has not answered: what waited for it goes on without.
    pub(crate) fn directory_silent(&mut self, now: Instant, asker: Asker) {
        match asker {
            Asker::Place(sa, _) | Asker::PlaceUnique(sa, _) => {
                self.placing.remove(&sa.local_spi());
                self.counters.failures.count(HandshakeFailure::Internal);
            }
            Asker::Resurrect { device, spi, .. } => self.not_resurrected(device, spi),
            Asker::Child { device, spi, .. } => {
                let refusal = ChildRefusal::Selectors(HandshakeFailure::Internal);
                let Some(key) = self.devices.get(&device).copied() else {
                    return;
                };
                if let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(spi)) {
                    sa.refuse(&mut crate::env!(self, now), refusal);
                }
                self.drive(now, key);
            }
            _ => {}
        }
    }

    /// The first prefix that would swallow what must stay outside: a default route (also in pieces),
    /// or one over outer endpoints or headquarters' own networks.
    fn forbidden_route(
        &self,
        sa: &IkeSa,
        path: &Path,
        wanted: &[TrafficSelector],
    ) -> Option<IpNet> {
        let template = sa.template();
        if template.allow_any_route {
            return None;
        }
        let tenant = self.policy.tenant(template.tenant);
        let listening = self
            .policy
            .listen
            .addresses
            .iter()
            .filter(|a| !a.is_unspecified());
        let outer: Vec<IpAddr> = listening
            .copied()
            .chain([path.local.ip(), path.remote.ip()])
            .collect();
        let inside = tenant.protected.iter().chain(&tenant.addresses);
        let inside: Vec<IpNet> = inside.copied().collect();
        let nets: Vec<IpNet> = wanted.iter().flat_map(TrafficSelector::to_nets).collect();
        let default = [true, false].map(|v4| is_default_route(&nets, v4));
        nets.into_iter().find(|net| {
            default[usize::from(net.addr().is_ipv6())]
                || outer.iter().any(|a| net.contains(a))
                || inside
                    .iter()
                    .any(|own| net.contains(own) || own.contains(net))
        })
    }

    pub(crate) fn located(
        &mut self,
        now: Instant,
        sa: Box<IkeSa>,
        request: AuthRequest,
        same: &[Located],
        others: &[Located],
    ) {
        let taken = others.iter().any(|o| o.alive && o.overlaps);
        if !taken && wants_whole_identity(&sa, same) {
            return self.locate_identity(now, sa, request);
        }
        let place = judge(sa.path().remote, same, others);
        self.go_to(now, sa, request, place);
    }

    fn go_to(&mut self, now: Instant, sa: Box<IkeSa>, request: AuthRequest, place: Place<'_>) {
        let home = match place {
            Place::Taken(holder) => return self.refuse_overlap(now, *sa, request, holder),
            Place::Known(known) if known.shard == self.id => Home::Here(known.device),
            Place::Known(known) => Home::Elsewhere(known.device, known.shard),
            Place::New => Home::New,
        };
        self.authorize(now, sa, request, home);
    }

    /// An IKE SA that is allowed goes to its device.
    pub(crate) fn move_in(
        &mut self,
        now: Instant,
        sa: Box<IkeSa>,
        request: AuthRequest,
        home: Home,
        allowed: Allowed,
    ) {
        self.placing.remove(&sa.local_spi());
        let key = match home {
            Home::Elsewhere(device, shard) => {
                self.forwards.insert(sa.local_spi(), shard);
                let adoption = Adoption {
                    ike_sa: sa,
                    request,
                    allowed,
                    device,
                    from: self.id,
                };
                let message = Message::Adopt(Box::new(adoption));
                return self.out.push_back(Output::Send(shard, message));
            }
            Home::Here(device) => self.device_or_new(now, device, &sa, &request.identity),
            Home::New if request.child.is_some() => self.new_device(now, &sa, &request.identity),
            Home::New => self.childless_home(now, &sa, &request.identity),
        };
        self.grant(now, key, sa, request, allowed);
    }

    fn locate_identity(&mut self, now: Instant, sa: Box<IkeSa>, request: AuthRequest) {
        let everything = ["0.0.0.0/0", "::/0"];
        let selectors = everything
            .iter()
            .filter_map(|net| TrafficSelector::parse(net))
            .collect();
        let question = DirectoryRequest::Locate {
            tenant: sa.template().tenant,
            identity: request.identity.canonical(),
            endpoint: sa.path().remote,
            selectors,
        };
        let asker = Asker::PlaceUnique(sa, request);
        self.ask(now, asker, Question::Directory(question));
    }

    /// What an identity that is to be one device has already.
    pub(crate) fn identity_located(
        &mut self,
        now: Instant,
        sa: Box<IkeSa>,
        request: AuthRequest,
        same: &[Located],
    ) {
        let keeps = sa.template().upkeep.uniqueness == Uniqueness::Keep;
        let endpoint = sa.path().remote;
        let elsewhere = |d: &&Located| d.alive && d.endpoint != endpoint;
        if let Some(holder) = same.iter().find(elsewhere).filter(|_| keeps) {
            return self.refuse_overlap(now, *sa, request, holder);
        }
        let place = same.iter().find(|d| d.alive).or_else(|| same.first());
        self.go_to(now, sa, request, place.map_or(Place::New, Place::Known));
    }

    pub(crate) fn adopt(&mut self, now: Instant, adoption: Adoption) {
        let Adoption {
            ike_sa,
            request,
            allowed,
            device,
            from,
        } = adoption;
        let key = self.device_or_new(now, device, &ike_sa, &request.identity);
        self.forwarded.insert(ike_sa.local_spi(), from);
        self.grant(now, key, ike_sa, request, allowed);
    }

    /// The device, or a new one where it was forgotten meanwhile.
    fn device_or_new(
        &mut self,
        now: Instant,
        device: DeviceId,
        sa: &IkeSa,
        identity: &Identity,
    ) -> usize {
        match self.devices.get(&device).copied() {
            Some(key) => key,
            None => self.new_device(now, sa, identity),
        }
    }

    fn new_device(&mut self, now: Instant, sa: &IkeSa, identity: &Identity) -> usize {
        let template: Arc<PeerTemplate> = Arc::clone(sa.template());
        self.add_peer(now, &template, identity, sa.path())
    }

    /// Where an IKE SA without a Child SA belongs: one that comes again and again is one device.
    pub(crate) fn childless_home(
        &mut self,
        now: Instant,
        sa: &IkeSa,
        identity: &Identity,
    ) -> usize {
        let (tenant, endpoint) = (sa.template().tenant, sa.path().remote);
        let canonical = identity.canonical();
        let home = self.childless.spis().find_map(|spi| {
            let key = self.ike_index.get(&spi).copied()?;
            let peer = self.peers.get(key)?;
            let is_it = peer.pairs.is_empty()
                && peer.tenant == tenant
                && peer.path.remote == endpoint
                && peer.identity == canonical;
            is_it.then_some(key)
        });
        match home {
            Some(key) => key,
            None => self.new_device(now, sa, identity),
        }
    }

    fn grant(
        &mut self,
        now: Instant,
        key: usize,
        mut sa: Box<IkeSa>,
        request: AuthRequest,
        allowed: Allowed,
    ) {
        let grant = allowed.grant;
        let device = self.peers.get_mut(key).map(|peer| {
            peer.secret = Some(request.secret);
            peer.attributes = grant.attributes;
            peer.device
        });
        self.tell_decisions(&sa, &request.identity, device, allowed.events);
        if let Some(lifetime) = grant.lifetime {
            sa.limit_lifetime(now, lifetime);
        }
        sa.grant(&mut crate::env!(self, now), grant.local, grant.remote);
        self.settle(now, key, *sa, request.initial_contact);
    }

    /// The IKE SA becomes the device's. Its pair is installed before what it replaces goes: the
    /// device is never without one between.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        key: usize,
        mut sa: IkeSa,
        initial_contact: bool,
    ) {
        let (spi, path) = (sa.local_spi(), sa.path());
        self.counters.handshakes += 1;
        self.ike_index.insert(spi, key);
        if sa.role() == Role::Responder {
            self.observe_authentication(now, key, initial_contact);
            if let Some(peer) = self.peers.get_mut(key) {
                peer.stays_down = false;
            }
        }
        self.has_returned(key);
        if sa.suite().is_weak() {
            self.counters.weak_suites += 1;
            let suite = sa.suite().to_string();
            self.event(None, Event::WeakAlgorithm { suite });
        }
        if let Some(device) = self.peers.get(key).map(|p| p.device) {
            self.tell_ike_keys(device, &mut sa);
        }
        if let Some(peer) = self.peers.get_mut(key) {
            let event = established_event(&sa);
            peer.template = Arc::clone(sa.template());
            peer.revision = self.policy.revision;
            peer.hear(now);
            peer.recorder.ike_in = Some(now);
            peer.relabel(path);
            peer.ike_sas.push(sa);
            let label = Arc::clone(&peer.label);
            self.event(Some(label), event);
        }
        self.start_dpd(now, key);
        self.drive(now, key);
        self.supersede(now, key, spi, &path, initial_contact);
        self.keep_clear(now, key, spi);
        self.claim(now, key);
        self.came_back(now, key, spi);
        let settled = self.peers.get_mut(key).and_then(|p| p.ike_sa(spi));
        let childless = settled.as_ref().is_some_and(|sa| sa.children().is_empty());
        if let Some(sa) = settled.filter(|_| self.stage.is_ending()) {
            sa.delete(&mut crate::env!(self, now), CloseCause::Shutdown);
        }
        self.drive(now, key);
        if childless {
            self.watch_childless(now, spi);
        }
    }

    fn refuse_overlap(
        &mut self,
        now: Instant,
        mut sa: IkeSa,
        request: AuthRequest,
        holder: &Located,
    ) {
        self.placing.remove(&sa.local_spi());
        let conflict = HandshakeFailure::SelectorConflict;
        let refusal = ChildRefusal::Selectors(conflict);
        sa.refuse(&mut crate::env!(self, now), refusal);
        let wanted = request.child.map(|c| c.remote).unwrap_or_default();
        let key = self.childless_home(now, &sa, &request.identity);
        self.conflict(now, key, &wanted, holder);
        self.settle(now, key, sa, request.initial_contact);
    }

    /// Says who holds the selectors, and asks that device whether it lives.
    fn conflict(&mut self, now: Instant, key: usize, wanted: &[TrafficSelector], holder: &Located) {
        let label = self.peers.get(key).map(|p| Arc::clone(&p.label));
        let prefix = wanted.first().map(ToString::to_string).unwrap_or_default();
        let identity = holder.identity.to_string();
        self.event(
            label,
            Event::SelectorConflict {
                prefix,
                holder: identity,
            },
        );
        self.send_or_take(now, holder, Message::Probe(holder.device));
    }

    /// To the shard of a device, which may be this one.
    fn send_or_take(&mut self, now: Instant, to: &Located, message: Message) {
        if to.shard == self.id {
            self.message(now, message);
        } else {
            self.out.push_back(Output::Send(to.shard, message));
        }
    }

    pub(crate) fn child_located(
        &mut self,
        now: Instant,
        device: DeviceId,
        spi: u64,
        request: ChildRequest,
        same: &[Located],
        others: &[Located],
    ) {
        let Some(key) = self.devices.get(&device).copied() else {
            return;
        };
        let Some(sa) = self.peers.get(key).and_then(|p| p.find_ike_sa(spi)) else {
            return;
        };
        let foreign = |d: &&Located| d.alive && d.overlaps && d.device != device;
        let holder = others.iter().chain(same).find(foreign);
        let forbidden = self.forbidden_route(sa, &sa.path(), &request.remote);
        let reason = match (holder, forbidden) {
            (Some(_), _) => Some(HandshakeFailure::SelectorConflict),
            (None, Some(_)) => Some(HandshakeFailure::RouteRefused),
            (None, None) => None,
        };
        let Some(reason) = reason else {
            return self.authorize_child(now, device, spi, request);
        };
        if let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(spi)) {
            let refusal = ChildRefusal::Selectors(reason);
            sa.refuse(&mut crate::env!(self, now), refusal);
        }
        if let (None, Some(net)) = (holder, forbidden) {
            let prefix = net.to_string();
            self.peer_event(now, key, spi, Event::RouteRefused { prefix });
        }
        if let Some(holder) = holder {
            self.conflict(now, key, &request.remote, holder);
        }
        self.drive(now, key);
    }

    /// Two handshakes of one device may run at the same time on two shards, each asking before the
    /// other has claimed. Whoever claims later sees the other: so a new device looks again.
    pub(crate) fn look_for_twin(&mut self, now: Instant, device: DeviceId, key: usize) {
        let answered =
            |p: &&crate::peer::Peer| p.ike_sas.iter().any(|s| s.role() == Role::Responder);
        if self.peers.get(key).is_some_and(|p| answered(&p)) {
            self.look_around(now, key, Asker::Twin(device));
        }
    }

    /// While the handshake that brings a device back was under way, what it held was free for
    /// others: so one that returns looks again.
    pub(crate) fn look_for_holder(&mut self, now: Instant, device: DeviceId, key: usize) {
        self.look_around(now, key, Asker::Returned(device));
    }

    /// Asks who else is where the device is, or holds what it holds.
    fn look_around(&mut self, now: Instant, key: usize, asker: Asker) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let question = DirectoryRequest::Locate {
            tenant: peer.tenant,
            identity: peer.identity.clone(),
            endpoint: peer.path.remote,
            selectors: peer.selectors.clone(),
        };
        self.ask(now, asker, Question::Directory(question));
    }

    /// Who has returned yields to another identity that lives with its selectors.
    pub(crate) fn returned_located(&mut self, now: Instant, device: DeviceId, others: &[Located]) {
        let living = |d: &&Located| d.alive && d.overlaps && d.device != device;
        let key = self.devices.get(&device).copied();
        if let (Some(key), Some(holder)) = (key, others.iter().find(living)) {
            let selectors = self.peers.get(key).map(|p| p.selectors.clone());
            self.conflict(now, key, &selectors.unwrap_or_default(), holder);
            self.yield_device(now, device);
        }
    }

    /// Of two the one with the lower number stays, whoever finds out.
    pub(crate) fn twins_located(
        &mut self,
        now: Instant,
        device: DeviceId,
        same: &[Located],
        others: &[Located],
    ) {
        let twin = |d: &&Located| d.alive && d.overlaps && d.device != device;
        for other in same.iter().chain(others).filter(twin) {
            if other.device < device {
                return self.yield_device(now, device);
            }
            self.send_or_take(now, other, Message::Yield(other.device));
        }
    }

    /// Another device has what this one holds: it ends, and the peer is told.
    pub(crate) fn yield_device(&mut self, now: Instant, device: DeviceId) {
        let Some(key) = self.devices.get(&device).copied() else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(key) {
            // Those that we are configured to begin are not ours to give up.
            let configured = peer.template.initiate.is_some();
            let gives_up = |sa: &&mut IkeSa| !configured || sa.role() == Role::Responder;
            for sa in peer.ike_sas.iter_mut().filter(gives_up) {
                sa.delete(&mut crate::env!(self, now), CloseCause::Superseded);
            }
        }
        self.drive(now, key);
    }

    /// A handshake of ours has succeeded.
    pub(crate) fn place_initiated(&mut self, now: Instant, sa: IkeSa) {
        let template = Arc::clone(sa.template());
        let identity = sa.remote_identity().canonical();
        let known = |p: &crate::peer::Peer| {
            p.template.name == template.name
                && p.tenant == template.tenant
                && p.identity == identity
        };
        let key = self
            .peers
            .iter()
            .find(|(_, p)| known(p))
            .map(|(key, _)| key);
        let key = match key {
            Some(key) => key,
            None => self.add_peer(now, &template, &identity, sa.path()),
        };
        self.settle(now, key, sa, false);
    }
}
