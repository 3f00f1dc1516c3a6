//! The Notify payload (RFC 7296 section 3.10).

use crate::registry::{NotifyType, ProtocolId};
use crate::wire::{Reader, count_u8};

/// A Notify payload (RFC 7296 section 3.10).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notify {
    /// The protocol of the SA it is about; none where it has no SPI.
    pub protocol: ProtocolId,
    /// The SPI of the Child SA it is about: empty, or four octets.
    pub spi: Vec<u8>,
    /// What it says.
    pub kind: NotifyType,
    /// Data of its kind.
    pub data: Vec<u8>,
}

impl Notify {
    /// A notification about no Child SA, with data (RFC 7296 section 3.10).
    #[must_use]
    pub const fn status(kind: NotifyType, data: Vec<u8>) -> Self {
        Self {
            protocol: ProtocolId::None,
            spi: Vec::new(),
            kind,
            data,
        }
    }

    /// A notification about no Child SA, without data (RFC 7296 section 3.10).
    #[must_use]
    pub const fn error(kind: NotifyType) -> Self {
        Self::status(kind, Vec::new())
    }

    /// A notification about an ESP SA: REKEY_SA, CHILD_SA_NOT_FOUND, INVALID_SELECTORS (RFC 7296 section 3.10).
    #[must_use]
    pub fn about_esp(kind: NotifyType, spi: u32) -> Self {
        Self {
            protocol: ProtocolId::Esp,
            spi: spi.to_be_bytes().to_vec(),
            kind,
            data: Vec::new(),
        }
    }

    /// The SPI, if it is about an ESP SA (RFC 7296 section 3.10).
    #[must_use]
    pub fn esp_spi(&self) -> Option<u32> {
        let spi = self.spi.as_slice().try_into().ok()?;
        (self.protocol == ProtocolId::Esp).then_some(u32::from_be_bytes(spi))
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let mut reader = Reader::new(body);
        let mut fields = || {
            let protocol = ProtocolId::from_u8(reader.u8()?);
            let spi_size = reader.u8()?;
            let kind = NotifyType::from_u16(reader.u16()?);
            Some((protocol, kind, reader.octets(spi_size.into())?))
        };
        let (protocol, kind, spi) = fields().ok_or("too short")?;
        Ok(Self {
            protocol,
            spi: spi.to_vec(),
            kind,
            data: reader.rest().to_vec(),
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.protocol.to_u8());
        out.push(count_u8(self.spi.len()));
        out.extend_from_slice(&self.kind.to_u16().to_be_bytes());
        out.extend_from_slice(&self.spi);
        out.extend_from_slice(&self.data);
    }
}
