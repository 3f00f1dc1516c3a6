//! The payloads, one file each, and the chain that they form (RFC 7296 section 3.2).
//!
//! Adding a payload: its file, one line in each table of [`Payload`] here, one row in [`crate::rules`].

mod auth;
mod chain;
mod delete;
pub mod id;
mod ke;
mod nonce;
mod notify;
mod sa;
mod ts;
mod vendor;

pub use auth::AuthPayload;
pub use chain::{MAX_PAYLOADS, ParseError, encode_chain, parse_chain};
pub use delete::Delete;
pub use ke::KePayload;
pub use notify::Notify;
pub use sa::{Proposal, SaPayload, Transform};

use crate::registry::PayloadType;
use hawser_policy::{Identity, TrafficSelector};

/// One payload (RFC 7296 section 3.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// Security Association (RFC 7296 section 3.3).
    Sa(SaPayload),
    /// Key Exchange (RFC 7296 section 3.4).
    Ke(KePayload),
    /// Identification of the Initiator (RFC 7296 section 3.5).
    IdI(Identity),
    /// Identification of the Responder (RFC 7296 section 3.5).
    IdR(Identity),
    /// Authentication (RFC 7296 section 3.8).
    Auth(AuthPayload),
    /// Ni or Nr, 16 to 256 octets (RFC 7296 section 3.9).
    Nonce(Vec<u8>),
    /// Notify (RFC 7296 section 3.10).
    Notify(Notify),
    /// Delete (RFC 7296 section 3.11).
    Delete(Delete),
    /// Vendor ID (RFC 7296 section 3.12).
    VendorId(Vec<u8>),
    /// Traffic Selectors of the Initiator (RFC 7296 section 3.13).
    TsI(Vec<TrafficSelector>),
    /// Traffic Selectors of the Responder (RFC 7296 section 3.13).
    TsR(Vec<TrafficSelector>),
    /// A payload that is kept without being understood: CERT, CERTREQ, CP, EAP, and types unknown (RFC 7296 section 2.5).
    Other {
        /// Its type.
        kind: PayloadType,
        /// The critical bit.
        critical: bool,
        /// What follows the generic header.
        body: Vec<u8>,
    },
}

impl Payload {
    /// The type (RFC 7296 section 3.2).
    #[must_use]
    pub const fn kind(&self) -> PayloadType {
        match self {
            Self::Sa(_) => PayloadType::Sa,
            Self::Ke(_) => PayloadType::Ke,
            Self::IdI(_) => PayloadType::IdI,
            Self::IdR(_) => PayloadType::IdR,
            Self::Auth(_) => PayloadType::Auth,
            Self::Nonce(_) => PayloadType::Nonce,
            Self::Notify(_) => PayloadType::Notify,
            Self::Delete(_) => PayloadType::Delete,
            Self::VendorId(_) => PayloadType::VendorId,
            Self::TsI(_) => PayloadType::TsI,
            Self::TsR(_) => PayloadType::TsR,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// Reads what follows the generic header. A payload of a type that is not ours to understand is `Other`.
    fn parse(kind: PayloadType, critical: bool, body: &[u8]) -> Result<Self, &'static str> {
        Ok(match kind {
            PayloadType::Sa => Self::Sa(SaPayload::parse(body)?),
            PayloadType::Ke => Self::Ke(KePayload::parse(body)?),
            PayloadType::IdI => Self::IdI(id::parse(body)?),
            PayloadType::IdR => Self::IdR(id::parse(body)?),
            PayloadType::Auth => Self::Auth(AuthPayload::parse(body)?),
            PayloadType::Nonce => Self::Nonce(nonce::parse(body)?),
            PayloadType::Notify => Self::Notify(Notify::parse(body)?),
            PayloadType::Delete => Self::Delete(Delete::parse(body)?),
            PayloadType::VendorId => Self::VendorId(vendor::parse(body)),
            PayloadType::TsI => Self::TsI(ts::parse(body)?),
            PayloadType::TsR => Self::TsR(ts::parse(body)?),
            PayloadType::None
            | PayloadType::Cert
            | PayloadType::CertReq
            | PayloadType::Encrypted
            | PayloadType::Configuration
            | PayloadType::Eap
            | PayloadType::EncryptedFragment
            | PayloadType::Unknown(_) => Self::Other {
                kind,
                critical,
                body: body.to_vec(),
            },
        })
    }

    /// Writes what follows the generic header.
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Sa(sa) => sa.encode(out),
            Self::Ke(ke) => ke.encode(out),
            Self::IdI(id) | Self::IdR(id) => id::encode(id, out),
            Self::Auth(auth) => auth.encode(out),
            Self::Nonce(octets) => nonce::encode(octets, out),
            Self::Notify(notify) => notify.encode(out),
            Self::Delete(delete) => delete.encode(out),
            Self::VendorId(octets) => vendor::encode(octets, out),
            Self::TsI(selectors) | Self::TsR(selectors) => ts::encode(selectors, out),
            Self::Other { body, .. } => out.extend_from_slice(body),
        }
    }
}
