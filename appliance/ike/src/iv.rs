//! IVs of the SK payload.

/// A source of IVs for one direction of an IKE SA: AEAD ciphers take an 8-octet counter, unique
/// under the key (RFC 5282 3); CBC takes 16 unpredictable octets (RFC 3602 3).
pub(crate) fn iv_source<'a>(
    counter: &'a mut u64,
    rng: &'a mut dyn rand::CryptoRng,
) -> impl FnMut(&mut [u8]) + 'a {
    move |iv| {
        if let Ok(slot) = <&mut [u8; 8]>::try_from(&mut *iv) {
            *slot = counter.to_be_bytes();
            *counter += 1;
        } else {
            rng.fill_bytes(iv);
        }
    }
}
