//! Elliptic curves of aws-lc: ECP groups (RFC 5903) and X25519 (RFC 7748, RFC 8031).

use aws_lc_rs::agreement::{
    self, Algorithm, ECDH_P256, ECDH_P384, PrivateKey, UnparsedPublicKey, X25519 as X25519_ECDH,
};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::error::KeError;

/// The mark of an uncompressed point in SEC 1, which aws-lc speaks and IKE leaves out.
const UNCOMPRESSED: u8 = 4;

/// How often an ECP private key may fall outside 1..n-1. Once is a chance below 2^-31: more shows that the numbers are not random.
const ATTEMPTS: usize = 16;

/// What the curves differ in.
pub(super) struct Curve {
    algorithm: &'static Algorithm,
    private_len: usize,
    /// Octets in the KE payload.
    pub(super) public_len: usize,
    /// What aws-lc puts before those octets.
    prefix: &'static [u8],
    /// What it means that aws-lc refuses a public value of the right length.
    refusal: KeError,
}

pub(super) static ECP256: Curve = Curve {
    algorithm: &ECDH_P256,
    private_len: 32,
    public_len: 64,
    prefix: &[UNCOMPRESSED],
    refusal: KeError::NotOnCurve,
};

pub(super) static ECP384: Curve = Curve {
    algorithm: &ECDH_P384,
    private_len: 48,
    public_len: 96,
    prefix: &[UNCOMPRESSED],
    refusal: KeError::NotOnCurve,
};

pub(super) static X25519: Curve = Curve {
    algorithm: &X25519_ECDH,
    private_len: 32,
    public_len: 32,
    prefix: &[],
    refusal: KeError::ZeroSecret,
};

/// A private key on its curve.
pub(super) struct Private {
    curve: &'static Curve,
    key: PrivateKey,
}

impl Private {
    pub(super) fn generate(
        curve: &'static Curve,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, Vec<u8>), KeError> {
        // aws-lc's own generator would make simulations unrepeatable.
        let mut octets = Zeroizing::new(vec![0; curve.private_len]);
        let draw = || {
            rng.fill_bytes(&mut octets);
            PrivateKey::from_private_key(curve.algorithm, &octets).ok()
        };
        let key = std::iter::repeat_with(draw)
            .take(ATTEMPTS)
            .flatten()
            .next()
            .ok_or(KeError::Generate)?;
        let public = key.compute_public_key().map_err(|_| KeError::Generate)?;
        let public = public.as_ref()[curve.prefix.len()..].to_vec();
        Ok((Self { curve, key }, public))
    }

    /// `peer_public` has the length of the curve.
    pub(super) fn agree(&self, peer_public: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeError> {
        let peer = [self.curve.prefix, peer_public].concat();
        agreement::agree(
            &self.key,
            UnparsedPublicKey::new(self.curve.algorithm, peer),
            self.curve.refusal,
            |shared| Ok(Zeroizing::new(shared.to_vec())),
        )
    }
}
