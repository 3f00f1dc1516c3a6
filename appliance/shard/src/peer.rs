//! A device: the one who owns its IKE SAs and Child SAs.

use crate::Shard;
use crate::io::{CommandId, DeviceId, DirectoryRequest, Question, ShardId};
use crate::placing::Asker;
use crate::timers::TimerKey;
use crate::view::PeerStatus;
use hawser_flight::{CloseCause, Event, Path, PeerLabel};
use hawser_ike::IkeSa;
use hawser_policy::{Identity, PeerTemplate, TenantId, TrafficSelector};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Devices without SAs that are remembered at most, and for how long.
const MAX_GONE: usize = 10_000;
const REMEMBER: Duration = Duration::from_secs(24 * 3600);

/// Moves of an endpoint in [`MOVES_WINDOW`] at most.
const MAX_MOVES: u8 = 10;
const MOVES_WINDOW: Duration = Duration::from_secs(10);

/// Two SAs claim to be the same device from different endpoints: the older one is being probed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contest {
    /// Local SPI of the older IKE SA.
    pub(crate) older: u64,
    /// Local SPI of the newer.
    pub(crate) newer: u64,
}

/// A device.
pub(crate) struct Peer {
    pub(crate) device: DeviceId,
    pub(crate) label: Arc<PeerLabel>,
    pub(crate) tenant: TenantId,
    pub(crate) template: Arc<PeerTemplate>,
    pub(crate) identity: Identity,
    pub(crate) path: Path,
    pub(crate) ike_sas: Vec<IkeSa>,
    /// IKE SAs whose SPI has another shard's bucket, with that shard.
    pub(crate) adopted: Vec<(u64, ShardId)>,
    /// Keys of its pairs.
    pub(crate) pairs: Vec<usize>,
    /// What its pairs cover or covered last.
    pub(crate) selectors: Vec<TrafficSelector>,
    pub(crate) up: bool,
    pub(crate) since: Instant,
    pub(crate) down_cause: Option<CloseCause>,
    /// When anything authentic came from it.
    pub(crate) heard: Instant,
    pub(crate) dpd_at: Option<Instant>,
    pub(crate) contest: Option<Contest>,
    /// IKE SAs that a successor replaced, by local SPI, and when they are deleted.
    pub(crate) retiring: Vec<(Instant, u64)>,
    pub(crate) pings: Vec<CommandId>,
    moves: (u8, Instant),
    pub(crate) armed: Option<Instant>,
}

impl Peer {
    /// Its status, by evidence.
    pub(crate) fn status(&self) -> PeerStatus {
        let unanswered = self.ike_sas.iter().any(IkeSa::is_struggling);
        match (self.up, unanswered) {
            (true, false) => PeerStatus::Up,
            (true, true) => PeerStatus::Degraded,
            (false, _) if self.ike_sas.is_empty() => PeerStatus::Down,
            (false, _) => PeerStatus::Degraded,
        }
    }

    pub(crate) fn ike_sa(&mut self, local_spi: u64) -> Option<&mut IkeSa> {
        self.ike_sas
            .iter_mut()
            .find(|sa| sa.local_spi() == local_spi)
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
            ..(*self.label).clone()
        });
    }

    fn next_timeout(&self) -> Option<Instant> {
        let sas = self
            .ike_sas
            .iter()
            .filter_map(|sa| sa.next_timeout().map(|(at, _)| at));
        let retiring = self.retiring.iter().map(|(at, _)| *at);
        sas.chain(retiring).chain(self.dpd_at).min()
    }
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
            adopted: Vec::new(),
            pairs: Vec::new(),
            selectors: Vec::new(),
            up: false,
            since: now,
            down_cause: None,
            heard: now,
            dpd_at: None,
            contest: None,
            retiring: Vec::new(),
            pings: Vec::new(),
            moves: (0, now),
            armed: None,
        });
        self.devices.insert(device, key);
        key
    }

    /// Wakes the peer when its SAs, or its DPD, want it.
    pub(crate) fn arm_peer(&mut self, key: usize) {
        if let Some(peer) = self.peers.get_mut(key) {
            let at = peer.next_timeout();
            self.timers.arm(&mut peer.armed, at, TimerKey::Peer(key));
        }
    }

    pub(crate) fn peer_timeout(&mut self, now: Instant, at: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if peer.armed != Some(at) {
            return;
        }
        peer.armed = None;
        for sa in &mut peer.ike_sas {
            if sa.next_timeout().is_some_and(|(at, _)| at <= now) {
                sa.timeout(&mut crate::env!(self, now));
            }
        }
        self.retire_due(now, key);
        self.periodic_dpd(now, key);
        self.drive(now, key);
    }

    /// Deletes what a successor replaced and the peer left.
    fn retire_due(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let (due, later) = peer.retiring.drain(..).partition(|(at, _)| *at <= now);
        peer.retiring = later;
        let due: Vec<(Instant, u64)> = due;
        for (_, spi) in due {
            if let Some(sa) = peer.ike_sa(spi) {
                sa.delete(&mut crate::env!(self, now), CloseCause::Superseded);
            }
        }
    }

    /// Tells the directory what the device holds now.
    pub(crate) fn claim(&mut self, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let held: Vec<TrafficSelector> = peer
            .pairs
            .iter()
            .filter_map(|p| self.pairs.get(*p))
            .flat_map(|pair| pair.remote.iter().copied())
            .collect();
        let alive = !held.is_empty();
        if alive {
            peer.selectors = held;
            peer.selectors
                .sort_unstable_by_key(|ts| (ts.start, ts.end, ts.protocol, ts.port_start));
            peer.selectors.dedup();
        }
        let request = DirectoryRequest::Claim {
            device: peer.device,
            shard: self.id,
            tenant: peer.tenant,
            identity: peer.identity.clone(),
            endpoint: peer.path.remote,
            selectors: peer.selectors.clone(),
            alive,
        };
        self.ask(Asker::Claimed, Question::Directory(request));
    }

    /// The device has its first pair.
    pub(crate) fn peer_up(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key).filter(|p| !p.up) else {
            return;
        };
        (peer.up, peer.since, peer.down_cause) = (true, now, None);
        let label = Arc::clone(&peer.label);
        self.event(Some(label), Event::PeerUp);
    }

    /// The device has lost its last pair.
    pub(crate) fn peer_down(&mut self, now: Instant, key: usize, cause: CloseCause) {
        let Some(peer) = self.peers.get_mut(key).filter(|p| p.up) else {
            return;
        };
        (peer.up, peer.since, peer.down_cause) = (false, now, Some(cause));
        let (label, device) = (Arc::clone(&peer.label), peer.device);
        self.counters.tunnels_down.count(cause);
        self.event(Some(label), Event::PeerDown { cause });
        self.remember(now, device);
    }

    /// A device without SAs stays known for a while, and its number is bounded.
    pub(crate) fn remember(&mut self, now: Instant, device: DeviceId) {
        if self.gone.is_empty() {
            self.timers.at(now + REMEMBER, TimerKey::Forget);
        }
        self.gone.push_back((device, now));
        if self.gone.len() > MAX_GONE {
            self.forget_first();
        }
    }

    pub(crate) fn forget_peers(&mut self, now: Instant) {
        while self
            .gone
            .front()
            .is_some_and(|(_, since)| *since + REMEMBER <= now)
        {
            self.forget_first();
        }
        if let Some((_, since)) = self.gone.front() {
            self.timers.at(*since + REMEMBER, TimerKey::Forget);
        }
    }

    fn forget_first(&mut self) {
        let Some((device, since)) = self.gone.pop_front() else {
            return;
        };
        let Some(key) = self.devices.get(&device).copied() else {
            return;
        };
        // It came back meanwhile, or went down again later and is listed again.
        let idle = |p: &Peer| p.ike_sas.is_empty() && p.pairs.is_empty() && p.since <= since;
        if self.peers.get(key).is_some_and(idle) {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.selectors.clear();
            }
            self.claim(key);
            self.peers.remove(key);
            self.devices.remove(&device);
        }
    }
}
