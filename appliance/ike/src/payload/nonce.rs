//! The Nonce payload (RFC 7296 section 3.9).

/// "The size of the Nonce Data MUST be between 16 and 256 octets, inclusive" (RFC 7296 section 3.9).
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=256;

pub(super) fn parse(body: &[u8]) -> Result<Vec<u8>, &'static str> {
    if !LENGTHS.contains(&body.len()) {
        return Err("nonce length");
    }
    Ok(body.to_vec())
}

pub(super) fn encode(nonce: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(nonce);
}
