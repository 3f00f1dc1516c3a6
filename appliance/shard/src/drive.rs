//! What the IKE SAs of a device want done.

use crate::Shard;
use crate::asks::Asker;
use crate::io::{DirectoryRequest, KeRequest, Output as ShardOutput, Question};
use crate::pairs::Pair;
use crate::peer::Peer;
use hawser_flight::{CloseCause, Event, Path, Role};
use hawser_ike::IkeSa;
use hawser_ike::io::{ChildRequest, Inheritance, Output, Token};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Shard {
    /// Drains the outputs of every IKE SA of a device, and arms its timer.
    pub(crate) fn drive(&mut self, now: Instant, key: usize) {
        while let Some((spi, output)) = self.next_ike_output(key) {
            self.handle(now, key, spi, output);
        }
        let early = self.index_peer(key);
        self.arm_peer(key);
        for (spi, early) in early {
            self.read_early(now, key, spi, &early);
        }
    }

    fn next_ike_output(&mut self, key: usize) -> Option<(u64, Output)> {
        let sas = &mut self.peers.get_mut(key)?.ike_sas;
        sas.iter_mut()
            .find_map(|sa| sa.poll_output().map(|out| (sa.local_spi(), out)))
    }

    fn handle(&mut self, now: Instant, key: usize, spi: u64, output: Output) {
        match output {
            Output::Transmit { path, message } => self.transmit(path, &message),
            Output::Keepalive(path) => {
                let payload = vec![0xff];
                self.out.push_back(ShardOutput::Transmit { path, payload });
            }
            Output::Ask(token, work) => self.ask_key_exchange(now, key, spi, token, work),
            Output::Authorize(request) => self.locate_child(now, key, spi, request),
            Output::Authentic(path) => self.authentic_ike(now, key, spi, path),
            Output::InstallChild(install) => self.install_pair(now, key, spi, *install),
            Output::ActivateOutbound(spi_in) => {
                if self.peers.get(key).is_some_and(|p| !p.is_on_trial(spi)) {
                    self.activate_pair(key, spi_in);
                }
            }
            Output::RemoveChild {
                spi_in,
                cause,
                linger,
            } => {
                self.remove_pair(now, spi_in, cause, linger);
            }
            Output::Successor(successor) => self.add_successor(key, *successor),
            Output::Inherit(inheritance) => self.inherit(now, key, spi, inheritance),
            Output::Retransmitted { .. } => {
                self.counters.retransmits += 1;
                self.doubt(now, key, spi);
            }
            Output::ProbeUnanswered => self.probe_unanswered(now, key),
            Output::Probed(outcome) => self.probed(now, key, spi, outcome),
            Output::Event(event) => self.peer_event(now, key, spi, event),
            Output::Parked(cause) => {
                self.park_pairs(now, key, spi, cause);
                self.ike_ended(now, key, spi, cause);
            }
            Output::Closed(cause) => self.ike_ended(now, key, spi, cause),
        }
    }

    fn ask_key_exchange(
        &mut self,
        now: Instant,
        key: usize,
        spi: u64,
        token: Token,
        work: KeRequest,
    ) {
        if let Some(device) = self.peers.get(key).map(|p| p.device) {
            let asker = Asker::Ike { device, spi, token };
            self.ask(now, asker, Question::KeyExchange(work));
        }
    }

    fn locate_child(&mut self, now: Instant, key: usize, spi: u64, request: ChildRequest) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let question = DirectoryRequest::Locate {
            tenant: peer.tenant,
            identity: peer.identity.clone(),
            endpoint: peer.path.remote,
            selectors: request.remote.clone(),
        };
        let asker = Asker::Child {
            device: peer.device,
            spi,
            request,
        };
        self.ask(now, asker, Question::Directory(question));
    }

    /// A new, authentic IKE message: the device lives, and its endpoint may have moved.
    fn authentic_ike(&mut self, now: Instant, key: usize, spi: u64, path: Path) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.hear(now);
        peer.successor_seen(now, spi);
        peer.recorder.ike_in = Some(now);
        self.trust(key);
        self.judge_trial(now, key, spi, &path);
        self.settle_contests(now, key, spi, path);
        self.renew_lost_pair(now, key);
        let tells_where = |p: &Peer| !p.is_replaced(spi) || p.has_ended_with(spi);
        if self.peers.get(key).is_some_and(tells_where) {
            self.follow(now, key, spi, path);
        }
    }

    fn add_successor(&mut self, key: usize, mut successor: IkeSa) {
        if let Some(device) = self.peers.get(key).map(|p| p.device) {
            self.tell_ike_keys(device, &mut successor);
        }
        self.counters.ike_rekeys += 1;
        self.ike_index.insert(successor.local_spi(), key);
        let label = self.peers.get(key).map(|p| Arc::clone(&p.label));
        self.event(label, established_event(&successor));
        if let Some(peer) = self.peers.get_mut(key) {
            peer.ike_sas.push(successor);
        }
    }

    fn inherit(&mut self, now: Instant, key: usize, old: u64, inheritance: Inheritance) {
        let successor = inheritance.successor;
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if peer.find_ike_sa(successor).is_none() {
            // It has ended meanwhile, and the Child SAs with it.
            for child in inheritance.children {
                self.remove_pair(now, child.spi_in, CloseCause::IkeSaClosed, Duration::ZERO);
            }
            return;
        }
        let by_peer = peer.find_ike_sa(successor).map(IkeSa::role) == Some(Role::Responder);
        peer.succeeded(old, successor);
        peer.revived
            .iter_mut()
            .filter(|(spi, _)| *spi == old)
            .for_each(|r| r.0 = successor);
        self.childless.succeeded(old, successor);
        for child in &inheritance.children {
            let pair = self.sad.get(child.spi_in).map(|entry| entry.owner);
            if let Some(pair) = pair.and_then(|p| self.pairs.get_mut(p)) {
                pair.ike_spi = successor;
            }
        }
        if let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(successor)) {
            sa.inherit(&mut crate::env!(self, now), inheritance);
        }
        if by_peer {
            self.observe_rekey(now, key, old);
        }
        self.keep_clear(now, key, successor);
    }

    /// Something happened to a device: counted, told, and acted on where it is a sign of trouble.
    pub(crate) fn peer_event(&mut self, now: Instant, key: usize, ike_spi: u64, event: Event) {
        match &event {
            Event::ProbeSent { .. } => self.counters.probes_sent += 1,
            Event::ChildSaRefused { reason, .. } => self.counters.failures.count(*reason),
            Event::PluginUndecided { .. } => self.counters.hooks_undecided += 1,
            Event::InvalidSpiHint { spi } => self.unknown_to_peer(now, key, ike_spi, *spi),
            _ => {}
        }
        let label = self.peers.get(key).map(|p| Arc::clone(&p.label));
        self.event(label, event);
    }

    /// The peer says, authenticated, that it does not know a SPI that we send on. Rekeying mends
    /// that: it answers CHILD_SA_NOT_FOUND, and another pair is made.
    fn unknown_to_peer(&mut self, now: Instant, key: usize, ike_spi: u64, spi_out: u32) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let lost = |p: &Pair| p.outbound.spi() == spi_out && p.ike_spi == ike_spi && p.active;
        let mut pairs = peer.pairs.iter().copied();
        let lost = pairs.find(|at| self.pairs.get(*at).is_some_and(lost));
        let Some(pair) = lost.and_then(|at| self.pairs.get_mut(at)) else {
            return;
        };
        if !std::mem::replace(&mut pair.rekeying, true)
            && let Some(sa) = peer.ike_sa(ike_spi)
        {
            sa.rekey_child(&mut crate::env!(self, now), pair.spi_in);
        }
    }

    fn ike_ended(&mut self, now: Instant, key: usize, spi: u64, cause: CloseCause) {
        self.ike_index.remove(&spi);
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let Some(at) = peer.ike_sas.iter().position(|sa| sa.local_spi() == spi) else {
            return;
        };
        let sa = peer.ike_sas.remove(at);
        peer.forget_ike_sa(spi);
        let (label, template) = (Arc::clone(&peer.label), Arc::clone(&peer.template));
        if peer.ike_sas.is_empty() {
            (peer.dpd_at, peer.audit_at) = (None, None);
            if let Some(policed) = &mut peer.policed {
                policed.at = None;
            }
        }
        self.trial_alone(key);
        let unserved = self.peers.get(key).is_some_and(|p| !p.has_usable_ike_sa());
        self.pings_over(key, spi, &format!("the IKE SA ended: {cause}"));
        let (spi_i, spi_r) = sa.spis();
        let event = Event::IkeSaClosed {
            spi_i,
            spi_r,
            cause,
        };
        self.event(Some(label), event);
        self.keep(now, key, sa, cause);
        self.has_left(now, key);
        if unserved {
            self.initiate_again(now, &template);
            self.consider_revival(now, key, spi, cause);
        }
        self.shutdown_progress();
    }
}

/// What is told of a new IKE SA.
pub(crate) fn established_event(sa: &IkeSa) -> Event {
    let (spi_i, spi_r) = sa.spis();
    Event::IkeSaEstablished {
        role: sa.role(),
        spi_i,
        spi_r,
        suite: sa.suite().to_string(),
        peer_behind_nat: sa.nat().peer,
        local_behind_nat: sa.nat().local,
        lineage: sa.lineage(),
        endpoint: sa.path().remote,
    }
}
