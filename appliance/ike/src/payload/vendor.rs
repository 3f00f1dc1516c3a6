//! The Vendor ID payload (RFC 7296 section 3.12): octets that mean something to their vendor.

pub(super) fn parse(body: &[u8]) -> Vec<u8> {
    body.to_vec()
}

pub(super) fn encode(vendor: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(vendor);
}
