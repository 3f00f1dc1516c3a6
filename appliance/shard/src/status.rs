//! What operators and metrics see.

use crate::Shard;
use crate::io::PeerFilter;
use crate::peer::Peer;
use crate::view::{ChildSaView, IkeSaView, PeerLine, PeerStatus, PeerView, StatusView};
use hawser_ike::IkeSa;
use hawser_ike::child_sa::ChildSa;
use hawser_ike::ike_sa::SaState;
use hawser_policy::TrafficSelector;
use std::sync::Arc;
use std::time::Instant;

impl Shard {
    pub(crate) fn status_view(&self, now: Instant, filter: &PeerFilter) -> StatusView {
        let meant = self
            .peers
            .iter()
            .filter(|(key, _)| self.is_meant(filter, *key));
        StatusView {
            peers: meant.map(|(_, peer)| self.line(now, peer)).collect(),
            half_open: self.responders.half_open(),
            ike_sas: self.ike_index.len(),
            child_sas: self.peers.iter().map(|(_, p)| p.pairs.len()).sum(),
        }
    }

    pub(crate) fn peer_views(&self, now: Instant, filter: &PeerFilter) -> Vec<PeerView> {
        let meant = self
            .peers
            .iter()
            .filter(|(key, _)| self.is_meant(filter, *key));
        let view = |(_, peer): (usize, &Peer)| PeerView {
            line: self.line(now, peer),
            ike_sas: peer
                .ike_sas
                .iter()
                .map(|sa| self.ike_view(now, peer, sa))
                .collect(),
            attributes: peer.attributes.clone(),
        };
        meant.map(view).collect()
    }

    /// By evidence, and whether we are at it.
    fn status_of(&self, peer: &Peer) -> PeerStatus {
        match peer.status() {
            PeerStatus::Down
                if peer.template.initiate.is_some()
                    && self.initiators.is_initiating(&peer.template.name) =>
            {
                PeerStatus::Connecting
            }
            status => status,
        }
    }

    fn line(&self, now: Instant, peer: &Peer) -> PeerLine {
        let pairs = || peer.pairs.iter().filter_map(|p| self.pairs.get(*p));
        let received = |spi: u32| self.sad.get(spi).map_or(0, |entry| entry.sa.bytes());
        PeerLine {
            device: peer.device,
            shard: self.id,
            tenant: Arc::clone(&peer.label.tenant),
            template: Arc::clone(&peer.label.template),
            identity: Arc::clone(&peer.label.identity),
            endpoint: peer.path.remote_label(),
            status: self.status_of(peer),
            since_s: now.saturating_duration_since(peer.since).as_secs(),
            networks: strings(&peer.selectors),
            bytes_in: pairs().map(|p| received(p.spi_in)).sum(),
            bytes_out: pairs().map(|p| p.outbound.bytes()).sum(),
            down_cause: peer.down_cause,
        }
    }

    fn ike_view(&self, now: Instant, peer: &Peer, sa: &IkeSa) -> IkeSaView {
        let (spi_i, spi_r) = sa.spis();
        let until = |at: Instant| at.saturating_duration_since(now).as_secs();
        let state = match sa.state() {
            SaState::Authenticating => "authenticating",
            SaState::Established => "established",
            SaState::Provisional => "provisional",
            SaState::Rekeyed => "rekeyed",
            SaState::Deleting(_) => "deleting",
            SaState::Parked => "parked",
            SaState::Closed => "closed",
        };
        IkeSaView {
            spi_i: format!("{spi_i:016x}"),
            spi_r: format!("{spi_r:016x}"),
            role: sa.role(),
            state: state.to_owned(),
            suite: sa.suite().to_string(),
            path: sa.path(),
            peer_behind_nat: sa.nat().peer,
            local_behind_nat: sa.nat().local,
            age_s: now.saturating_duration_since(sa.created()).as_secs(),
            expires_in_s: sa.expires_at().map(until),
            rekeys_in_s: sa.rekey_at().map(until),
            peer_renews_in_s: peer
                .expected_renewal(sa)
                .map(|(from, to)| [until(from), until(to)]),
            idle_in_s: now.saturating_duration_since(sa.last_inbound()).as_secs(),
            children: sa
                .children()
                .iter()
                .map(|c| self.child_view(now, sa, c))
                .collect(),
        }
    }

    fn child_view(&self, now: Instant, sa: &IkeSa, child: &ChildSa) -> ChildSaView {
        let entry = self.sad.get(child.spi_in);
        let pair = entry.and_then(|e| self.pairs.get(e.owner));
        let settings = sa.template().children.get(child.child);
        let idle = entry.and_then(|e| e.sa.last_seen());
        ChildSaView {
            name: settings.map(|s| s.name.clone()).unwrap_or_default(),
            spi_in: format!("{:08x}", child.spi_in),
            spi_out: format!("{:08x}", child.spi_out),
            suite: child.suite.to_string(),
            local: strings(&child.local),
            remote: strings(&child.remote),
            outbound_active: pair.is_some_and(|p| p.active),
            age_s: now.saturating_duration_since(child.created).as_secs(),
            expires_in_s: child
                .expire_at
                .map(|at| at.saturating_duration_since(now).as_secs()),
            packets_in: entry.map_or(0, |e| e.sa.packets()),
            bytes_in: entry.map_or(0, |e| e.sa.bytes()),
            packets_out: pair.map_or(0, |p| p.outbound.packets()),
            bytes_out: pair.map_or(0, |p| p.outbound.bytes()),
            idle_in_s: idle.map(|at| now.saturating_duration_since(at).as_secs()),
        }
    }
}

fn strings(selectors: &[TrafficSelector]) -> Vec<String> {
    selectors.iter().map(ToString::to_string).collect()
}
