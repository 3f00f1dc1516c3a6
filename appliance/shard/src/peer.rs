//! A device: the one who owns its IKE SAs and Child SAs.

use crate::Shard;
use crate::census::Counted;
use crate::contest::{Contest, Retiring};
use crate::cycle::Cycle;
use crate::dpd_policy::Policed;
use crate::index::Indexed;
use crate::io::{DeviceId, DirectoryRequest, Question};
use crate::kept::Kept;
use crate::liveness::{Ping, Probing, SILENT_AFTER};
use crate::one_way::OneWay;
use crate::recorder::Recorder;
use crate::remake::Lost;
use crate::revive::Revival;
use crate::suspect::Flow;
use crate::timers::TimerKey;
use crate::trial::Trial;
use crate::view::PeerStatus;
use hawser_esp::Sad;
use hawser_flight::{CloseCause, Event, Path, PeerLabel};
use hawser_ike::IkeSa;
use hawser_ike::child_sa::ChildSa;
use hawser_ike::ike_sa::SaState;
use hawser_policy::{Identity, PeerTemplate, Secret, TenantId, TrafficSelector};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Moves of an endpoint in [`MOVES_WINDOW`] at most.
const MAX_MOVES: u8 = 10;
const MOVES_WINDOW: Duration = Duration::from_secs(10);

/// A device.
pub(crate) struct Peer {
    pub(crate) device: DeviceId,
    pub(crate) label: Arc<PeerLabel>,
    pub(crate) tenant: TenantId,
    /// What governs the device: the newest template of its SAs, or that template as the policy
    /// has it now. A Child SA follows the template of its IKE SA.
    pub(crate) template: Arc<PeerTemplate>,
    pub(crate) identity: Identity,
    pub(crate) path: Path,
    pub(crate) ike_sas: Vec<IkeSa>,
    /// Keys of its pairs.
    pub(crate) pairs: Vec<usize>,
    /// What its pairs cover or covered last.
    pub(crate) selectors: Vec<TrafficSelector>,
    /// Endpoint, life and inbound SPIs that the directory was told with these selectors.
    claimed: Option<(SocketAddr, bool, Vec<u32>)>,
    pub(crate) up: bool,
    pub(crate) since: Instant,
    pub(crate) down_cause: Option<CloseCause>,
    /// When anything authentic came from it.
    pub(crate) heard: Instant,
    /// Nothing has come for so long that nothing proves it alive.
    pub(crate) silent: bool,
    pub(crate) dpd_at: Option<Instant>,
    /// Where a plugin decides about its liveness.
    pub(crate) policed: Option<Box<Policed>>,
    pub(crate) probing: Probing,
    /// What plugins said about it when it was authorized.
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) contests: Vec<Contest>,
    pub(crate) retiring: Vec<Retiring>,
    /// An IKE SA that goes on beside another, and has not proved itself.
    pub(crate) trial: Option<Trial>,
    pub(crate) pings: Vec<Ping>,
    /// IKE SAs that have ended, the oldest first.
    pub(crate) kept: Vec<Kept>,
    /// Pairs of IKE SAs that are ending.
    pub(crate) buried: Vec<usize>,
    /// The pre-shared key that it last proved.
    pub(crate) secret: Option<Secret>,
    pub(crate) revival: Option<Revival>,
    /// The IKE SA that we last revived it with, by local SPI, and when.
    pub(crate) revived: Option<(u64, Instant)>,
    /// It did not come back by itself after its last DELETE.
    pub(crate) stays_down: bool,
    /// Of the policy that it follows.
    pub(crate) revision: u64,
    /// When a request was last sent again to where something came from that it must be asked about.
    pub(crate) asked_again: Option<Instant>,
    pub(crate) audit_at: Option<Instant>,
    /// When it is looked at for what might be inconsistent.
    pub(crate) check_at: Option<Instant>,
    pub(crate) flow: Flow,
    /// A pair that it may have lost.
    pub(crate) one_way: Option<OneWay>,
    /// When a pair was last made anew for that.
    pub(crate) nudged: Option<Instant>,
    pub(crate) lost: Option<Lost>,
    /// When we last asked for a pair that it had lost.
    pub(crate) remade: Option<Instant>,
    /// Since when it has neither IKE SA nor pair.
    pub(crate) gone: Option<Instant>,
    /// When it renews its IKE SA by itself.
    pub(crate) cycle: Cycle,
    /// When it was last told of a SPI that is unknown here.
    pub(crate) reported_spi: Option<Instant>,
    /// What the shard's index has of it.
    pub(crate) indexed: Indexed,
    /// What the census has of it.
    pub(crate) counted: Option<Counted>,
    moves: (u8, Instant),
    pub(crate) armed: Option<Instant>,
    pub(crate) recorder: Recorder,
}

impl Peer {
    /// Its status, by evidence.
    pub(crate) fn status(&self) -> PeerStatus {
        let unanswered = self.ike_sas.iter().any(IkeSa::is_struggling);
        match self.up {
            true if !unanswered && !self.silent => PeerStatus::Up,
            false if self.ike_sas.is_empty() => PeerStatus::Down,
            _ => PeerStatus::Degraded,
        }
    }

    pub(crate) fn ike_sa(&mut self, local_spi: u64) -> Option<&mut IkeSa> {
        self.ike_sas
            .iter_mut()
            .find(|sa| sa.local_spi() == local_spi)
    }

    pub(crate) fn find_ike_sa(&self, local_spi: u64) -> Option<&IkeSa> {
        self.ike_sas.iter().find(|sa| sa.local_spi() == local_spi)
    }

    /// Whether an IKE SA is in use, or about to be.
    pub(crate) fn has_usable_ike_sa(&self) -> bool {
        let usable = |sa: &IkeSa| {
            use SaState::{Authenticating, Established, Provisional};
            matches!(sa.state(), Authenticating | Established | Provisional)
        };
        self.ike_sas.iter().any(usable)
    }

    /// Something authentic came from it. Says whether it had been silent.
    pub(crate) fn hear(&mut self, now: Instant) -> bool {
        self.heard = now;
        std::mem::replace(&mut self.silent, false)
    }

    /// Something new came on an IKE SA: what it replaced by rekeying need not wait much longer.
    pub(crate) fn successor_seen(&mut self, now: Instant, spi: u64) {
        if let Some(old) = self.find_ike_sa(spi).and_then(IkeSa::replaces)
            && let Some(old) = self.ike_sa(old)
        {
            old.successor_seen(now);
        }
    }

    /// Whether another move is allowed now; counts it.
    pub(crate) fn may_move(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.moves.1) >= MOVES_WINDOW {
            self.moves = (0, now);
        }
        self.moves.0 = self.moves.0.saturating_add(1);
        self.moves.0 <= MAX_MOVES
    }

    /// The peer is at `path` now.
    pub(crate) fn relabel(&mut self, path: Path) {
        self.path = path;
        self.label = Arc::new(PeerLabel {
            path,
            template: Arc::clone(&self.template.name),
            ..(*self.label).clone()
        });
    }

    fn next_timeout(&self) -> Option<Instant> {
        let sas = self
            .ike_sas
            .iter()
            .filter_map(|sa| sa.next_timeout().map(|(at, _)| at));
        let retiring = self.retiring.iter().map(|r| r.at);
        let pings = self.pings.iter().map(|p| p.until);
        let silence = (self.up && !self.silent).then(|| self.heard + SILENT_AFTER);
        sas.chain(retiring)
            .chain(pings)
            .chain(silence)
            .chain(self.dpd_at)
            .chain(self.policed.as_ref().and_then(|p| p.at))
            .chain(self.audit_at)
            .chain(self.check_at)
            .chain(self.lost.as_ref().and_then(|lost| lost.at))
            .chain(self.one_way.as_ref().and_then(|lost| lost.at))
            .chain(self.revival.as_ref().and_then(Revival::next))
            .min()
    }
}

/// When the last authentic ESP packet came on the Child SAs of an IKE SA.
fn esp_heard(sad: &Sad<usize>, sa: &IkeSa) -> Option<Instant> {
    let seen = |c: &ChildSa| sad.get(c.spi_in).and_then(|entry| entry.sa.last_seen());
    sa.children().iter().filter_map(seen).max()
}

impl Shard {
    /// A device that is not known yet; its key.
    pub(crate) fn add_peer(
        &mut self,
        now: Instant,
        template: &Arc<PeerTemplate>,
        identity: &Identity,
        path: Path,
    ) -> usize {
        self.next_device += 1;
        let device = DeviceId(u64::from(self.id.0) << 56 | self.next_device);
        let tenant = template.tenant;
        let label = Arc::new(PeerLabel {
            instance: device.0,
            tenant: Arc::clone(&self.policy.tenant(tenant).name),
            template: Arc::clone(&template.name),
            identity: identity.to_string().into(),
            path,
        });
        let key = self.peers.insert(Peer {
            device,
            label,
            tenant,
            template: Arc::clone(template),
            identity: identity.canonical(),
            path,
            ike_sas: Vec::new(),
            pairs: Vec::new(),
            selectors: Vec::new(),
            claimed: None,
            up: false,
            since: now,
            down_cause: None,
            heard: now,
            silent: false,
            dpd_at: None,
            policed: None,
            probing: Probing::default(),
            attributes: Vec::new(),
            contests: Vec::new(),
            retiring: Vec::new(),
            trial: None,
            pings: Vec::new(),
            kept: Vec::new(),
            buried: Vec::new(),
            secret: None,
            revival: None,
            revived: None,
            stays_down: false,
            revision: self.policy.revision,
            asked_again: None,
            audit_at: None,
            check_at: None,
            flow: Flow::default(),
            one_way: None,
            nudged: None,
            lost: None,
            remade: None,
            gone: None,
            cycle: Cycle::default(),
            reported_spi: None,
            indexed: Indexed::default(),
            counted: None,
            moves: (0, now),
            armed: None,
            recorder: Recorder::new(self.policy.observability.recorder),
        });
        self.devices.insert(device, key);
        self.count(key);
        key
    }

    /// The device is no more.
    pub(crate) fn drop_peer(&mut self, key: usize) {
        self.drop_kept(key);
        self.forget_revival(key);
        let Some(mut peer) = self.peers.try_remove(key) else {
            return;
        };
        self.devices.remove(&peer.device);
        self.index.forget(key, &mut peer.indexed);
        self.census.forget(peer.counted.take());
        self.timers.arm(&mut peer.armed, None, TimerKey::Peer(key));
    }

    /// Wakes the peer when its SAs, or its DPD, want it.
    pub(crate) fn arm_peer(&mut self, key: usize) {
        self.watch(key);
        self.count(key);
        if let Some(peer) = self.peers.get_mut(key) {
            let at = peer.next_timeout();
            self.timers.arm(&mut peer.armed, at, TimerKey::Peer(key));
        }
    }

    pub(crate) fn peer_timeout(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.armed = None;
        peer.silent |= peer.up && peer.heard + SILENT_AFTER <= now;
        for sa in &mut peer.ike_sas {
            if sa.is_waiting()
                && let Some(at) = esp_heard(&self.sad, sa)
            {
                sa.vouch(at);
            }
            if sa.next_timeout().is_some_and(|(at, _)| at <= now) {
                sa.timeout(&mut crate::env!(self, now));
            }
        }
        self.retire_due(now, key);
        self.pings_due(now, key);
        self.periodic_dpd(now, key);
        self.policed_due(now, key);
        self.audit_due(now, key);
        self.revive_due(now, key);
        self.remake_due(now, key);
        self.one_way_due(now, key);
        self.reconcile_due(now, key);
        self.drive(now, key);
    }

    /// Tells the directory what the device holds now, if that is news.
    pub(crate) fn claim(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let mut held: Vec<TrafficSelector> = peer
            .pairs
            .iter()
            .filter_map(|p| self.pairs.get(*p))
            .flat_map(|pair| pair.remote.iter().copied())
            .collect();
        held.sort_unstable_by_key(|ts| {
            let ports = (ts.port_start, ts.port_end);
            (ts.start, ts.end, ts.protocol, ports)
        });
        held.dedup();
        let alive = !held.is_empty();
        let pairs = peer.pairs.iter().filter_map(|p| self.pairs.get(*p));
        let mut spis: Vec<u32> = pairs.map(|pair| pair.spi_in).collect();
        if let Some((.., before)) = peer.claimed.as_ref().filter(|_| !alive) {
            // It may not know that it is down, and go on sending on these.
            spis.clone_from(before);
        }
        let told = Some((peer.path.remote, alive, spis));
        let first = peer.selectors.is_empty();
        let returned = alive && peer.claimed.as_ref().is_some_and(|(_, lived, _)| !lived);
        if peer.claimed == told && (!alive || held == peer.selectors) || first && !alive {
            return;
        }
        peer.claimed = told;
        if alive {
            peer.selectors = held;
        }
        let device = peer.device;
        self.tell_claim(key, alive);
        if first {
            self.look_for_twin(now, device, key);
        } else if returned {
            self.look_for_holder(now, device, key);
        }
    }

    /// Tells the directory of a device that another run knew, and that may still send on `spis`.
    pub(crate) fn claim_remembered(&mut self, key: usize, spis: Vec<u32>) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.claimed = Some((peer.path.remote, false, spis));
        }
        self.tell_claim(key, false);
    }

    fn tell_claim(&mut self, key: usize, alive: bool) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let request = DirectoryRequest::Claim {
            device: peer.device,
            shard: self.id,
            tenant: peer.tenant,
            identity: peer.identity.clone(),
            path: peer.path,
            selectors: peer.selectors.clone(),
            alive,
            spis: peer
                .claimed
                .iter()
                .flat_map(|(.., spis)| spis)
                .copied()
                .collect(),
        };
        self.tell(Question::Directory(request));
    }

    /// What a forgotten device held is free.
    pub(crate) fn release_claim(&mut self, key: usize) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.selectors.clear();
        }
        self.tell_claim(key, false);
    }

    /// The device has its first pair.
    pub(crate) fn peer_up(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key).filter(|p| !p.up) else {
            return;
        };
        (peer.up, peer.since, peer.down_cause) = (true, now, None);
        peer.lost = None;
        let label = Arc::clone(&peer.label);
        self.event(Some(label), Event::PeerUp);
        self.count(key);
        self.freeze(key, true);
    }

    /// The device has lost its last pair.
    pub(crate) fn peer_down(&mut self, now: Instant, key: usize, cause: CloseCause) {
        let Some(peer) = self.peers.get_mut(key).filter(|p| p.up) else {
            return;
        };
        (peer.up, peer.since, peer.down_cause) = (false, now, Some(cause));
        let label = Arc::clone(&peer.label);
        self.counters.tunnels_down.count(cause);
        self.event(Some(label), Event::PeerDown { cause });
        self.count(key);
        self.freeze(key, false);
    }
}
