//! Reading and writing octets in network order. Nothing here can index past an end.

/// A cursor over received octets: whoever takes more than there is gets `None`.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn octets(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// The rest of a structure whose 16-bit length field counts the `header` octets before it too.
    pub(crate) fn body(&mut self, length: u16, header: usize) -> Option<&'a [u8]> {
        self.octets(usize::from(length).checked_sub(header)?)
    }
}

/// Runs `write` and then sets the 16-bit length field at `field` to what was written since `start`.
///
/// A structure beyond 65535 octets has no representation on the wire. Nothing we send comes near; should it, the field
/// saturates, and the peer refuses the message as inconsistent.
pub(crate) fn with_length(
    out: &mut Vec<u8>,
    start: usize,
    field: usize,
    write: impl FnOnce(&mut Vec<u8>),
) {
    write(out);
    let length = u16::try_from(out.len().saturating_sub(start)).unwrap_or(u16::MAX);
    if let Some(slot) = out.get_mut(field..).and_then(<[u8]>::first_chunk_mut) {
        *slot = length.to_be_bytes();
    }
}

/// A count for an 8-bit field; saturates like [`with_length`].
pub(crate) fn count_u8(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}
