//! Packets as pcapng, piece by piece: what is written is taken away and sent.

use super::datagram;
use hawser_shard::capture::Packet;
use hyper::body::Bytes;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::interface_statistics::{
    InterfaceStatisticsBlock, InterfaceStatisticsOption,
};
use pcap_file::{DataLink, Endianness, PcapResult};
use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Times are in nanoseconds: ten to the minus this.
const RESOLUTION: u8 = 9;

/// A capture in the making.
pub(crate) struct Capture {
    writer: PcapNgWriter<Vec<u8>>,
    /// Octets that were taken away.
    taken: u64,
}

impl Capture {
    /// The beginning of the file; `of` says whose packets are in it.
    pub(crate) fn begin(of: &str) -> PcapResult<Self> {
        // The one in which the crate writes the time of a statistics block as pcapng wants it.
        let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Big)?;
        writer.write_pcapng_block(InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed("hawser")),
                InterfaceDescriptionOption::IfDescription(Cow::Borrowed(of)),
                InterfaceDescriptionOption::IfTsResol(RESOLUTION),
            ],
        })?;
        Ok(Self { writer, taken: 0 })
    }

    /// A packet, as it was at a time.
    pub(crate) fn packet(&mut self, at: SystemTime, packet: &Packet) -> PcapResult<()> {
        let Some(ip) = datagram::of(packet) else {
            return Ok(());
        };
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: since_1970(at),
            original_len: u32::try_from(ip.len()).unwrap_or(u32::MAX),
            data: Cow::Owned(ip),
            options: Vec::new(),
        };
        self.writer.write_pcapng_block(block).map(drop)
    }

    /// The end: how many packets there were, and how many of them are missing here.
    pub(crate) fn end(&mut self, at: SystemTime, seen: u64, lost: u64) -> PcapResult<()> {
        let block = InterfaceStatisticsBlock {
            interface_id: 0,
            timestamp: u64::try_from(since_1970(at).as_nanos()).unwrap_or(u64::MAX),
            options: vec![
                InterfaceStatisticsOption::IsbIfRecv(seen),
                InterfaceStatisticsOption::IsbIfDrop(lost),
            ],
        };
        self.writer.write_pcapng_block(block).map(drop)
    }

    /// What was written since the last call.
    pub(crate) fn take(&mut self) -> Bytes {
        let piece = std::mem::take(self.writer.get_mut());
        self.taken += piece.len() as u64;
        Bytes::from(piece)
    }

    /// Octets that are to be taken away.
    pub(crate) fn pending(&self) -> usize {
        self.writer.get_ref().len()
    }

    /// Octets of the file up to now.
    pub(crate) fn octets(&self) -> u64 {
        self.taken + self.pending() as u64
    }
}

fn since_1970(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use hawser_esp::packet::Ecn;
    use hawser_flight::Path;
    use pcap_file::pcapng::{Block, PcapNgReader};

    #[test]
    fn what_is_written_in_pieces_is_read_as_one_file() {
        let at = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
        let packet = Packet {
            inbound: true,
            path: Path {
                local: "192.0.2.1:4500".parse().unwrap(),
                remote: "198.51.100.7:8192".parse().unwrap(),
                encapsulated: true,
            },
            ecn: Ecn::NotEct,
            payload: vec![7; 21],
            left_out: 0,
        };
        let mut capture = Capture::begin("test (198.51.100.7/8192)").unwrap();
        let mut file = capture.take().to_vec();
        for _ in 0..2 {
            capture.packet(at, &packet).unwrap();
            file.extend_from_slice(&capture.take());
        }
        capture.end(at, 5, 3).unwrap();
        assert_eq!(capture.octets(), (file.len() + capture.take().len()) as u64);
        let mut reader = PcapNgReader::new(file.as_slice()).unwrap();
        let mut packets = 0;
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(read) = block.unwrap() {
                assert_eq!(read.timestamp, since_1970(at));
                assert_eq!(read.data.len(), 20 + 8 + 21);
                packets += 1;
            }
        }
        assert_eq!(packets, 2);
    }
}
