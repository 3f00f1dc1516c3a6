//! The chain of payloads behind their generic headers (RFC 7296 section 3.2).

use super::{Notify, Payload};
use crate::registry::{NotifyType, PayloadType};
use crate::wire::{Reader, with_length};
use hawser_flight::MessageError;

/// The most payloads of one message. RFC 7296 sets no limit; IKE_AUTH with many certificates has about 30.
pub const MAX_PAYLOADS: usize = 64;

const GENERIC_HEADER: usize = 4;
const CRITICAL: u8 = 0x80;

/// Why a chain of payloads was refused (RFC 7296 sections 2.5 and 2.21).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseError {
    /// A payload of this unknown type has the critical bit (RFC 7296 section 2.5).
    #[error("payload type {0} is critical and not known")]
    CriticalPayload(u8),
    /// A payload of this type makes no sense, and what is wrong with it (RFC 7296 section 2.21).
    #[error("payload {0}: {1}")]
    Bad(PayloadType, &'static str),
}

impl ParseError {
    /// The notification that answers it: UNSUPPORTED_CRITICAL_PAYLOAD with the type as data (RFC 7296 section 2.5), or
    /// INVALID_SYNTAX (RFC 7296 section 2.21). To be sent only where RFC 7296 section 2.21 allows it.
    #[must_use]
    pub fn notify(self) -> Notify {
        match self {
            Self::CriticalPayload(kind) => {
                Notify::status(NotifyType::UnsupportedCriticalPayload, vec![kind])
            }
            Self::Bad(..) => Notify::error(NotifyType::InvalidSyntax),
        }
    }
}

impl From<ParseError> for MessageError {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::CriticalPayload(_) => Self::CriticalPayload,
            ParseError::Bad(..) => Self::BadPayload,
        }
    }
}

/// Reads the payloads of a message in clear, or of a decrypted one (RFC 7296 section 3.2). `first` is the type of the first.
///
/// # Errors
/// A payload that makes no sense, more than [`MAX_PAYLOADS`], octets behind the last, an Encrypted payload, or an unknown
/// one with the critical bit. Of several the first counts.
pub fn parse_chain(first: PayloadType, body: &[u8]) -> Result<Vec<Payload>, ParseError> {
    let mut payloads = Vec::new();
    let mut kind = first;
    let mut reader = Reader::new(body);
    while kind != PayloadType::None {
        if payloads.len() == MAX_PAYLOADS {
            return Err(ParseError::Bad(kind, "too many payloads"));
        }
        let (next, payload) = parse_one(kind, &mut reader)?;
        payloads.push(payload);
        kind = next;
    }
    if !reader.is_empty() {
        return Err(ParseError::Bad(kind, "octets behind the last payload"));
    }
    Ok(payloads)
}

fn parse_one(
    kind: PayloadType,
    reader: &mut Reader<'_>,
) -> Result<(PayloadType, Payload), ParseError> {
    let bad = |what| ParseError::Bad(kind, what);
    let (next, critical, body) = generic(reader).ok_or(bad("length"))?;
    match kind {
        // They are opened before, never inside one another (RFC 7296 section 3.14).
        PayloadType::Encrypted | PayloadType::EncryptedFragment => Err(bad("encrypted payload")),
        PayloadType::Unknown(number) if critical => Err(ParseError::CriticalPayload(number)),
        // "MUST be ignored by the recipient if the recipient understands the payload type" (RFC 7296 section 3.2).
        _ => Ok((next, Payload::parse(kind, critical, body).map_err(bad)?)),
    }
}

fn generic<'a>(reader: &mut Reader<'a>) -> Option<(PayloadType, bool, &'a [u8])> {
    let next = PayloadType::from_u8(reader.u8()?);
    let critical = reader.u8()? & CRITICAL != 0;
    let length = reader.u16()?;
    Some((next, critical, reader.body(length, GENERIC_HEADER)?))
}

/// Writes payloads with their generic headers; returns the type of the first too (RFC 7296 section 3.2).
#[must_use]
pub fn encode_chain(payloads: &[Payload]) -> (PayloadType, Vec<u8>) {
    let kind_at = |i: usize| payloads.get(i).map_or(PayloadType::None, Payload::kind);
    let mut out = Vec::new();
    for (i, payload) in payloads.iter().enumerate() {
        // The payloads of RFC 7296 are never critical: section 3.2.
        let critical = matches!(payload, Payload::Other { critical: true, .. });
        let start = out.len();
        let flags = if critical { CRITICAL } else { 0 };
        out.extend_from_slice(&[kind_at(i + 1).to_u8(), flags, 0, 0]);
        with_length(&mut out, start, start + 2, |out| payload.encode(out));
    }
    (kind_at(0), out)
}
