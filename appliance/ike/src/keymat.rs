//! Key derivation (RFC 7296 2.13 to 2.17).

use crate::select::{EspSuite, IkeSuite};
use hawser_crypto::{IkeCipher, Prf};
use hawser_flight::Role;
use zeroize::Zeroizing;

/// Octets that are wiped when they are dropped.
pub type Key = Zeroizing<Vec<u8>>;

/// What an IKE SA is deciphered with, as octets: for who captures it and may read it.
pub struct CipherKeys {
    /// Integrity, initiator to responder; empty with AEAD.
    pub sk_ai: Key,
    /// Integrity, responder to initiator; empty with AEAD.
    pub sk_ar: Key,
    /// Encryption, initiator to responder, with the salt of AEAD.
    pub sk_ei: Key,
    /// Encryption, responder to initiator, with the salt of AEAD.
    pub sk_er: Key,
}

/// The keys of an IKE SA.
pub struct SaKeys {
    /// Algorithms.
    pub suite: IkeSuite,
    /// For Child SAs and rekeying.
    pub sk_d: Key,
    /// For the initiator's AUTH payload.
    pub sk_pi: Key,
    /// For the responder's AUTH payload.
    pub sk_pr: Key,
    /// Protects what we send.
    pub outbound: IkeCipher,
    /// Protects what the peer sends.
    pub inbound: IkeCipher,
    /// The octets that the ciphers were made of, until the owner of the SA has seen them.
    pub(crate) octets: Option<Box<CipherKeys>>,
}

impl std::fmt::Debug for SaKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SaKeys")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// The nonces and SPIs that keys are derived from.
#[derive(Clone, Copy, Debug)]
pub struct Seeds<'a> {
    /// The initiator's nonce.
    pub nonce_i: &'a [u8],
    /// The responder's nonce.
    pub nonce_r: &'a [u8],
    /// The initiator's SPI.
    pub spi_i: u64,
    /// The responder's SPI.
    pub spi_r: u64,
}

/// Lengths that do not fit an algorithm: an inconsistency of our own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("key lengths do not fit the suite")]
pub struct KeymatError;

/// SKEYSEED of a first IKE SA: prf(Ni | Nr, g^ir).
pub fn skeyseed(prf: Prf, seeds: &Seeds<'_>, shared: &[u8]) -> Key {
    let key = Zeroizing::new([seeds.nonce_i, seeds.nonce_r].concat());
    Zeroizing::new(prf.mac(&key, &[shared]).as_ref().to_vec())
}

/// SKEYSEED of a rekeyed IKE SA: prf(SK_d (old), g^ir (new) | Ni | Nr), with the old SA's PRF
/// (RFC 7296 2.18).
pub fn skeyseed_rekey(old: &SaKeys, seeds: &Seeds<'_>, shared: &[u8]) -> Key {
    let mac = old
        .suite
        .prf
        .mac(&old.sk_d, &[shared, seeds.nonce_i, seeds.nonce_r]);
    Zeroizing::new(mac.as_ref().to_vec())
}

impl SaKeys {
    /// {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr).
    ///
    /// # Errors
    /// When the suite's lengths do not fit its algorithms.
    pub fn derive(
        suite: IkeSuite,
        role: Role,
        skeyseed: &[u8],
        seeds: &Seeds<'_>,
    ) -> Result<Self, KeymatError> {
        let prf_len = suite.prf.key_len();
        let integ_len = suite.integ.map_or(0, hawser_crypto::Integ::key_len);
        let encr_len = suite.encr.key_len();
        let (spi_i, spi_r) = (seeds.spi_i.to_be_bytes(), seeds.spi_r.to_be_bytes());
        let seed: [&[u8]; 4] = [seeds.nonce_i, seeds.nonce_r, &spi_i, &spi_r];
        let mut all = Zeroizing::new(vec![0; 3 * prf_len + 2 * integ_len + 2 * encr_len]);
        suite
            .prf
            .plus(skeyseed, &seed, &mut all)
            .map_err(|_| KeymatError)?;
        let mut rest = all.as_slice();
        let mut take = |len: usize| {
            let (key, tail) = rest.split_at(len);
            rest = tail;
            Zeroizing::new(key.to_vec())
        };
        let sk_d = take(prf_len);
        let (sk_ai, sk_ar) = (take(integ_len), take(integ_len));
        let (sk_ei, sk_er) = (take(encr_len), take(encr_len));
        let (sk_pi, sk_pr) = (take(prf_len), take(prf_len));
        let cipher = |e: &Key, a: &Key| {
            IkeCipher::new(suite.encr, suite.integ, e, a).map_err(|_| KeymatError)
        };
        let (from_i, from_r) = (cipher(&sk_ei, &sk_ai)?, cipher(&sk_er, &sk_ar)?);
        let (outbound, inbound) = match role {
            Role::Initiator => (from_i, from_r),
            Role::Responder => (from_r, from_i),
        };
        Ok(Self {
            suite,
            sk_d,
            sk_pi,
            sk_pr,
            outbound,
            inbound,
            octets: Some(Box::new(CipherKeys {
                sk_ai,
                sk_ar,
                sk_ei,
                sk_er,
            })),
        })
    }
}

/// The keys of a pair of Child SAs, by direction as seen from the initiator of the exchange.
pub struct ChildKeys {
    /// Encryption, initiator to responder.
    pub encr_i: Key,
    /// Integrity, initiator to responder.
    pub integ_i: Key,
    /// Encryption, responder to initiator.
    pub encr_r: Key,
    /// Integrity, responder to initiator.
    pub integ_r: Key,
}

impl ChildKeys {
    /// KEYMAT = prf+(SK_d, [g^ir |] Ni | Nr) (RFC 7296 2.17).
    ///
    /// # Errors
    /// When more is wanted than prf+ gives, which no suite does.
    pub fn derive(
        ike: &SaKeys,
        suite: &EspSuite,
        shared: Option<&[u8]>,
        nonce_i: &[u8],
        nonce_r: &[u8],
    ) -> Result<Self, KeymatError> {
        let encr_len = suite.encr.key_len();
        let integ_len = suite.integ.map_or(0, hawser_crypto::Integ::key_len);
        let mut all = Zeroizing::new(vec![0; 2 * (encr_len + integ_len)]);
        let seed = [shared.unwrap_or(&[]), nonce_i, nonce_r];
        ike.suite
            .prf
            .plus(&ike.sk_d, &seed, &mut all)
            .map_err(|_| KeymatError)?;
        let key = |from: usize, len: usize| Zeroizing::new(all[from..from + len].to_vec());
        let half = encr_len + integ_len;
        Ok(Self {
            encr_i: key(0, encr_len),
            integ_i: key(encr_len, integ_len),
            encr_r: key(half, encr_len),
            integ_r: key(half + encr_len, integ_len),
        })
    }
}
