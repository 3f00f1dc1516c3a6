//! The IKE header (RFC 7296 section 3.1).

use crate::registry::{ExchangeType, PayloadType};
use crate::wire::Reader;
use hawser_flight::MessageError;

/// The flags of the header (RFC 7296 section 3.1). Reserved bits are ignored and sent as zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Flags {
    /// I: the sender is the Initiator of the IKE SA (of its last rekeying).
    pub initiator: bool,
    /// R: a response, not a request.
    pub response: bool,
    /// V: the sender could speak a higher major version.
    pub version: bool,
}

impl Flags {
    const INITIATOR: u8 = 0x08;
    const VERSION: u8 = 0x10;
    const RESPONSE: u8 = 0x20;

    /// From the octet of the header (RFC 7296 section 3.1).
    #[must_use]
    pub const fn from_u8(octet: u8) -> Self {
        Self {
            initiator: octet & Self::INITIATOR != 0,
            response: octet & Self::RESPONSE != 0,
            version: octet & Self::VERSION != 0,
        }
    }

    /// The octet of the header (RFC 7296 section 3.1).
    #[must_use]
    pub const fn to_u8(self) -> u8 {
        let mut octet = 0;
        if self.initiator {
            octet |= Self::INITIATOR;
        }
        if self.response {
            octet |= Self::RESPONSE;
        }
        if self.version {
            octet |= Self::VERSION;
        }
        octet
    }
}

/// The header of an IKE message (RFC 7296 section 3.1), without the non-ESP marker.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// SPI of the Initiator.
    pub spi_i: u64,
    /// SPI of the Responder; zero in the first message.
    pub spi_r: u64,
    /// Type of the first payload.
    pub next_payload: PayloadType,
    /// Major version: 2. Not checked here, for INVALID_MAJOR_VERSION is the caller's to send (RFC 7296 section 2.5).
    pub major: u8,
    /// Minor version: 0; ignored on receipt (RFC 7296 section 2.5).
    pub minor: u8,
    /// Exchange type.
    pub exchange: ExchangeType,
    /// Flags.
    pub flags: Flags,
    /// Message ID.
    pub message_id: u32,
    /// Octets of the whole message.
    pub length: u32,
}

impl Header {
    /// Octets of the header (RFC 7296 section 3.1).
    pub const LEN: usize = 28;

    /// A header for a message to be sent (RFC 7296 section 3.1): version 2.0; whoever encodes the message sets first payload and length.
    #[must_use]
    pub const fn new(
        spi_i: u64,
        spi_r: u64,
        exchange: ExchangeType,
        flags: Flags,
        message_id: u32,
    ) -> Self {
        Self {
            spi_i,
            spi_r,
            next_payload: PayloadType::None,
            major: 2,
            minor: 0,
            exchange,
            flags,
            message_id,
            length: 0,
        }
    }

    /// Reads the header of a datagram, non-ESP marker removed (RFC 7296 section 3.1).
    ///
    /// # Errors
    /// [`MessageError::BadLength`]: shorter than a header, or the length field disagrees with the datagram.
    pub fn parse(datagram: &[u8]) -> Result<Self, MessageError> {
        let header = Self::read(datagram).ok_or(MessageError::BadLength)?;
        if usize::try_from(header.length) != Ok(datagram.len()) {
            return Err(MessageError::BadLength);
        }
        Ok(header)
    }

    fn read(datagram: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(datagram);
        let (spi_i, spi_r) = (reader.u64()?, reader.u64()?);
        let next_payload = PayloadType::from_u8(reader.u8()?);
        let version = reader.u8()?;
        Some(Self {
            spi_i,
            spi_r,
            next_payload,
            major: version >> 4,
            minor: version & 0x0f,
            exchange: ExchangeType::from_u8(reader.u8()?),
            flags: Flags::from_u8(reader.u8()?),
            message_id: reader.u32()?,
            length: reader.u32()?,
        })
    }

    /// Appends the header as it is, length and first payload included (RFC 7296 section 3.1).
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.spi_i.to_be_bytes());
        out.extend_from_slice(&self.spi_r.to_be_bytes());
        out.push(self.next_payload.to_u8());
        out.push(self.major << 4 | self.minor & 0x0f);
        out.push(self.exchange.to_u8());
        out.push(self.flags.to_u8());
        out.extend_from_slice(&self.message_id.to_be_bytes());
        out.extend_from_slice(&self.length.to_be_bytes());
    }
}
