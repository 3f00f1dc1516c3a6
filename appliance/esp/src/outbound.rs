//! Sealing ESP packets (RFC 4303 section 3.3, RFC 4301 section 5.1).

use crate::offload::SuperPacket;
use crate::packet::{Ecn, protocol};
use arrayvec::ArrayVec;
use hawser_crypto::{EspSealer, ToSeal};
use hawser_flight::DropReason;
use hawser_policy::Esn;

/// Octets of SPI and Sequence Number.
pub(crate) const ESP_HEADER: usize = 8;
/// Octets of Pad Length and Next Header.
pub(crate) const ESP_TRAILER: usize = 2;
/// What padding is copied from (RFC 4303 section 2.4): a cipher asks for 15 octets at most.
const PADDING: [u8; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Packets that are sealed together: as many as the segments of the largest GSO train.
const TOGETHER: usize = 64;

/// What is to be sealed: an inner IP packet without padding behind it, or a super-packet that stands for several.
#[derive(Clone, Copy)]
pub enum Clear<'p> {
    /// One packet.
    Packet(&'p [u8]),
    /// Its segments.
    Super(SuperPacket<'p>),
}

impl Clear<'_> {
    fn segments(&self) -> usize {
        match self {
            Self::Packet(_) => 1,
            Self::Super(packet) => packet.segments(),
        }
    }

    fn segment_len(&self, number: usize) -> usize {
        match self {
            Self::Packet(packet) => packet.len(),
            Self::Super(packet) => packet.segment_len(number),
        }
    }

    fn append_segment(&self, number: usize, out: &mut Vec<u8>) {
        match self {
            Self::Packet(packet) => out.extend_from_slice(packet),
            Self::Super(packet) => packet.append_segment(number, out),
        }
    }

    fn octets(&self) -> &[u8] {
        match self {
            Self::Packet(packet) => packet,
            Self::Super(packet) => packet.packet(),
        }
    }
}

/// ESP packets, one behind the other as they are sent.
#[derive(Debug, Default)]
pub struct SealedBatch {
    /// The octets of all.
    pub octets: Vec<u8>,
    /// Each of them.
    pub packets: Vec<Sealed>,
}

/// The outbound ESP SA of a Child SA.
#[derive(Debug)]
pub struct OutboundSa {
    spi: u32,
    cipher: EspSealer,
    esn: Esn,
    next: u64,
    packets: u64,
    bytes: u64,
}

/// A packet that was sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// Octets of the ESP packet, from the SPI to the end of the ICV.
    pub len: usize,
    /// What the outer header must carry: the inner field, copied (RFC 6040 section 4.1, normal mode).
    pub ecn: Ecn,
}

impl OutboundSa {
    /// An SA whose first packet carries the sequence number `first`: 1 for a fresh one; after a restart above everything that may
    /// have been used, as sequence number and IV are one counter. 0 counts as 1.
    #[must_use]
    pub fn new(spi: u32, cipher: EspSealer, esn: Esn, first: u64) -> Self {
        Self {
            spi,
            cipher,
            esn,
            next: first.max(1),
            packets: 0,
            bytes: 0,
        }
    }

    /// The peer's SPI.
    #[must_use]
    pub fn spi(&self) -> u32 {
        self.spi
    }

    /// The sequence number of the next packet. Above [`last_sequence`](Self::last_sequence) the SA is exhausted.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The last sequence number that may be used: 2^32-1, with Extended Sequence Numbers 2^64-2.
    #[must_use]
    pub fn last_sequence(&self) -> u64 {
        match self.esn {
            Esn::No => u32::MAX.into(),
            Esn::Yes => u64::MAX - 1,
        }
    }

    /// Packets sealed by this value.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Octets of the inner packets sealed by this value.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Octets of the ESP packet, from the SPI to the end of the ICV, for an inner packet of `inner_len` octets.
    #[must_use]
    pub fn sealed_len(&self, inner_len: usize) -> usize {
        let text = (inner_len + ESP_TRAILER).next_multiple_of(self.cipher.align());
        ESP_HEADER + self.cipher.iv_len() + text + self.cipher.icv_len()
    }

    /// Seals an inner IP packet (without padding behind it) and appends the ESP packet to `out`. Allocates only if the capacity
    /// of `out` does not do: reserve [`sealed_len`](Self::sealed_len). After an error `out` is as it was.
    ///
    /// # Errors
    /// [`DropReason::NotIp`]: neither IPv4 nor IPv6; [`DropReason::SaExhausted`]: the sequence numbers are used up, they never wrap
    /// (RFC 4303 section 3.3.3).
    pub fn seal(&mut self, inner: &[u8], out: &mut Vec<u8>) -> Result<Sealed, DropReason> {
        let ecn = Ecn::of(inner).ok_or(DropReason::NotIp)?;
        let seq = self.take_sequence()?;
        let start = out.len();
        self.lay_out(inner.len(), seq as u32, out, |out| {
            out.extend_from_slice(inner);
        });
        self.cipher.seal(&mut out[start..], self.esn_high(seq), seq);
        self.packets += 1;
        self.bytes += inner.len() as u64;
        let len = out.len() - start;
        Ok(Sealed { len, ecn })
    }

    /// Seals packets, each with all its segments, and appends them to `out`. Allocates only if the capacity of `out` does not do.
    ///
    /// # Errors
    /// As [`seal`](Self::seal), with the number of the packet that could not be sealed; those before it were.
    pub fn seal_batch(
        &mut self,
        packets: &[Clear<'_>],
        out: &mut SealedBatch,
    ) -> Result<(), (usize, DropReason)> {
        let mut group = Group::default();
        for (number, clear) in packets.iter().enumerate() {
            let ecn = Ecn::of(clear.octets());
            for segment in 0..clear.segments() {
                let taken = ecn.ok_or(DropReason::NotIp);
                let taken = taken.and_then(|ecn| Ok((ecn, self.take_sequence()?)));
                let (ecn, seq) = match taken {
                    Ok(taken) => taken,
                    Err(reason) => {
                        self.seal_group(&mut group, out);
                        return Err((number, reason));
                    }
                };
                if group.starts.is_full() {
                    self.seal_group(&mut group, out);
                }
                let start = out.octets.len();
                if group.starts.is_empty() {
                    group.first = seq;
                }
                group.starts.push(start);
                let inner_len = clear.segment_len(segment);
                self.lay_out(inner_len, seq as u32, &mut out.octets, |octets| {
                    clear.append_segment(segment, octets);
                });
                self.packets += 1;
                self.bytes += inner_len as u64;
                let len = out.octets.len() - start;
                out.packets.push(Sealed { len, ecn });
            }
        }
        self.seal_group(&mut group, out);
        Ok(())
    }

    /// Seals what was laid out, to the end of `out`.
    fn seal_group(&self, group: &mut Group, out: &mut SealedBatch) {
        let Some(begin) = group.starts.first().copied() else {
            return;
        };
        let mut batch = ArrayVec::<_, TOGETHER>::new();
        let mut rest = &mut out.octets[begin..];
        let ends = group.starts.iter().skip(1).copied();
        let mut at = begin;
        for (end, seq) in ends.chain([begin + rest.len()]).zip(group.first..) {
            let (packet, after) = rest.split_at_mut(end - at);
            (rest, at) = (after, end);
            batch.push(ToSeal {
                packet,
                esn_high: self.esn_high(seq),
                counter: seq,
            });
        }
        self.cipher.seal_batch(&mut batch);
        group.starts.clear();
    }

    fn esn_high(&self, seq: u64) -> Option<u32> {
        (self.esn == Esn::Yes).then_some((seq >> 32) as u32)
    }

    fn take_sequence(&mut self) -> Result<u64, DropReason> {
        if self.next > self.last_sequence() {
            return Err(DropReason::SaExhausted);
        }
        let seq = self.next;
        self.next += 1;
        Ok(seq)
    }

    /// Appends the packet in clear, with room for IV and ICV (RFC 4303 section 2). `inner` appends the inner packet.
    fn lay_out(
        &self,
        inner_len: usize,
        seq_low: u32,
        out: &mut Vec<u8>,
        inner: impl FnOnce(&mut Vec<u8>),
    ) {
        let total_len = out.len() + self.sealed_len(inner_len);
        let text_end = total_len - self.cipher.icv_len();
        out.reserve(total_len - out.len());
        out.extend_from_slice(&self.spi.to_be_bytes());
        out.extend_from_slice(&seq_low.to_be_bytes());
        out.resize(out.len() + self.cipher.iv_len(), 0);
        let inner_at = out.len();
        inner(out);
        let next_header = match out.get(inner_at) {
            Some(first) if first >> 4 == 6 => protocol::IPV6,
            _ => protocol::IPV4,
        };
        let pad_len = text_end - ESP_TRAILER - out.len();
        out.extend_from_slice(&PADDING[..pad_len]);
        out.extend_from_slice(&[pad_len as u8, next_header]);
        out.resize(total_len, 0);
    }
}

/// Packets that are laid out and not sealed yet.
#[derive(Default)]
struct Group {
    /// The sequence number of the first.
    first: u64,
    /// Where each begins.
    starts: ArrayVec<usize, TOGETHER>,
}
