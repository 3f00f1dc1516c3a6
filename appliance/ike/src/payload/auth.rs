//! The Authentication payload (RFC 7296 section 3.8).

use crate::registry::AuthMethod;
use crate::wire::Reader;

/// An Authentication payload (RFC 7296 section 3.8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthPayload {
    /// How the data was made.
    pub method: AuthMethod,
    /// Signature or MAC (RFC 7296 section 2.15).
    pub data: Vec<u8>,
}

impl AuthPayload {
    pub(super) fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let mut reader = Reader::new(body);
        let method = AuthMethod::from_u8(reader.u8().ok_or("too short")?);
        reader.octets(3).ok_or("too short")?;
        let data = reader.rest().to_vec();
        Ok(Self { method, data })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.method.to_u8(), 0, 0, 0]);
        out.extend_from_slice(&self.data);
    }
}
