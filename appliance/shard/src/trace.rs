//! What passes between the gateway and one peer, while somebody looks on: every IKE message decoded, or every packet as
//! it is ([`crate::capture`]).
//!
//! Nothing is kept of it and nothing waits for it: what comes too fast is counted in place of told. For everybody else it
//! costs one branch a message.

use crate::Shard;
use crate::admission::Rate;
use crate::capture::{CapturedKeys, Packet};
use crate::io::{CommandId, DeviceId, Output};
use crate::spi::shard_of;
use hawser_flight::{MessageError, Path};
use hawser_ike::fragment::Reassembly;
use hawser_ike::header::Header;
use hawser_ike::message::Message;
use hawser_ike::peek::{self, Direction};
use hawser_ike::protect::Opened;
use serde::Serialize;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::time::Instant;

/// Traces of a shard at once.
const TRACES: usize = 8;
/// Messages a second that are told of one trace.
const RATE: u32 = 100;
/// Packets a second that are told of one capture.
const PACKET_RATE: u32 = 50_000;
/// Messages that are remembered, to know them when they come again.
const REMEMBERED: usize = 64;

/// Whose packets are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// The device; `None`: whoever is at the address.
    pub device: Option<DeviceId>,
    /// Its outer address. What comes from there and belongs to no device yet is looked at too: a handshake.
    pub address: IpAddr,
}

impl Target {
    /// Whether a packet is looked at, by the device that it belongs to.
    pub fn is_meant(&self, owner: Option<DeviceId>, remote: IpAddr) -> bool {
        match (self.device, owner) {
            (Some(device), Some(owner)) => device == owner,
            _ => remote.to_canonical() == self.address.to_canonical(),
        }
    }
}

/// What is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// IKE messages, decoded; no secret is in that.
    Messages,
    /// IKE messages and ESP packets, as they are.
    Packets,
    /// The keys of IKE SAs and Child SAs that are made meanwhile. Whoever may have them asks for
    /// this.
    Keys,
}

/// Something for who looks on.
#[derive(Clone, Debug)]
pub enum Sight {
    /// To [`What::Messages`].
    Message(Box<Traced>),
    /// To [`What::Packets`].
    Packet(Packet),
    /// To [`What::Keys`].
    Keys(CapturedKeys),
}

/// An IKE message, decoded. Secrets are not in it (see [`hawser_ike::peek`]).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Traced {
    /// From the peer.
    pub inbound: bool,
    /// Where it went or came from.
    pub path: Path,
    /// Octets of the message, without the non-ESP marker.
    pub octets: usize,
    /// Exchange type.
    pub exchange: String,
    /// Message ID.
    pub message_id: u32,
    /// A response.
    pub response: bool,
    /// Sent by the initiator of the IKE SA.
    pub from_initiator: bool,
    /// Initiator's SPI, in hexadecimal.
    pub spi_i: String,
    /// Responder's SPI, in hexadecimal.
    pub spi_r: String,
    /// Which fragment of how many (RFC 7383). The payloads are told with the one that completes the message.
    pub fragment: Option<[u16; 2]>,
    /// How often the very same was seen before: a retransmission.
    pub repeated: u32,
    /// The device that it belongs to, where one is authenticated.
    pub device: Option<DeviceId>,
    /// Types of the payloads and what they say.
    pub payloads: Vec<(String, String)>,
    /// Why the payloads are not told.
    pub unreadable: Option<MessageError>,
    /// Messages before this one that were not told, for they came too fast.
    pub left_out: u64,
}

/// Those who look on.
#[derive(Default)]
pub(crate) struct Traces(Vec<Trace>);

pub(crate) struct Trace {
    pub(crate) id: CommandId,
    pub(crate) target: Target,
    what: What,
    until: Instant,
    rate: Rate,
    pub(crate) left_out: u64,
    /// Of messages seen: a hash, and how often.
    seen: VecDeque<(u64, u32)>,
    /// The message in fragments of each direction.
    parts: [Option<(Named, Reassembly)>; 2],
}

/// SPIs, Message ID, and whether it is a response.
type Named = (u64, u64, u32, bool);

impl Traces {
    /// Whether anybody looks on.
    pub(crate) fn are_armed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Those who want to be told this, now, of the packets of a device or an address.
    pub(crate) fn of(
        &mut self,
        now: Instant,
        what: What,
        owner: Option<DeviceId>,
        remote: IpAddr,
    ) -> impl Iterator<Item = &mut Trace> {
        self.0.retain(|trace| trace.until > now);
        let meant = move |t: &&mut Trace| t.what == what && t.target.is_meant(owner, remote);
        self.0.iter_mut().filter(meant)
    }

    /// Whether somebody wants to be told this.
    pub(crate) fn want(&self, what: What) -> bool {
        self.0.iter().any(|trace| trace.what == what)
    }
}

impl Shard {
    /// From now on, until a time, [`Output::Traced`] tells this of a target. Says no where too many look on.
    pub fn trace(
        &mut self,
        now: Instant,
        id: CommandId,
        target: Target,
        what: What,
        until: Instant,
    ) -> bool {
        let traces = &mut self.traces.0;
        traces.retain(|trace| trace.until > now);
        if traces.len() >= TRACES {
            return false;
        }
        traces.push(Trace {
            id,
            target,
            what,
            until,
            rate: Rate::new(match what {
                What::Packets => PACKET_RATE,
                What::Messages | What::Keys => RATE,
            }),
            left_out: 0,
            seen: VecDeque::new(),
            parts: [None, None],
        });
        true
    }

    /// Nobody looks on any more.
    pub fn end_trace(&mut self, id: CommandId) {
        self.traces.0.retain(|trace| trace.id != id);
    }

    /// The device that an IKE message of ours, or for us, belongs to.
    pub(crate) fn owner(&self, header: &Header, direction: Direction) -> Option<DeviceId> {
        let local = local_spi(header, direction);
        let key = self.ike_index.get(&local).copied();
        let key = key.or_else(|| self.kept.by_spi(local))?;
        self.peers.get(key).map(|peer| peer.device)
    }

    /// An IKE message came, or goes, while somebody looks on.
    pub(crate) fn look_on(
        &mut self,
        now: Instant,
        direction: Direction,
        path: Path,
        header: &Header,
        message: &[u8],
    ) {
        if direction == Direction::In && self.is_passed_on(header) {
            return;
        }
        let owner = self.owner(header, direction);
        let mut traces = std::mem::take(&mut self.traces);
        for trace in traces.of(now, What::Messages, owner, path.remote.ip()) {
            let repeated = trace.remember(direction, message);
            if !trace.may_tell(now) {
                continue;
            }
            let mut traced = named(direction, path, header, message);
            (traced.repeated, traced.device) = (repeated, owner);
            traced.left_out = std::mem::take(&mut trace.left_out);
            match self.read(direction, header, message, trace) {
                Ok((fragment, payloads)) => {
                    (traced.fragment, traced.payloads) = (fragment, payloads);
                }
                Err(reason) => traced.unreadable = Some(reason),
            }
            let sight = Sight::Message(Box::new(traced));
            self.out.push_back(Output::Traced(trace.id, sight));
        }
        self.traces = traces;
        self.capture_ike(now, direction, path, owner, message);
    }

    /// Whether another shard will see it.
    fn is_passed_on(&self, header: &Header) -> bool {
        let local = local_spi(header, Direction::In);
        let bucket = local.to_be_bytes()[0];
        let foreign = bucket != 0 && shard_of(bucket, self.shards) != self.id;
        let here = self.ike_index.contains_key(&local) || self.kept.by_spi(local).is_some();
        !here && (foreign || self.forwards.contains_key(&local))
    }

    fn read(
        &self,
        direction: Direction,
        header: &Header,
        message: &[u8],
        trace: &mut Trace,
    ) -> Result<Read, MessageError> {
        if !peek::is_protected(header) {
            return Ok((None, texts(&Message::parse_clear(message)?)));
        }
        let named = (
            header.spi_i,
            header.spi_r,
            header.message_id,
            header.flags.response,
        );
        let (fragment, whole) = match self.open(direction, header, message)? {
            Opened::Whole { first, body } => (None, Some((first, body))),
            Opened::Fragment {
                first,
                number,
                total,
                body,
            } => {
                let parts = trace.parts_of(direction, named);
                (
                    Some([number, total]),
                    parts.add(number, total, first, body)?,
                )
            }
        };
        let Some((first, body)) = whole else {
            return Ok((fragment, Vec::new()));
        };
        Ok((
            fragment,
            texts(&Message::from_chain(*header, first, &body)?),
        ))
    }

    fn open(
        &self,
        direction: Direction,
        header: &Header,
        message: &[u8],
    ) -> Result<Opened, MessageError> {
        let local = local_spi(header, direction);
        let unknown = MessageError::UnknownIkeSpi;
        if let Some(peer) = self.ike_index.get(&local).and_then(|k| self.peers.get(*k)) {
            let sa = peer.find_ike_sa(local).ok_or(unknown)?;
            return sa.peek(direction, message);
        }
        if let Some(peer) = self.kept.by_spi(local).and_then(|k| self.peers.get(k)) {
            let kept = peer.kept(local).ok_or(unknown)?;
            return kept.sa.peek(direction, message);
        }
        if let Some(responder) = self.responders.of_spi(local) {
            return responder.peek(direction, message);
        }
        let initiator = self.initiators.of_spi(local).ok_or(unknown)?;
        initiator.peek(direction, message)
    }
}

/// Which fragment it was, and the payloads of a message that is complete.
type Read = (Option<[u16; 2]>, Vec<(String, String)>);

impl Trace {
    /// Whether one more is not too many; else it is counted.
    pub(crate) fn may_tell(&mut self, now: Instant) -> bool {
        let may = self.rate.take(now);
        self.left_out += u64::from(!may);
        may
    }

    /// How often the same message was seen before.
    fn remember(&mut self, direction: Direction, message: &[u8]) -> u32 {
        let mut hasher = DefaultHasher::new();
        (direction, message).hash(&mut hasher);
        let hash = hasher.finish();
        if let Some((_, times)) = self.seen.iter_mut().find(|(h, _)| *h == hash) {
            *times += 1;
            return *times;
        }
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back((hash, 0));
        0
    }

    fn parts_of(&mut self, direction: Direction, named: Named) -> &mut Reassembly {
        let parts = &mut self.parts[direction as usize];
        if parts.as_ref().is_none_or(|(of, _)| *of != named) {
            *parts = None;
        }
        let (_, parts) = parts.get_or_insert_with(|| (named, Reassembly::new()));
        parts
    }
}

/// The SPI by which it names an SA of ours.
fn local_spi(header: &Header, direction: Direction) -> u64 {
    let from_us = direction == Direction::Out;
    if header.flags.initiator == from_us {
        header.spi_i
    } else {
        header.spi_r
    }
}

fn texts(message: &Message) -> Vec<(String, String)> {
    let told = peek::tell(message).into_iter();
    told.map(|t| (t.kind, t.text)).collect()
}

fn named(direction: Direction, path: Path, header: &Header, message: &[u8]) -> Traced {
    Traced {
        inbound: direction == Direction::In,
        path,
        octets: message.len(),
        exchange: header.exchange.to_string(),
        message_id: header.message_id,
        response: header.flags.response,
        from_initiator: header.flags.initiator,
        spi_i: format!("{:016x}", header.spi_i),
        spi_r: format!("{:016x}", header.spi_r),
        fragment: None,
        repeated: 0,
        device: None,
        payloads: Vec::new(),
        unreadable: None,
        left_out: 0,
    }
}
