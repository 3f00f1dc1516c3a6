//! The Key Exchange payload (RFC 7296 section 3.4).

use crate::wire::Reader;

/// A Key Exchange payload (RFC 7296 section 3.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KePayload {
    /// The key exchange method (see [`crate::registry::ke_from_group`]).
    pub group: u16,
    /// The public value; its length is checked by the method.
    pub data: Vec<u8>,
}

impl KePayload {
    pub(super) fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let mut reader = Reader::new(body);
        let mut group = || {
            let group = reader.u16()?;
            let _reserved = reader.u16()?;
            Some(group)
        };
        let group = group().ok_or("too short")?;
        if reader.is_empty() {
            return Err("no public value");
        }
        let data = reader.rest().to_vec();
        Ok(Self { group, data })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.group.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.data);
    }
}
