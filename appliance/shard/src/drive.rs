//! What the IKE SAs of a device want done.

use crate::Shard;
use crate::io::{CommandId, KeRequest, Output as ShardOutput, Question, Reply};
use crate::io::{DirectoryRequest, Message};
use crate::placing::Asker;
use hawser_flight::{CloseCause, Event, Path};
use hawser_ike::IkeSa;
use hawser_ike::io::{ChildRequest, Inheritance, Output, ProbeOutcome, Token};
use std::sync::Arc;
use std::time::Instant;

impl Shard {
    /// Drains the outputs of every IKE SA of a device, and arms its timer.
    pub(crate) fn drive(&mut self, now: Instant, key: usize) {
        while let Some((spi, output)) = self.next_ike_output(key) {
            self.handle(now, key, spi, output);
        }
        self.arm_peer(key);
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
                self.out.push_back(ShardOutput::Transmit {
                    path,
                    payload: vec![0xff],
                });
            }
            Output::Ask(token, work) => self.ask_key_exchange(key, spi, token, work),
            Output::Authorize(request) => self.locate_child(key, spi, request),
            Output::Authentic(path) => self.authentic_ike(now, key, spi, path),
            Output::InstallChild(install) => self.install_pair(now, key, spi, *install),
            Output::ActivateOutbound(spi_in) => self.activate_pair(spi_in),
            Output::RemoveChild {
                spi_in,
                cause,
                linger,
            } => {
                self.remove_pair(now, spi_in, cause, linger);
            }
            Output::Successor(successor) => self.add_successor(key, *successor),
            Output::Inherit(inheritance) => self.inherit(now, key, inheritance),
            Output::Retransmitted { .. } => self.counters.retransmits += 1,
            Output::Probed(outcome) => self.probed(key, outcome),
            Output::Event(event) => self.peer_event(key, event),
            Output::Closed(cause) => self.ike_closed(now, key, spi, cause),
        }
    }

    fn ask_key_exchange(&mut self, key: usize, spi: u64, token: Token, work: KeRequest) {
        if let Some(device) = self.peers.get(key).map(|p| p.device) {
            self.ask(
                Asker::Ike { device, spi, token },
                Question::KeyExchange(work),
            );
        }
    }

    fn locate_child(&mut self, key: usize, spi: u64, request: ChildRequest) {
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
        self.ask(asker, Question::Directory(question));
    }

    /// A new, authentic IKE message: the device lives, and its endpoint may have moved.
    fn authentic_ike(&mut self, now: Instant, key: usize, spi: u64, path: Path) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.heard = now;
        self.settle_contest(now, key, spi, path);
        self.follow(now, key, spi, path);
    }

    /// The endpoint moves only if the peer is behind a NAT and we are not (DESIGN, Rules); the
    /// packet that shows it is authentic and new, or the caller would not ask.
    pub(crate) fn follow(&mut self, now: Instant, key: usize, spi: u64, path: Path) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let Some(sa) = peer.ike_sas.iter().find(|sa| sa.local_spi() == spi) else {
            return;
        };
        let (old, nat) = (sa.path(), sa.nat());
        if old == path || old.encapsulated != path.encapsulated || !nat.peer || nat.local {
            return;
        }
        if !peer.may_move(now) {
            return;
        }
        let before = Arc::clone(&peer.label);
        for sa in peer.ike_sas.iter_mut().filter(|sa| sa.path() == old) {
            sa.set_path(path);
        }
        for pair in &peer.pairs {
            if let Some(pair) = self.pairs.get_mut(*pair).filter(|p| p.path == old) {
                pair.path = path;
            }
        }
        if peer.path == old {
            peer.relabel(path);
        }
        self.counters.endpoint_moves += 1;
        let event = Event::EndpointMoved {
            from: old.remote,
            to: path.remote,
        };
        self.event(Some(before), event);
        self.claim(key);
        self.probe_sa(now, key, spi);
    }

    fn add_successor(&mut self, key: usize, successor: IkeSa) {
        self.counters.ike_rekeys += 1;
        self.ike_index.insert(successor.local_spi(), key);
        let label = self.peers.get(key).map(|p| Arc::clone(&p.label));
        self.event(label, established_event(&successor));
        if let Some(peer) = self.peers.get_mut(key) {
            peer.ike_sas.push(successor);
        }
    }

    fn inherit(&mut self, now: Instant, key: usize, inheritance: Inheritance) {
        let successor = inheritance.successor;
        for child in &inheritance.children {
            let pair = self.sad.get(child.spi_in).map(|entry| entry.owner);
            if let Some(pair) = pair.and_then(|p| self.pairs.get_mut(p)) {
                pair.ike_spi = successor;
            }
        }
        let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(successor)) else {
            return;
        };
        sa.inherit(&mut crate::env!(self, now), inheritance);
    }

    fn probed(&mut self, key: usize, outcome: ProbeOutcome) {
        let pings = self
            .peers
            .get_mut(key)
            .map(|p| std::mem::take(&mut p.pings));
        let reply = match outcome {
            ProbeOutcome::Answered(rtt) => {
                self.counters.probes_answered += 1;
                Reply::Pong {
                    rtt_us: u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX),
                }
            }
            ProbeOutcome::Failed => {
                self.counters.probes_failed += 1;
                Reply::Failed("the peer does not answer".to_owned())
            }
        };
        let pings: Vec<CommandId> = pings.unwrap_or_default();
        self.out.extend(
            pings
                .into_iter()
                .map(|id| ShardOutput::Reply(id, reply.clone())),
        );
    }

    fn peer_event(&mut self, key: usize, event: Event) {
        match &event {
            Event::ProbeSent { .. } => self.counters.probes_sent += 1,
            Event::ChildSaRefused { reason, .. } => self.counters.failures.count(*reason),
            _ => {}
        }
        let label = self.peers.get(key).map(|p| Arc::clone(&p.label));
        self.event(label, event);
    }

    fn ike_closed(&mut self, now: Instant, key: usize, spi: u64, cause: CloseCause) {
        self.ike_index.remove(&spi);
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let Some(at) = peer.ike_sas.iter().position(|sa| sa.local_spi() == spi) else {
            return;
        };
        let sa = peer.ike_sas.remove(at);
        if let Some(at) = peer.adopted.iter().position(|(adopted, _)| *adopted == spi) {
            let (_, from) = peer.adopted.swap_remove(at);
            self.out
                .push_back(ShardOutput::Send(from, Message::ForgetSpi(spi)));
        }
        let (label, device) = (Arc::clone(&peer.label), peer.device);
        let never_up = peer.ike_sas.is_empty() && !peer.up && peer.down_cause.is_none();
        let over = peer.ike_sas.is_empty().then(|| peer.template.clone());
        if over.is_some() {
            peer.dpd_at = None;
            let pings = std::mem::take(&mut peer.pings);
            let gone = Reply::Failed(format!("the IKE SA ended: {cause}"));
            self.out.extend(
                pings
                    .into_iter()
                    .map(|id| ShardOutput::Reply(id, gone.clone())),
            );
        }
        let (spi_i, spi_r) = sa.spis();
        self.event(
            Some(label),
            Event::IkeSaClosed {
                spi_i,
                spi_r,
                cause,
            },
        );
        if never_up {
            self.remember(now, device);
        }
        self.contest_over(key, spi);
        match over {
            Some(template) if self.shutting_down.is_none() => self.initiate_again(now, &template),
            _ => self.shutdown_progress(),
        }
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
    }
}
