//! The Delete payload (RFC 7296 section 3.11).

use crate::registry::ProtocolId;
use crate::wire::Reader;

/// A Delete payload (RFC 7296 section 3.11). The SPIs are those of the sender's inbound SAs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Delete {
    /// The IKE SA that carries it.
    Ike,
    /// ESP SAs.
    Esp(Vec<u32>),
    /// AH SAs; we never have any.
    Ah(Vec<u32>),
}

impl Delete {
    pub(super) fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let mut reader = Reader::new(body);
        let mut fields = || Some((reader.u8()?, reader.u8()?, reader.u16()?));
        let (protocol, spi_size, count) = fields().ok_or("too short")?;
        let octets = reader.rest();
        match ProtocolId::from_u8(protocol) {
            // The header names the IKE SA. Without SPIs their count says nothing, so it is not looked at.
            ProtocolId::Ike if spi_size == 0 && octets.is_empty() => Ok(Self::Ike),
            ProtocolId::Ike => Err("SPI for an IKE SA"),
            ProtocolId::Esp => parse_spis(spi_size, count, octets).map(Self::Esp),
            ProtocolId::Ah => parse_spis(spi_size, count, octets).map(Self::Ah),
            ProtocolId::None | ProtocolId::Unknown(_) => Err("protocol not known"),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (protocol, spis) = match self {
            Self::Ike => {
                out.extend_from_slice(&[ProtocolId::Ike.to_u8(), 0, 0, 0]);
                return;
            }
            Self::Esp(spis) => (ProtocolId::Esp, spis),
            Self::Ah(spis) => (ProtocolId::Ah, spis),
        };
        out.extend_from_slice(&[protocol.to_u8(), 4]);
        let count = u16::try_from(spis.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&count.to_be_bytes());
        out.extend(spis.iter().flat_map(|spi| spi.to_be_bytes()));
    }
}

fn parse_spis(spi_size: u8, count: u16, octets: &[u8]) -> Result<Vec<u32>, &'static str> {
    let (spis, rest) = octets.as_chunks();
    if spi_size != 4 || !rest.is_empty() || spis.len() != usize::from(count) {
        return Err("SPI size or count");
    }
    Ok(spis.iter().map(|spi| u32::from_be_bytes(*spi)).collect())
}
