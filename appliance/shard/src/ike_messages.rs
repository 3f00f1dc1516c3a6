//! The way of an IKE datagram to its SA.

use crate::Shard;
use crate::io::{HandOff, PacketSink};
use crate::spi::shard_of;
use hawser_esp::packet::Ecn;
use hawser_flight::{Event, MessageError, Path};
use hawser_ike::header::Header;
use hawser_ike::peek::Direction;
use hawser_ike::registry::ExchangeType;
use std::time::Instant;

impl Shard {
    /// An IKE message (non-ESP marker removed).
    pub(crate) fn ike_message(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        message: &[u8],
        handed: bool,
        sink: &mut dyn PacketSink,
    ) {
        self.counters.ike_received += 1;
        let header = match Header::parse(message) {
            Ok(header) if header.major == 2 => header,
            Ok(header) => return self.other_version(now, path, &header),
            Err(reason) => return self.refuse_message(now, path, reason),
        };
        if self.traces.are_armed() {
            self.look_on(now, Direction::In, path, &header, message);
        }
        if header.spi_r == 0 && !header.flags.response {
            return match header.exchange {
                ExchangeType::IkeSaInit => self.init_request(now, path, &header, message),
                _ => self.outside_message(now, path, message),
            };
        }
        let local = if header.flags.initiator {
            header.spi_r
        } else {
            header.spi_i
        };
        if let Some(key) = self.ike_index.get(&local).copied() {
            return self.peer_message(now, key, local, path, &header, message);
        }
        if let Some(key) = self.kept.by_spi(local) {
            return self.kept_message(now, key, local, path, &header, message);
        }
        if let Some(key) = self.responders.by_spi(local) {
            return self.responder_message(now, key, path, message);
        }
        if let Some(key) = self.initiators.by_spi(local) {
            return self.initiator_message(now, key, path, &header, message);
        }
        if self.placing.contains_key(&local) {
            // Its IKE_AUTH is being answered.
            return self.refuse_message(now, path, MessageError::Pending);
        }
        if self.index.hold(local, path, message) {
            self.ask_maker(now, local, path);
            return self.refuse_message(now, path, MessageError::Early);
        }
        self.ike_elsewhere(now, path, ecn, local, &header, message, handed, sink);
    }

    /// A message for an IKE SA that is not here: for the shard it was handed over to, which only
    /// the shard of its bucket knows, or for that one.
    #[expect(
        clippy::too_many_arguments,
        reason = "a datagram with its circumstances"
    )]
    fn ike_elsewhere(
        &mut self,
        now: Instant,
        path: Path,
        ecn: Ecn,
        local: u64,
        header: &Header,
        message: &[u8],
        handed: bool,
        sink: &mut dyn PacketSink,
    ) {
        let bucket = local.to_be_bytes()[0];
        let owner = shard_of(bucket, self.shards);
        let foreign = bucket != 0 && owner != self.id;
        let to = match self.forwards.get(&local).copied() {
            Some(shard) => shard,
            None if foreign && !handed => owner,
            // On its way here, or just gone: the shard of its bucket will know.
            None if foreign => {
                return self.refuse_message(now, path, MessageError::UnknownIkeSpi);
            }
            None => return self.unknown_ike_spi(now, path, header),
        };
        self.counters.handed_off += 1;
        let marker: &[u8] = if path.encapsulated { &[0; 4] } else { &[] };
        let payload = &[marker, message].concat();
        sink.hand_off(to, HandOff::Datagram { path, ecn, payload });
    }

    /// Counts a datagram that is not processed; the record of it is at a bounded rate.
    pub(crate) fn refuse_message(&mut self, now: Instant, path: Path, reason: MessageError) {
        self.counters.message_errors.count(reason);
        let routine = matches!(
            reason,
            MessageError::Retransmission | MessageError::Pending | MessageError::Early
        );
        if !routine && self.gate.may_record(now) {
            let source = path.remote;
            self.event(None, Event::MessageRefused { source, reason });
        }
    }

    pub(crate) fn peer_message(
        &mut self,
        now: Instant,
        key: usize,
        local: u64,
        path: Path,
        header: &Header,
        message: &[u8],
    ) {
        let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(local)) else {
            return;
        };
        let mut datagram = message.to_vec();
        let result = sa.datagram(&mut crate::env!(self, now), path, header, &mut datagram);
        if let Err(reason) = result {
            self.refuse_message(now, path, reason);
        }
        self.drive(now, key);
        if result == Err(MessageError::Retransmission) {
            self.came_again(now, key, local, path);
        }
    }
}
