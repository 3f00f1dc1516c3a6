//! Devices of another run of the gateway. Their SAs are gone with it, and what it knew of them is remembered without keys.
//! They may notice for minutes nothing, or never: so they are called back as any device that was lost.

use crate::Shard;
use crate::io::DeviceId;
use crate::remake::Lost;
use hawser_flight::{CloseCause, Path};
use hawser_policy::{ChildTemplate, Identity, PeerTemplate, Secret, TenantId, TrafficSelector};
use rand::RngExt;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long those have that begin by themselves.
const AFTER_START: Duration = Duration::from_millis(500);

/// A device that sends from elsewhere is called there not more often than this.
const CALLS_APART: Duration = Duration::from_secs(5);

/// Handshakes of ours are begun so far apart, on average.
const APART: Duration = Duration::from_millis(3);

/// A device that was up in another run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remembered {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its identity, canonical.
    pub identity: Identity,
    /// Where it was.
    pub path: Path,
    /// What its Child SAs covered on its side.
    pub selectors: Vec<TrafficSelector>,
    /// The inbound SPIs of those, by which it may still send.
    pub spis: Vec<u32>,
}

/// Devices that are not back yet, by the SPIs that they may still send by, and when each was last called for that.
pub(crate) type Awaited = HashMap<u32, (DeviceId, Option<Instant>)>;

impl Shard {
    /// Devices that were up when another run ended: they are known when they come back, and called back where the
    /// policy still wants them and says how they authenticate.
    pub fn restore(&mut self, now: Instant, devices: Vec<Remembered>) {
        self.clock = now;
        let count = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        let time = APART.saturating_mul(count);
        for device in devices {
            let wait = AFTER_START + time.mul_f64(self.rng.random_range(0.0..1.0));
            self.restore_device(now, device, now + wait);
        }
    }

    fn restore_device(&mut self, now: Instant, device: Remembered, at: Instant) {
        let Some((template, secret)) = self.authenticated_by(&device) else {
            return;
        };
        let children = had(&template, &device.selectors);
        if children.is_empty() {
            return;
        }
        let key = self.add_peer(now, &template, &device.identity, device.path);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.secret = Some(secret);
            peer.selectors = device.selectors;
            let awaited = device.spis.iter().map(|spi| (*spi, (peer.device, None)));
            self.awaited.extend(awaited);
            peer.down_cause = Some(CloseCause::Shutdown);
            peer.lost = Some(Lost { at: None, children });
        }
        self.claim_remembered(key, device.spis);
        self.has_left(now, key);
        self.revive_restored(now, key, at);
        self.arm_peer(key);
    }

    /// Somebody sends on a SPI of another run: its device, from where its NAT has it now. That proves nothing, so it is
    /// called back there as from anywhere, and must authenticate. Says whether it is awaited.
    pub(crate) fn awaited_calls(&mut self, now: Instant, spi: u32, path: Path) -> bool {
        let Some((device, called)) = self.awaited.get_mut(&spi) else {
            return false;
        };
        let key = self.devices.get(device).copied();
        let Some((key, peer)) = key.and_then(|key| Some((key, self.peers.get_mut(key)?))) else {
            self.awaited.remove(&spi);
            return false;
        };
        if peer.has_usable_ike_sa() {
            self.awaited.remove(&spi);
            return false;
        }
        let recently = called.is_some_and(|at| now.saturating_duration_since(at) < CALLS_APART);
        let moved = peer.path.remote != path.remote;
        if path.encapsulated && !recently && (moved || peer.revival.is_none()) {
            *called = Some(now);
            peer.relabel(path);
            self.forget_revival(key);
            self.revive_restored(now, key, now);
        }
        true
    }

    /// By which template and secret it authenticated; nothing where several secrets are possible, for the proof of
    /// one is not shown to whoever has another.
    fn authenticated_by(&self, device: &Remembered) -> Option<(Arc<PeerTemplate>, Secret)> {
        let (local, remote) = (device.path.local.ip(), device.path.remote.ip());
        let listen = &self.policy.listen.addresses;
        let here = |a: &std::net::IpAddr| *a == local || a.is_unspecified();
        let candidates = self.policy.pad.candidates(local, remote, &device.identity);
        let mut candidates = candidates.into_iter().filter_map(|candidate| {
            let template = self
                .policy
                .templates
                .get(usize::from(candidate.template.0))?;
            (template.tenant == device.tenant).then(|| (Arc::clone(template), candidate.secret))
        });
        let first = candidates.next()?;
        let alone = candidates.all(|(_, secret)| secret == first.1);
        (alone && listen.iter().any(here)).then_some(first)
    }
}

/// The Child SAs of a device with these selectors.
fn had(template: &PeerTemplate, selectors: &[TrafficSelector]) -> Vec<ChildTemplate> {
    let of_it = |child: &ChildTemplate| {
        let covered = |ts: &&TrafficSelector| child.remote.iter().any(|r| r.covers(ts));
        let remote: Vec<_> = selectors.iter().filter(covered).copied().collect();
        (!remote.is_empty()).then(|| ChildTemplate {
            remote,
            ..child.clone()
        })
    };
    template.children.iter().filter_map(of_it).collect()
}
