//! Where a device is: its endpoint follows authentic, new packets (DESIGN, The endpoint moves).

use crate::Shard;
use crate::hooks::Trigger;
use crate::pairs::{PairLife, largest_inner};
use hawser_flight::{Event, Path};
use std::sync::Arc;
use std::time::Instant;

impl Shard {
    /// ESP with the highest sequence number so far came on another path than we send on.
    pub(crate) fn esp_moved(&mut self, now: Instant, at: usize, path: Path) {
        let Some(pair) = self.pairs.get(at).filter(|p| p.life == PairLife::InUse) else {
            return;
        };
        let (key, ike_spi, spi_in) = (pair.peer, pair.ike_spi, pair.spi_in);
        let replaced = self.peers.get(key).is_none_or(|peer| {
            let mut pairs = peer.pairs.iter().filter_map(|p| self.pairs.get(*p));
            // What comes late on a pair says nothing once its successor is in use.
            let used =
                |p: &crate::pairs::Pair| self.sad.get(p.spi_in).is_some_and(|e| e.sa.packets() > 0);
            pairs.any(|p| p.predecessor == Some(spi_in) && used(p))
        });
        if !replaced && self.follow(now, key, ike_spi, path) {
            self.drive(now, key);
        }
    }

    /// Moves the device to where an authentic, new packet came from, if it is behind a NAT and we
    /// are not; says whether it has moved. Moves are rate-limited, and probed once.
    pub(crate) fn follow(&mut self, now: Instant, key: usize, spi: u64, path: Path) -> bool {
        let Some(peer) = self.peers.get_mut(key) else {
            return false;
        };
        let Some(sa) = peer.find_ike_sa(spi) else {
            return false;
        };
        let (old, nat) = (sa.path(), sa.nat());
        // From port 500 to 4500 (RFC 7296 2.23), and never back.
        let sinks = old.encapsulated && !path.encapsulated;
        if old == path || sinks || !nat.peer || nat.local || !peer.may_move(now) {
            return false;
        }
        if peer.is_on_trial(spi) {
            if let Some(sa) = peer.ike_sa(spi) {
                sa.ask_again_at(path);
            }
            return false;
        }
        let before = Arc::clone(&peer.label);
        for sa in peer.ike_sas.iter_mut().filter(|sa| sa.path() == old) {
            sa.set_path(path);
        }
        if peer.path == old {
            peer.relabel(path);
        }
        let mtu = self.policy.tenant(peer.tenant).mtu;
        for pair in &peer.pairs {
            if let Some(pair) = self.pairs.get_mut(*pair).filter(|p| p.path == old) {
                pair.path = path;
                pair.mtu = largest_inner(&path, &pair.suite).min(mtu);
            }
        }
        peer.probing.moves = peer.probing.moves.saturating_add(1);
        self.counters.endpoint_moves += 1;
        let event = Event::EndpointMoved {
            from: old.remote,
            to: path.remote,
        };
        self.event(Some(before), event);
        self.claim(now, key);
        self.probe_patiently(now, key, spi);
        self.ask_dpd(now, key, Trigger::Moved);
        true
    }
}
