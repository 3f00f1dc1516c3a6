//! IKE SAs that have ended and are kept for a while, whole: parked ones (given up, and resurrected
//! by their peer's first new message) and tombstones (deleted; what opens under one proves that the
//! peer lives). DESIGN, "Parked, not forgotten".

use crate::Shard;
use crate::asks::Asker;
use crate::io::{DeviceId, DirectoryRequest, Message, Output as ShardOutput, Question};
use crate::one_way::Unanswered;
use crate::pairs::PairLife;
use crate::peer::Peer;
use crate::timers::TimerKey;
use hawser_flight::{CloseCause, DropReason, Event, MessageError, Path};
use hawser_ike::IkeSa;
use hawser_ike::header::Header;
use hawser_ike::ike_sa::SaState;
use hawser_ike::io::Output;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an IKE SA is kept that has ended.
const KEEP: Duration = Duration::from_secs(600);

/// Of a shard, and of one device, at most; of too many the oldest goes.
const MAX_KEPT: usize = 32_768;
const MAX_OF_DEVICE: usize = 4;

/// What arrives so soon after the end was under way before it.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// Hits of one tombstone are told, and acted on, not more often than this.
const HITS_APART: Duration = Duration::from_secs(5);

/// An IKE SA that has ended.
pub(crate) struct Kept {
    pub(crate) sa: IkeSa,
    /// Its pairs, parked or buried.
    pub(crate) pairs: Vec<usize>,
    pub(crate) cause: CloseCause,
    since: Instant,
    hit: Option<Instant>,
    /// Nothing has ever come on it.
    unused: bool,
    /// The directory is being asked whether it may go on.
    asking: bool,
}

/// Which are kept, over all devices: the oldest first.
#[derive(Default)]
pub(crate) struct KeptSas {
    by_spi: HashMap<u64, usize>,
    until: VecDeque<(Instant, u64)>,
    armed: Option<Instant>,
}

impl KeptSas {
    /// The device of a kept IKE SA with this local SPI.
    pub(crate) fn by_spi(&self, spi: u64) -> Option<usize> {
        self.by_spi.get(&spi).copied()
    }
}

impl Peer {
    pub(crate) fn kept(&self, spi: u64) -> Option<&Kept> {
        self.kept.iter().find(|k| k.sa.local_spi() == spi)
    }

    /// Whether one of its IKE SAs was deleted as one too many within this time: of two, each end may have
    /// deleted another.
    pub(crate) fn deleted_surplus(&self, now: Instant, within: Duration) -> bool {
        let going = |sa: &IkeSa| sa.state() == SaState::Deleting(CloseCause::Superseded);
        let gone = |k: &Kept| k.cause == CloseCause::Superseded && now < k.since + within;
        self.ike_sas.iter().any(going) || self.kept.iter().any(gone)
    }

    /// Whether a parked IKE SA may go on. What comes late for an older one is no news: the device has
    /// used a younger one since. But one whose IKE_AUTH was answered in vain it may have only now.
    fn may_go_on(&self, spi: u64, path: &Path) -> bool {
        use SaState::{Authenticating, Established, Parked, Provisional};
        let parked = |k: &&Kept| k.sa.state() == Parked;
        let Some(kept) = self.kept(spi).filter(parked) else {
            return false;
        };
        if self.trial.is_some() {
            return false;
        }
        let younger = |sa: &IkeSa| sa.created() > kept.sa.created();
        let in_use = |sa: &&IkeSa| matches!(sa.state(), Authenticating | Established | Provisional);
        let here = |sa: &IkeSa| sa.path().remote == path.remote;
        kept.unused && self.ike_sas.iter().filter(in_use).all(here)
            || !self.ike_sas.iter().filter(in_use).any(younger)
                && !self
                    .kept
                    .iter()
                    .any(|k| younger(&k.sa) && !k.unused && parked(&k))
    }

    fn kept_mut(&mut self, spi: u64) -> Option<&mut Kept> {
        self.kept.iter_mut().find(|k| k.sa.local_spi() == spi)
    }
}

impl Shard {
    /// Whether the IKE SA of a pair is ending, and the pair with it.
    pub(crate) fn is_ending(&self, key: usize, ike_spi: u64) -> bool {
        let sa = self.peers.get(key).and_then(|p| p.find_ike_sa(ike_spi));
        sa.is_some_and(|sa| matches!(sa.state(), SaState::Closed | SaState::Deleting(_)))
            && !self.stage.is_ending()
    }

    /// Whether the IKE SA of a pair is not answered: its peer may have noticed nothing.
    pub(crate) fn is_struggling(&self, key: usize, ike_spi: u64) -> bool {
        let sa = self.peers.get(key).and_then(|p| p.find_ike_sa(ike_spi));
        sa.is_some_and(IkeSa::is_struggling) && !self.stage.is_ending()
    }

    /// The peer knows that a pair has ended, and its IKE SA lives.
    pub(crate) fn exhume(&mut self, key: usize, at: usize) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.buried.retain(|p| *p != at);
        }
        if let Some(pair) = self.pairs.try_remove(at) {
            self.sad.remove(pair.spi_in);
        }
    }

    /// A pair that ends with its IKE SA is kept with it.
    pub(crate) fn bury_pair(&mut self, key: usize, at: usize) {
        if let (Some(pair), Some(peer)) = (self.pairs.get_mut(at), self.peers.get_mut(key)) {
            pair.life = PairLife::Buried;
            peer.buried.push(at);
        }
    }

    /// The pairs of an IKE SA that was given up: gone for routes and status.
    pub(crate) fn park_pairs(&mut self, now: Instant, key: usize, spi: u64, cause: CloseCause) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let of_it = |at: &usize| self.pairs.get(*at).is_some_and(|p| p.ike_spi == spi);
        let (parked, left) = peer.pairs.iter().partition(|at| of_it(at));
        peer.pairs = left;
        let parked: Vec<usize> = parked;
        peer.buried.extend(&parked);
        let label = Arc::clone(&peer.label);
        let mut clocks = None;
        let children = self.children_of(key, &parked);
        for at in parked {
            let spi_in = self.pairs.get(at).map(|p| p.spi_in);
            clocks = spi_in.and_then(|spi| self.clocks(key, spi)).or(clocks);
            spi_in
                .into_iter()
                .for_each(|spi| self.remember_clock(key, spi));
            let Some(pair) = self.pairs.get_mut(at) else {
                continue;
            };
            pair.life = PairLife::Parked {
                active: pair.active,
            };
            let (spi_in, spi_out) = (pair.spi_in, pair.outbound.spi());
            let event = Event::ChildSaRemoved {
                spi_in,
                spi_out,
                cause,
            };
            self.event(Some(Arc::clone(&label)), event);
            self.miss_pair(now, key, cause);
            self.deactivate_pair(at);
            self.route(at, false);
        }
        self.event(Some(label), Event::Parked { spi, cause });
        self.claim(now, key);
        if self.peers.get(key).is_some_and(|p| p.pairs.is_empty()) {
            self.record_clocks(key, clocks);
            self.peer_down(now, key, cause);
            self.lost_with_its_sa(key, children);
        }
    }

    /// An IKE SA of the device has ended.
    pub(crate) fn keep(&mut self, now: Instant, key: usize, sa: IkeSa, cause: CloseCause) {
        let spi = sa.local_spi();
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let of_it = |at: &usize| self.pairs.get(*at).is_some_and(|p| p.ike_spi == spi);
        let (pairs, others) = peer.buried.drain(..).partition(of_it);
        peer.buried = others;
        let pairs: Vec<usize> = pairs;
        let spis = pairs.iter().filter_map(|at| self.pairs.get(*at));
        let mut opened = spis.filter_map(|p| self.sad.get(p.spi_in));
        let unused =
            sa.last_inbound() <= sa.created() && opened.all(|entry| entry.sa.packets() == 0);
        peer.kept.push(Kept {
            sa,
            pairs,
            cause,
            since: now,
            hit: None,
            unused,
            asking: false,
        });
        let surplus = peer.kept.len().saturating_sub(MAX_OF_DEVICE);
        let surplus: Vec<u64> = peer
            .kept
            .iter()
            .map(|k| k.sa.local_spi())
            .collect::<Vec<_>>()[..surplus]
            .to_vec();
        self.kept.by_spi.insert(spi, key);
        self.kept.until.push_back((now + KEEP, spi));
        surplus.into_iter().for_each(|spi| self.release(spi));
        if self.stage.is_ending() {
            self.release(spi);
        }
        while self.kept.by_spi.len() > MAX_KEPT {
            let Some((_, oldest)) = self.kept.until.pop_front() else {
                break;
            };
            self.release(oldest);
        }
        self.arm_kept();
    }

    /// What was kept long enough goes.
    pub(crate) fn release_kept(&mut self, now: Instant) {
        self.kept.armed = None;
        while let Some((until, spi)) = self.kept.until.front().copied() {
            if until > now {
                break;
            }
            self.kept.until.pop_front();
            // It may have gone on, and may have ended again, later than that.
            if self
                .kept_since(spi)
                .is_some_and(|since| since + KEEP <= now)
            {
                self.release(spi);
            }
        }
        self.arm_kept();
    }

    fn kept_since(&self, spi: u64) -> Option<Instant> {
        let peer = self.peers.get(self.kept.by_spi(spi)?)?;
        peer.kept(spi).map(|kept| kept.since)
    }

    fn arm_kept(&mut self) {
        let at = self.kept.until.front().map(|(until, _)| *until);
        self.timers.arm(&mut self.kept.armed, at, TimerKey::Kept);
    }

    /// Forgets a kept IKE SA, with its pairs.
    fn release(&mut self, spi: u64) {
        let key = self.kept.by_spi(spi);
        let (Some(key), Some(kept)) = (key, self.take_kept(spi)) else {
            return;
        };
        for at in kept.pairs {
            if let Some(pair) = self.pairs.try_remove(at) {
                self.sad.remove(pair.spi_in);
            }
        }
        self.index_peer(key);
        self.release_forward(spi);
    }

    /// Its datagrams need not be forwarded to this shard any more.
    fn release_forward(&mut self, spi: u64) {
        if let Some(from) = self.forwarded.remove(&spi) {
            self.out
                .push_back(ShardOutput::Send(from, Message::ForgetSpi(spi)));
        }
    }

    fn take_kept(&mut self, spi: u64) -> Option<Kept> {
        let key = self.kept.by_spi.remove(&spi)?;
        let kept = &mut self.peers.get_mut(key)?.kept;
        let at = kept.iter().position(|k| k.sa.local_spi() == spi)?;
        Some(kept.remove(at))
    }

    /// Forgets every kept IKE SA of a device.
    pub(crate) fn drop_kept(&mut self, key: usize) {
        let peer = self.peers.get(key);
        let spis: Vec<u64> = peer
            .map(|p| p.kept.iter().map(|k| k.sa.local_spi()).collect())
            .unwrap_or_default();
        spis.into_iter().for_each(|spi| self.release(spi));
    }

    pub(crate) fn drop_all_kept(&mut self) {
        let spis: Vec<u64> = self.kept.by_spi.keys().copied().collect();
        spis.into_iter().for_each(|spi| self.release(spi));
    }

    /// An IKE message for an IKE SA that has ended.
    pub(crate) fn kept_message(
        &mut self,
        now: Instant,
        key: usize,
        spi: u64,
        path: Path,
        header: &Header,
        message: &[u8],
    ) {
        let peer = self.peers.get_mut(key);
        let Some(kept) = peer.and_then(|p| p.kept_mut(spi)) else {
            return;
        };
        let (mut env, mut copy) = (crate::env!(self, now), message.to_vec());
        let said = kept.sa.datagram(&mut env, path, header, &mut copy);
        let opens = said == Err(MessageError::UnknownIkeSpi) && kept.sa.opens(header, message);
        let parked = kept.sa.state() == SaState::Parked;
        self.drain_kept(key, spi);
        match said {
            Err(_) if opens && parked => self.ask_to_go_on(now, key, spi, path, message.to_vec()),
            Err(_) if opens => self.tombstone_hit(now, key, spi, spi, path),
            Err(reason) => {
                self.refuse_message(now, path, reason);
                if reason == MessageError::Retransmission {
                    self.came_again(now, key, spi, path);
                }
            }
            Ok(()) => {}
        }
    }

    /// An ended IKE SA only speaks.
    pub(crate) fn drain_kept(&mut self, key: usize, spi: u64) {
        let said = |shard: &mut Self| {
            let kept = shard.peers.get_mut(key)?.kept_mut(spi)?;
            kept.sa.poll_output()
        };
        while let Some(output) = said(self) {
            if let Output::Transmit { path, message } = output {
                self.transmit(path, &message);
            }
        }
    }

    /// Authentic ESP for a pair of an IKE SA that has ended; `newest`: above every sequence number
    /// before, so it is no replay, nor late.
    pub(crate) fn esp_of_ended(&mut self, now: Instant, at: usize, path: Path, newest: bool) {
        self.counters.drops.count(DropReason::EndedSa);
        let Some(pair) = self.pairs.get(at).filter(|_| newest) else {
            return;
        };
        let (key, ike_spi, spi_in) = (pair.peer, pair.ike_spi, pair.spi_in);
        let peer = self.peers.get(key);
        let kept = peer.and_then(|p| p.kept(ike_spi));
        if kept.is_some_and(|k| k.sa.state() == SaState::Parked) {
            self.ask_to_go_on(now, key, ike_spi, path, Vec::new());
        } else {
            self.tombstone_hit(now, key, ike_spi, spi_in.into(), path);
        }
    }

    /// The peer of a parked IKE SA lives. Unless it has a successor, and if nobody else has got its
    /// selectors meanwhile, it goes on.
    fn ask_to_go_on(&mut self, now: Instant, key: usize, spi: u64, path: Path, datagram: Vec<u8>) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let (device, tenant) = (peer.device, peer.tenant);
        let identity = peer.identity.clone();
        if !peer.may_go_on(spi, &path) {
            return;
        }
        let Some(kept) = peer.kept_mut(spi).filter(|k| !k.asking) else {
            return;
        };
        kept.asking = true;
        let question = DirectoryRequest::Locate {
            tenant,
            identity,
            endpoint: path.remote,
            selectors: self.lost_selectors(key, spi),
        };
        let asker = Asker::Resurrect {
            device,
            spi,
            path,
            datagram,
        };
        self.ask(now, asker, Question::Directory(question));
    }

    pub(crate) fn not_resurrected(&mut self, device: DeviceId, spi: u64) {
        let key = self.devices.get(&device).copied();
        let peer = key.and_then(|key| self.peers.get_mut(key));
        if let Some(kept) = peer.and_then(|p| p.kept_mut(spi)) {
            kept.asking = false;
        }
    }

    /// A parked IKE SA goes on; `free`: nobody else has what it covers.
    pub(crate) fn resurrect(
        &mut self,
        now: Instant,
        device: DeviceId,
        spi: u64,
        path: Path,
        datagram: &[u8],
        free: bool,
    ) {
        self.not_resurrected(device, spi);
        let Some(key) = self.devices.get(&device).copied() else {
            return;
        };
        let may = self.peers.get(key).is_some_and(|p| p.may_go_on(spi, &path));
        if !free || !may || self.stage.is_ending() {
            return;
        }
        let Some(mut kept) = self.take_kept(spi) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let beside = peer.has_usable_ike_sa();
        let schedule = peer.resurrection_schedule();
        kept.sa.resurrect(&mut crate::env!(self, now), schedule);
        if !beside {
            // It is where this one is, until that moves.
            peer.relabel(kept.sa.path());
        }
        peer.resume(now, kept.sa);
        peer.hear(now);
        let label = Arc::clone(&peer.label);
        self.ike_index.insert(spi, key);
        self.has_returned(key);
        let parked = now.saturating_duration_since(kept.since);
        let event = Event::Resurrected {
            spi,
            from: path.remote,
            parked_ms: u64::try_from(parked.as_millis()).unwrap_or(u64::MAX),
        };
        self.event(Some(label), event);
        for at in kept.pairs {
            self.unpark_pair(key, at, beside);
        }
        self.claim(now, key);
        self.start_dpd(now, key);
        self.came_back(now, key, spi);
        if self.peers.get(key).is_some_and(|p| !p.pairs.is_empty()) {
            self.peer_up(now, key);
        } else {
            self.remake(now, key);
        }
        self.follow(now, key, spi, path);
        self.drive(now, key);
        if let Ok(header) = Header::parse(datagram) {
            self.peer_message(now, key, spi, path, &header, datagram);
        }
    }

    /// `beside`: another IKE SA is in use, and is sent on.
    fn unpark_pair(&mut self, key: usize, at: usize, beside: bool) {
        let Some(pair) = self.pairs.get_mut(at) else {
            return;
        };
        let PairLife::Parked { active } = pair.life else {
            // It ended before its IKE SA did.
            return self.exhume(key, at);
        };
        pair.life = PairLife::InUse;
        pair.unanswered = Unanswered::default();
        let spi_in = pair.spi_in;
        if let Some(peer) = self.peers.get_mut(key) {
            peer.pairs.push(at);
        }
        self.route(at, true);
        if active && !beside {
            self.activate_pair(key, spi_in);
        }
    }

    /// Something opened under an IKE SA that was deleted: the peer lives there, and has not noticed.
    fn tombstone_hit(&mut self, now: Instant, key: usize, ike_spi: u64, spi: u64, path: Path) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let usable = peer.has_usable_ike_sa();
        let recent = |at: Instant, within| now.saturating_duration_since(at) < within;
        let Some(kept) = peer.kept_mut(ike_spi) else {
            return;
        };
        if recent(kept.since, UNDER_WAY) || kept.hit.is_some_and(|at| recent(at, HITS_APART)) {
            return;
        }
        kept.hit = Some(now);
        kept.sa.repeat_farewell(path);
        if usable {
            return self.drain_kept(key, ike_spi);
        }
        let (cause, nat) = (kept.cause, kept.sa.nat());
        peer.hear(now);
        if nat.peer && !nat.local && path.encapsulated {
            peer.relabel(path);
        }
        let label = Arc::clone(&peer.label);
        let from = path.remote;
        self.event(Some(label), Event::TombstoneHit { spi, from });
        self.drain_kept(key, ike_spi);
        self.revive_at_once(now, key, ike_spi, cause);
    }
}
