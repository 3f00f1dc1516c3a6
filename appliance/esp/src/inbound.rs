//! Opening ESP packets (RFC 4303 section 3.4, RFC 4301 section 5.2).

use crate::packet::{Ecn, PacketInfo, protocol};
use crate::replay::ReplayWindow;
use arrayvec::ArrayVec;
use hawser_crypto::{EspOpener, OpenError, ToOpen};
use hawser_flight::DropReason;
use hawser_policy::{Esn, TrafficSelector};
use std::ops::Range;
use std::time::Instant;

/// Packets that are opened together.
const TOGETHER: usize = 64;

/// The inbound ESP SA of a Child SA.
#[derive(Debug)]
pub struct InboundSa {
    spi: u32,
    cipher: EspOpener,
    esn: Esn,
    replay: ReplayWindow,
    local: Box<[TrafficSelector]>,
    remote: Box<[TrafficSelector]>,
    packets: u64,
    bytes: u64,
    last_seen: Option<Instant>,
}

/// A packet that was opened.
#[derive(PartialEq, Eq, Debug)]
pub struct Opened<'p> {
    /// The inner IP packet, without padding of any kind and with the ECN field that it carries on; empty of a dummy.
    pub inner: &'p mut [u8],
    /// Octets of the ESP packet.
    pub len: usize,
    /// Whether its sequence number is above all seen before: only such a packet may move an endpoint.
    pub newest: bool,
    /// Whether it is a dummy packet (RFC 4303 section 2.6): authentic, and nothing to forward.
    pub dummy: bool,
}

impl InboundSa {
    /// An SA without traffic so far. `local` are the selectors on our side, which an inner destination must match; `remote` those
    /// on the peer's, for the inner source.
    #[must_use]
    pub fn new(
        spi: u32,
        cipher: EspOpener,
        esn: Esn,
        replay: ReplayWindow,
        local: &[TrafficSelector],
        remote: &[TrafficSelector],
    ) -> Self {
        Self {
            spi,
            cipher,
            esn,
            replay,
            local: local.into(),
            remote: remote.into(),
            packets: 0,
            bytes: 0,
            last_seen: None,
        }
    }

    /// The SPI by which packets find this SA.
    #[must_use]
    pub fn spi(&self) -> u32 {
        self.spi
    }

    /// Authentic packets, dummies and those dropped after decryption included.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Octets that those packets carried between IV and Pad Length: inner packets with their padding.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the last authentic packet came.
    #[must_use]
    pub fn last_seen(&self) -> Option<Instant> {
        self.last_seen
    }

    /// The anti-replay window, for instance to keep its highest number over a restart.
    #[must_use]
    pub fn replay(&self) -> &ReplayWindow {
        &self.replay
    }

    /// Selectors on our side.
    #[must_use]
    pub fn local(&self) -> &[TrafficSelector] {
        &self.local
    }

    /// Selectors on the peer's side.
    #[must_use]
    pub fn remote(&self) -> &[TrafficSelector] {
        &self.remote
    }

    /// Authenticates and decrypts in place. `packet` runs from the SPI to the end of the ICV; `outer_ecn` is the field of the
    /// outer IP header; `now` becomes [`last_seen`](Self::last_seen) of an authentic packet.
    ///
    /// After an error the content of `packet` is unspecified.
    ///
    /// # Errors
    /// * [`DropReason::TooShort`]: shorter than its algorithms need, or not whole blocks.
    /// * [`DropReason::Replayed`], [`DropReason::OutsideWindow`]: see [`ReplayWindow::check`].
    /// * [`DropReason::IntegrityFailed`]: not authentic, or of another SPI.
    /// * [`DropReason::Malformed`]: padding, next header or inner header make no sense.
    /// * [`DropReason::EcnCongestion`]: the outer header says Congestion Experienced and the inner transport is not ECN-capable
    ///   (RFC 6040 section 4.2).
    /// * [`DropReason::SelectorMismatch`]: the inner packet is none that this SA was negotiated for.
    ///
    /// The last three count as authentic traffic.
    pub fn open<'p>(
        &mut self,
        packet: &'p mut [u8],
        outer_ecn: Ecn,
        now: Instant,
    ) -> Result<Opened<'p>, DropReason> {
        let seq = self.sequence(packet)?;
        self.replay.check(seq)?;
        let text = self
            .cipher
            .open(packet, self.esn_high(seq))
            .map_err(drop_reason)?;
        self.admit(packet, text, seq, outer_ecn, now)
    }

    /// Opens packets as [`open`](Self::open) does each, in order, and much faster where the suite is CBC with HMAC. `each` is told what came
    /// of every one.
    pub fn open_batch<'p>(
        &mut self,
        packets: impl IntoIterator<Item = &'p mut [u8]>,
        outer_ecn: Ecn,
        now: Instant,
        mut each: impl FnMut(Result<Opened<'p>, DropReason>),
    ) {
        let mut packets = packets.into_iter();
        loop {
            let mut sequences = ArrayVec::<_, TOGETHER>::new();
            let mut batch = ArrayVec::<_, TOGETHER>::new();
            for packet in packets.by_ref().take(TOGETHER) {
                let seq = self.sequence(packet);
                match seq.and_then(|seq| self.replay.check(seq).map(|()| seq)) {
                    Ok(seq) => {
                        batch.push(ToOpen::new(packet, self.esn_high(seq)));
                        sequences.push(seq);
                    }
                    Err(reason) => each(Err(reason)),
                }
            }
            if batch.is_empty() {
                return;
            }
            self.cipher.open_batch(&mut batch);
            for (one, seq) in batch.into_iter().zip(sequences) {
                let text = one.text.map_err(drop_reason);
                each(text.and_then(|text| self.admit(one.packet, text, seq, outer_ecn, now)));
            }
        }
    }

    /// What is left to do with an authentic packet. Of two with one number the second is refused here.
    fn admit<'p>(
        &mut self,
        packet: &'p mut [u8],
        text: Range<usize>,
        seq: u64,
        outer_ecn: Ecn,
        now: Instant,
    ) -> Result<Opened<'p>, DropReason> {
        let newest = self.replay.commit(seq)?;
        let len = packet.len();
        self.last_seen = Some(now);
        let text = packet.get_mut(text).ok_or(DropReason::Malformed)?;
        self.packets += 1;
        self.bytes += text.len().saturating_sub(2) as u64;
        let (payload, next_header) = strip_trailer(text)?;
        if next_header == protocol::NO_NEXT_HEADER {
            let inner = &mut [];
            return Ok(Opened {
                inner,
                len,
                newest,
                dummy: true,
            });
        }
        let inner = &mut text[payload];
        let length = self.accept(inner, next_header, outer_ecn)?;
        let inner = &mut inner[..length];
        Ok(Opened {
            inner,
            len,
            newest,
            dummy: false,
        })
    }

    /// The sequence number of a packet, all of its 64 bits.
    fn sequence(&self, packet: &[u8]) -> Result<u64, DropReason> {
        let header = packet.first_chunk::<8>().ok_or(DropReason::TooShort)?;
        let low = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        Ok(match self.esn {
            Esn::No => low.into(),
            Esn::Yes => self.replay.infer(low),
        })
    }

    fn esn_high(&self, seq: u64) -> Option<u32> {
        (self.esn == Esn::Yes).then_some((seq >> 32) as u32)
    }

    /// Checks an inner packet and decapsulates its ECN field. Returns its length without TFC padding (RFC 4303 section 2.7).
    fn accept(
        &self,
        inner: &mut [u8],
        next_header: u8,
        outer_ecn: Ecn,
    ) -> Result<usize, DropReason> {
        let info = PacketInfo::parse(inner).ok_or(DropReason::Malformed)?;
        let expected = match next_header {
            protocol::IPV4 => info.source.is_ipv4(),
            protocol::IPV6 => info.source.is_ipv6(),
            _ => false,
        };
        if !expected {
            return Err(DropReason::Malformed);
        }
        if !self.covers(&info) {
            return Err(DropReason::SelectorMismatch);
        }
        let ecn = Ecn::decapsulate(info.ecn, outer_ecn).ok_or(DropReason::EcnCongestion)?;
        if ecn != info.ecn {
            ecn.write(inner);
        }
        Ok(info.total_len)
    }

    fn covers(&self, info: &PacketInfo) -> bool {
        self.remote
            .iter()
            .any(|ts| ts.matches(info.source, info.protocol, info.source_port))
            && self
                .local
                .iter()
                .any(|ts| ts.matches(info.destination, info.protocol, info.destination_port))
    }
}

fn drop_reason(error: OpenError) -> DropReason {
    match error {
        OpenError::Length => DropReason::TooShort,
        OpenError::Integrity => DropReason::IntegrityFailed,
        OpenError::Padding => DropReason::Malformed,
    }
}

/// Where the payload lies, and the next header. The padding must count 1, 2, 3 and on (RFC 4303 section 2.4).
fn strip_trailer(text: &[u8]) -> Result<(Range<usize>, u8), DropReason> {
    let [body @ .., pad_len, next_header] = text else {
        return Err(DropReason::Malformed);
    };
    let payload_len = body
        .len()
        .checked_sub(usize::from(*pad_len))
        .ok_or(DropReason::Malformed)?;
    let counts = body[payload_len..]
        .iter()
        .zip(1..=u8::MAX)
        .all(|(octet, count)| *octet == count);
    if !counts {
        return Err(DropReason::Malformed);
    }
    Ok((0..payload_len, *next_header))
}
