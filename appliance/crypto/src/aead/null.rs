//! No cipher: everything costs what it costs, and nothing is encrypted or verified. For benches (L2 of `benches/macro`), never for a gateway.

use super::{AeadAlgorithm, ICV_LEN, NONCE_LEN};

/// A key that is not used.
pub(super) struct Key;

impl Key {
    pub(super) fn new(_: AeadAlgorithm, _: &[u8]) -> Option<Self> {
        Some(Self)
    }

    pub(super) fn seal(&self, _: [u8; NONCE_LEN], _: &[u8], _: &mut [u8]) -> Option<[u8; ICV_LEN]> {
        Some([0; ICV_LEN])
    }

    pub(super) fn open(
        &self,
        _: [u8; NONCE_LEN],
        _: &[u8],
        _: &mut [u8],
        _: &[u8; ICV_LEN],
    ) -> Option<()> {
        Some(())
    }
}
