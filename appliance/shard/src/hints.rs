//! Unprotected messages (RFC 7296 1.5, 2.5, 2.21.4): hints, sent and heeded at bounded rates.
//!
//! Anybody may have sent one that comes: it leads to a question at most, and changes nothing.

use crate::Shard;
use crate::io::{Message as ShardMessage, Output, ShardId};
use crate::pairs::PairLife;
use crate::spi::shard_of;
use hawser_flight::{Event, MessageError, Path};
use hawser_ike::handshake::header;
use hawser_ike::header::Header;
use hawser_ike::message::Message;
use hawser_ike::payload::{Notify, Payload};
use hawser_ike::registry::{ExchangeType, NotifyType};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a peer is told in its IKE SA that it sends on a SPI that is unknown here.
const REPORT_EVERY: Duration = Duration::from_secs(10);

impl Shard {
    /// Where a message of ours about native ESP goes: to the IKE port.
    fn ike_path(&self, path: Path) -> Path {
        if path.local.port() != 0 {
            return path;
        }
        Path {
            local: SocketAddr::new(path.local.ip(), self.policy.listen.port),
            remote: SocketAddr::new(path.remote.ip(), 500),
            encapsulated: false,
        }
    }

    /// A request in an IKE SA that is not here: INVALID_IKE_SPI. Never an answer to a response.
    pub(crate) fn unknown_ike_spi(&mut self, now: Instant, path: Path, request: &Header) {
        self.refuse_message(now, path, MessageError::UnknownIkeSpi);
        self.complain(now, path, request, NotifyType::InvalidIkeSpi);
    }

    /// Another major version: the reply's header says which one we speak.
    pub(crate) fn other_version(&mut self, now: Instant, path: Path, request: &Header) {
        self.refuse_message(now, path, MessageError::BadVersion);
        self.complain(now, path, request, NotifyType::InvalidMajorVersion);
    }

    fn complain(&mut self, now: Instant, path: Path, request: &Header, kind: NotifyType) {
        if request.flags.response || !self.gate.may_complain(now) {
            return;
        }
        let spis = (request.spi_i, request.spi_r);
        let from_initiator = !request.flags.initiator;
        let (exchange, id) = (request.exchange, request.message_id);
        let header = header(spis, exchange, id, from_initiator, true);
        let payloads = vec![Payload::Notify(Notify::error(kind))];
        self.transmit(path, &Message { header, payloads }.encode_clear());
    }

    /// ESP that no SA here takes: INVALID_SPI, so that a peer that did not notice may. In its IKE SA
    /// where there is one with that endpoint, else unprotected.
    pub(crate) fn unknown_spi(&mut self, now: Instant, path: Path, packet: &[u8]) {
        let Some(spi) = packet.first_chunk::<4>() else {
            return;
        };
        // Of another shard's bucket: that one knows better.
        let ours = shard_of(spi[0], self.shards) == self.id;
        if !ours {
            return;
        }
        if self.awaited_calls(now, u32::from_be_bytes(*spi), path) {
            return;
        }
        let awaited = u64::from(u32::from_be_bytes(*spi));
        if self.index.maker(awaited).is_some() && path.encapsulated {
            return self.ask_maker(now, awaited, path);
        }
        if let Some(handshake) = self.initiators.by_child(u32::from_be_bytes(*spi)) {
            return self.ask_half_open(now, handshake, path);
        }
        let home = self.index.at_home(self.ike_path(path).remote);
        if let Some((key, sa)) = home.and_then(|key| Some((key, self.peers.get(key)?.newest()?))) {
            return self.report_spi(now, key, sa, u32::from_be_bytes(*spi));
        }
        if !self.gate.may_complain_of_esp(now) {
            return;
        }
        // No IKE SA: the SPIs mean nothing, the flag I is set, and nobody answers.
        let header = header((0, 0), ExchangeType::Informational, 0, true, false);
        let notify = Notify::status(NotifyType::InvalidSpi, spi.to_vec());
        let payloads = vec![Payload::Notify(notify)];
        let message = Message { header, payloads }.encode_clear();
        self.transmit(self.ike_path(path), &message);
    }

    /// Anybody may have sent it, so the peer is not told of it often.
    fn report_spi(&mut self, now: Instant, key: usize, sa: u64, spi: u32) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let recently = |at: Instant| now.saturating_duration_since(at) < REPORT_EVERY;
        if peer.reported_spi.is_some_and(recently) {
            return;
        }
        peer.reported_spi = Some(now);
        if let Some(sa) = peer.ike_sa(sa) {
            sa.report_spi(&mut crate::env!(self, now), spi);
        }
        self.drive(now, key);
    }

    /// A message outside of every IKE SA that does not begin one: INVALID_SPI at best.
    pub(crate) fn outside_message(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        let message = Message::parse_clear(datagram).ok();
        let hint = message
            .as_ref()
            .and_then(|m| m.notify(NotifyType::InvalidSpi));
        let spi = hint.and_then(|n| <[u8; 4]>::try_from(n.data.as_slice()).ok());
        let Some(spi) = spi.map(u32::from_be_bytes) else {
            return self.refuse_message(now, path, MessageError::BadExchange);
        };
        if !self.gate.may_heed(now) {
            return self.refuse_message(now, path, MessageError::RateLimited);
        }
        let source = path.remote.ip();
        self.spi_hint(now, source, spi);
        for shard in (0..self.shards).map(ShardId).filter(|s| *s != self.id) {
            let message = ShardMessage::SpiHint { source, spi };
            self.out.push_back(Output::Send(shard, message));
        }
    }

    /// Somebody at the address of a peer says that it does not know a SPI that we send on: the
    /// peer is asked whether it lives.
    pub(crate) fn spi_hint(&mut self, now: Instant, source: IpAddr, spi: u32) {
        let said = |p: &crate::pairs::Pair| {
            p.life == PairLife::InUse && p.outbound.spi() == spi && p.path.remote.ip() == source
        };
        let Some(pair) = self.pairs.iter().map(|(_, p)| p).find(|p| said(p)) else {
            return;
        };
        let (key, ike_spi) = (pair.peer, pair.ike_spi);
        let label = self.peers.get(key).map(|p| Arc::clone(&p.label));
        self.event(label, Event::InvalidSpiHint { spi });
        self.probe_patiently(now, key, ike_spi);
        self.drive(now, key);
    }
}
