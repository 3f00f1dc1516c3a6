//! Which device an authenticated peer is, and on which shard it lives.
//!
//! The rules are DESIGN's (Successor or another device; Overlap is an attack until shown
//! otherwise). An IKE SA whose device lives on another shard moves there whole, before its IKE_AUTH
//! is answered, so that a device is always owned by one shard.

use crate::Shard;
use crate::drive::established_event;
use crate::io::{
    Adoption, Answer, AskId, DeviceId, DirectoryRequest, Located, Message, Output, Question,
};
use crate::peer::Contest;
use hawser_flight::{CloseCause, Event, HandshakeFailure, Path, Role};
use hawser_ike::IkeSa;
use hawser_ike::io::{AuthRequest, ChildRefusal, ChildRequest, Token};
use hawser_policy::TrafficSelector;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the IKE SA that a successor replaced is left to the peer to delete.
const RETIRE_AFTER: Duration = Duration::from_secs(10);

/// Who asked a question.
pub(crate) enum Asker {
    /// A half-open SA that a peer began.
    Responder { key: usize, spi_r: u64 },
    /// A handshake of ours.
    Initiator {
        key: usize,
        spi_i: u64,
        token: Token,
    },
    /// An IKE SA.
    Ike {
        device: DeviceId,
        spi: u64,
        token: Token,
    },
    /// An authenticated IKE SA that has no device yet.
    Place(Box<IkeSa>, AuthRequest),
    /// A device that wants another Child SA.
    Child {
        device: DeviceId,
        spi: u64,
        request: ChildRequest,
    },
    /// Nobody: a claim was made.
    Claimed,
}

impl Shard {
    /// An answer to a question of this shard. An answer that nobody waits for is dropped.
    pub fn answer(&mut self, now: Instant, id: AskId, answer: Answer) {
        let Some(asker) = self.asks.remove(&id) else {
            return;
        };
        match (asker, answer) {
            (Asker::Responder { key, spi_r }, Answer::KeyExchange(answer)) => {
                self.responder_key(key, spi_r, answer);
            }
            (Asker::Initiator { key, spi_i, token }, Answer::KeyExchange(answer)) => {
                self.initiator_key(now, key, spi_i, token, answer);
            }
            (Asker::Ike { device, spi, token }, Answer::KeyExchange(answer)) => {
                let Some(key) = self.devices.get(&device).copied() else {
                    return;
                };
                if let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(spi)) {
                    sa.key_exchanged(&mut crate::env!(self, now), token, answer);
                    self.drive(now, key);
                }
            }
            (Asker::Place(sa, request), Answer::Located { same, others }) => {
                self.located(now, sa, request, &same, &others);
            }
            (
                Asker::Child {
                    device,
                    spi,
                    request,
                },
                Answer::Located { same, others },
            ) => {
                self.child_located(now, device, spi, &request, &same, &others);
            }
            _ => {}
        }
    }

    /// What another shard sends.
    pub fn message(&mut self, now: Instant, message: Message) {
        match message {
            Message::Adopt(adoption) => self.adopt(now, *adoption),
            Message::SelectorsAdded {
                shard,
                tenant,
                owner,
                local,
                remote,
            } => {
                if let Some(spd) = self.spds.get_mut(usize::from(tenant.0)) {
                    spd.insert(crate::pairs::Target::Shard(shard, owner), &local, &remote);
                }
            }
            Message::SelectorsRemoved {
                shard,
                tenant,
                owner,
            } => {
                if let Some(spd) = self.spds.get_mut(usize::from(tenant.0)) {
                    spd.remove(crate::pairs::Target::Shard(shard, owner));
                }
            }
            Message::Probe(device) => {
                if let Some(key) = self.devices.get(&device).copied() {
                    self.probe_device(now, key);
                }
            }
            Message::ForgetSpi(spi) => {
                self.forwards.remove(&spi);
            }
        }
    }

    /// A peer has authenticated: the directory is asked for its device.
    pub(crate) fn place(&mut self, now: Instant, mut sa: Box<IkeSa>, request: AuthRequest) {
        let path = sa.path();
        let tenant = sa.template().tenant;
        let wanted = request
            .child
            .as_ref()
            .map_or(&[][..], |c| c.remote.as_slice());
        if let Some(net) = self.forbidden_route(&sa, &path, wanted) {
            let identity = Some(request.identity.to_string());
            self.handshake_failed(path, identity, HandshakeFailure::RouteRefused);
            self.event(
                None,
                Event::RouteRefused {
                    prefix: net.to_string(),
                },
            );
            let refusal = ChildRefusal::Selectors(HandshakeFailure::RouteRefused);
            sa.refuse(&mut crate::env!(self, now), refusal);
            let key = self.add_peer(now, &Arc::clone(sa.template()), &request.identity, path);
            return self.settle(now, key, *sa, request.initial_contact);
        }
        let question = DirectoryRequest::Locate {
            tenant,
            identity: request.identity.canonical(),
            endpoint: path.remote,
            selectors: wanted.to_vec(),
        };
        self.ask(Asker::Place(sa, request), Question::Directory(question));
    }

    /// The first prefix that would swallow what must stay outside: a default route, or one over
    /// outer endpoints or headquarters' own networks.
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
        wanted
            .iter()
            .flat_map(TrafficSelector::to_nets)
            .find(|net| {
                net.prefix_len() == 0
                    || outer.iter().any(|a| net.contains(a))
                    || inside
                        .iter()
                        .any(|own| net.contains(own) || own.contains(net))
            })
    }

    fn located(
        &mut self,
        now: Instant,
        sa: Box<IkeSa>,
        request: AuthRequest,
        same: &[Located],
        others: &[Located],
    ) {
        if let Some(holder) = others.iter().find(|o| o.alive) {
            return self.refuse_overlap(now, *sa, request, &holder.clone());
        }
        let endpoint = sa.path().remote;
        let at_home = same.iter().find(|d| d.endpoint == endpoint);
        let device = at_home.or_else(|| same.iter().find(|d| d.overlaps && d.alive));
        let device = device.or_else(|| same.iter().find(|d| d.overlaps)).cloned();
        match device {
            Some(device) if device.shard != self.id => {
                let local = sa.local_spi();
                self.forwards.insert(local, device.shard);
                let adoption = Adoption {
                    ike_sa: sa,
                    request,
                    device: device.device,
                    from: self.id,
                };
                let message = Message::Adopt(Box::new(adoption));
                self.out.push_back(Output::Send(device.shard, message));
            }
            Some(device) => self.grant_to(now, device.device, sa, request),
            None => {
                let template = Arc::clone(sa.template());
                let key = self.add_peer(now, &template, &request.identity, sa.path());
                self.grant_at(now, key, sa, request);
            }
        }
    }

    fn adopt(&mut self, now: Instant, adoption: Adoption) {
        let Adoption {
            ike_sa,
            request,
            device,
            from,
        } = adoption;
        let spi = ike_sa.local_spi();
        let key = match self.devices.get(&device).copied() {
            Some(key) => key,
            // Forgotten meanwhile: it begins anew here.
            None => {
                let template = Arc::clone(ike_sa.template());
                self.add_peer(now, &template, &request.identity, ike_sa.path())
            }
        };
        if let Some(peer) = self.peers.get_mut(key) {
            peer.adopted.push((spi, from));
        }
        self.grant_at(now, key, ike_sa, request);
    }

    fn grant_to(&mut self, now: Instant, device: DeviceId, sa: Box<IkeSa>, request: AuthRequest) {
        let template = Arc::clone(sa.template());
        let key = match self.devices.get(&device).copied() {
            Some(key) => key,
            None => self.add_peer(now, &template, &request.identity, sa.path()),
        };
        self.grant_at(now, key, sa, request);
    }

    fn grant_at(&mut self, now: Instant, key: usize, mut sa: Box<IkeSa>, request: AuthRequest) {
        let (local, remote) = request
            .child
            .map(|c| (c.local, c.remote))
            .unwrap_or_default();
        sa.grant(&mut crate::env!(self, now), local, remote);
        self.settle(now, key, *sa, request.initial_contact);
    }

    /// The IKE SA becomes the device's; what it replaces retires.
    fn settle(&mut self, now: Instant, key: usize, sa: IkeSa, initial_contact: bool) {
        let spi = sa.local_spi();
        self.counters.handshakes += 1;
        self.ike_index.insert(spi, key);
        let event = established_event(&sa);
        if sa.suite().is_weak() {
            self.counters.weak_suites += 1;
            let suite = sa.suite().to_string();
            self.event(None, Event::WeakAlgorithm { suite });
        }
        self.supersede(now, key, &sa, initial_contact);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.template = Arc::clone(sa.template());
            peer.heard = now;
            peer.relabel(sa.path());
            peer.ike_sas.push(sa);
            let label = Arc::clone(&peer.label);
            self.event(Some(label), event);
        }
        self.start_dpd(now, key);
        self.drive(now, key);
    }

    /// Older IKE SAs of the same device. From the same endpoint: the peer deletes them, or we do
    /// after a while; with INITIAL_CONTACT it has forgotten them. From another endpoint: presumed
    /// replaced, and asked.
    fn supersede(&mut self, now: Instant, key: usize, new: &IkeSa, initial_contact: bool) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let mut elsewhere = None;
        for old in &mut peer.ike_sas {
            let at_home = old.path().remote == new.path().remote;
            if at_home && initial_contact {
                old.abandon(CloseCause::Superseded);
            } else if at_home {
                peer.retiring.push((now + RETIRE_AFTER, old.local_spi()));
            } else {
                elsewhere = Some(old.local_spi());
            }
        }
        if let Some(older) = elsewhere {
            peer.contest = Some(Contest {
                older,
                newer: new.local_spi(),
            });
            self.probe_sa(now, key, older);
        }
    }

    /// The older SA of a contest has answered: if from its own, other endpoint, it is another
    /// device, and keeps what it holds (DESIGN, Rules).
    pub(crate) fn settle_contest(&mut self, now: Instant, key: usize, spi: u64, path: Path) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let Some(contest) = peer.contest.filter(|c| c.older == spi) else {
            return;
        };
        peer.contest = None;
        let holder = peer.identity.to_string();
        let Some(newer) = peer.ike_sa(contest.newer) else {
            return;
        };
        if newer.path().remote == path.remote {
            // One device on both: it answers on its old SA from its new endpoint.
            peer.retiring.push((now + RETIRE_AFTER, contest.older));
            return;
        }
        let prefix = newer.children().iter().flat_map(|c| &c.remote).next();
        let prefix = prefix.map(ToString::to_string).unwrap_or_default();
        newer.delete(&mut crate::env!(self, now), CloseCause::Superseded);
        peer.relabel(path);
        let (label, pairs) = (Arc::clone(&peer.label), peer.pairs.clone());
        let restored: Vec<u32> = pairs
            .into_iter()
            .filter_map(|p| self.pairs.get(p))
            .filter(|p| p.ike_spi == contest.older)
            .map(|p| p.spi_in)
            .collect();
        restored
            .into_iter()
            .for_each(|spi_in| self.activate_pair(spi_in));
        self.event(Some(label), Event::SelectorConflict { prefix, holder });
    }

    /// One of a contest's SAs is gone.
    pub(crate) fn contest_over(&mut self, key: usize, spi: u64) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.contest = peer.contest.filter(|c| c.older != spi && c.newer != spi);
        }
    }

    fn refuse_overlap(
        &mut self,
        now: Instant,
        mut sa: IkeSa,
        request: AuthRequest,
        holder: &Located,
    ) {
        let path = sa.path();
        let conflict = HandshakeFailure::SelectorConflict;
        let refusal = ChildRefusal::Selectors(conflict);
        sa.refuse(&mut crate::env!(self, now), refusal);
        let wanted = request.child.map(|c| c.remote).unwrap_or_default();
        self.handshake_failed(path, Some(request.identity.to_string()), conflict);
        let template = Arc::clone(sa.template());
        let key = self.add_peer(now, &template, &request.identity, path);
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
        if holder.shard == self.id {
            self.message(now, Message::Probe(holder.device));
        } else {
            let message = Message::Probe(holder.device);
            self.out.push_back(Output::Send(holder.shard, message));
        }
    }

    fn child_located(
        &mut self,
        now: Instant,
        device: DeviceId,
        spi: u64,
        request: &ChildRequest,
        same: &[Located],
        others: &[Located],
    ) {
        let Some(key) = self.devices.get(&device).copied() else {
            return;
        };
        let foreign = |d: &&Located| d.alive && d.overlaps && d.device != device;
        let holder = others.iter().chain(same).find(foreign).cloned();
        let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(spi)) else {
            return;
        };
        let path = sa.path();
        let sa = self
            .peers
            .get(key)
            .and_then(|p| p.ike_sas.iter().find(|s| s.local_spi() == spi));
        let forbidden = sa.and_then(|sa| self.forbidden_route(sa, &path, &request.remote));
        let reason = match (&holder, forbidden) {
            (Some(_), _) => Some(HandshakeFailure::SelectorConflict),
            (None, Some(_)) => Some(HandshakeFailure::RouteRefused),
            (None, None) => None,
        };
        let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(spi)) else {
            return;
        };
        let mut env = crate::env!(self, now);
        match reason {
            None => sa.grant(&mut env, request.local.clone(), request.remote.clone()),
            Some(reason) => sa.refuse(&mut env, ChildRefusal::Selectors(reason)),
        }
        if let Some(reason) = reason {
            self.counters.failures.count(reason);
            let label = self.peers.get(key).map(|p| Arc::clone(&p.label));
            let role = Role::Responder;
            self.event(label.clone(), Event::ChildSaRefused { role, reason });
            if let Some(net) = forbidden {
                self.event(
                    label,
                    Event::RouteRefused {
                        prefix: net.to_string(),
                    },
                );
            }
        }
        if let Some(holder) = holder {
            self.conflict(now, key, &request.remote, &holder);
        }
        self.drive(now, key);
    }

    /// A handshake of ours has succeeded.
    pub(crate) fn place_initiated(&mut self, now: Instant, sa: IkeSa) {
        let template = Arc::clone(sa.template());
        let known = |p: &crate::peer::Peer| p.template.id == template.id;
        let key = self
            .peers
            .iter()
            .find(|(_, p)| known(p))
            .map(|(key, _)| key);
        let key = match key {
            Some(key) => key,
            None => self.add_peer(now, &template, sa.remote_identity(), sa.path()),
        };
        self.settle(now, key, sa, false);
    }
}
