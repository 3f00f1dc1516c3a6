//! A whole IKE message: header and payloads (RFC 7296 section 3).

use crate::header::Header;
use crate::payload::{
    AuthPayload, Delete, KePayload, Notify, ParseError, Payload, SaPayload, encode_chain,
    parse_chain,
};
use crate::registry::{NotifyType, PayloadType};
use hawser_flight::MessageError;
use hawser_policy::{Identity, TrafficSelector};

/// A message in clear, or one that was decrypted (RFC 7296 section 3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The header. Its first payload and length are those of the wire; encoding sets them anew.
    pub header: Header,
    /// The payloads in their order.
    pub payloads: Vec<Payload>,
}

/// The content of the first payload of a variant.
macro_rules! first {
    ($message:expr, $variant:ident) => {
        $message.payloads.iter().find_map(|payload| match payload {
            Payload::$variant(content) => Some(content),
            _ => None,
        })
    };
}

impl Message {
    /// Reads a message in clear: IKE_SA_INIT, or an error outside of an IKE SA (RFC 7296 sections 1.2 and 1.5).
    ///
    /// Who answers UNSUPPORTED_CRITICAL_PAYLOAD takes [`Header::parse`] and [`parse_chain`] apart: their error says which.
    ///
    /// # Errors
    /// `BadLength`, `BadPayload` (an Encrypted payload too), `CriticalPayload`.
    pub fn parse_clear(datagram: &[u8]) -> Result<Self, MessageError> {
        let header = Header::parse(datagram)?;
        let body = datagram.get(Header::LEN..).unwrap_or_default();
        Ok(Self::from_chain(header, header.next_payload, body)?)
    }

    /// Reads the payloads of an opened message, `first` being the type of the first (RFC 7296 section 3.14).
    ///
    /// # Errors
    /// As [`parse_chain`].
    pub fn from_chain(header: Header, first: PayloadType, body: &[u8]) -> Result<Self, ParseError> {
        let payloads = parse_chain(first, body)?;
        Ok(Self { header, payloads })
    }

    /// The datagram in clear, without the non-ESP marker; sets first payload and length (RFC 7296 section 3.1).
    #[must_use]
    pub fn encode_clear(&self) -> Vec<u8> {
        let (next_payload, body) = encode_chain(&self.payloads);
        let length = Header::LEN + body.len();
        let mut out = Vec::with_capacity(length);
        let header = Header {
            next_payload,
            length: u32::try_from(length).unwrap_or(u32::MAX),
            ..self.header
        };
        header.encode(&mut out);
        out.extend_from_slice(&body);
        out
    }

    /// The Security Association payload (RFC 7296 section 3.3).
    #[must_use]
    pub fn sa(&self) -> Option<&SaPayload> {
        first!(self, Sa)
    }

    /// The Key Exchange payload (RFC 7296 section 3.4).
    #[must_use]
    pub fn ke(&self) -> Option<&KePayload> {
        first!(self, Ke)
    }

    /// The nonce (RFC 7296 section 3.9).
    #[must_use]
    pub fn nonce(&self) -> Option<&[u8]> {
        first!(self, Nonce).map(Vec::as_slice)
    }

    /// IDi (RFC 7296 section 3.5).
    #[must_use]
    pub fn id_i(&self) -> Option<&Identity> {
        first!(self, IdI)
    }

    /// IDr (RFC 7296 section 3.5).
    #[must_use]
    pub fn id_r(&self) -> Option<&Identity> {
        first!(self, IdR)
    }

    /// The Authentication payload (RFC 7296 section 3.8).
    #[must_use]
    pub fn auth(&self) -> Option<&AuthPayload> {
        first!(self, Auth)
    }

    /// TSi (RFC 7296 section 3.13).
    #[must_use]
    pub fn ts_i(&self) -> Option<&[TrafficSelector]> {
        first!(self, TsI).map(Vec::as_slice)
    }

    /// TSr (RFC 7296 section 3.13).
    #[must_use]
    pub fn ts_r(&self) -> Option<&[TrafficSelector]> {
        first!(self, TsR).map(Vec::as_slice)
    }

    /// Every notification, in order (RFC 7296 section 3.10).
    pub fn notifies(&self) -> impl Iterator<Item = &Notify> {
        self.payloads.iter().filter_map(|payload| match payload {
            Payload::Notify(notify) => Some(notify),
            _ => None,
        })
    }

    /// The first notification of a kind (RFC 7296 section 3.10).
    #[must_use]
    pub fn notify(&self, kind: NotifyType) -> Option<&Notify> {
        self.notifies().find(|notify| notify.kind == kind)
    }

    /// The first notification of an error (RFC 7296 section 3.10.1).
    #[must_use]
    pub fn error(&self) -> Option<&Notify> {
        self.notifies().find(|notify| notify.kind.is_error())
    }

    /// Every Delete payload, in order (RFC 7296 section 3.11).
    pub fn deletes(&self) -> impl Iterator<Item = &Delete> {
        self.payloads.iter().filter_map(|payload| match payload {
            Payload::Delete(delete) => Some(delete),
            _ => None,
        })
    }
}
