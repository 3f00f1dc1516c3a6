//! Protection of ESP packets (RFC 4303) with AES-CBC and HMAC (RFC 3602, 2404, 4868), AES-GCM (RFC 4106) or ChaCha20-Poly1305
//! (RFC 7634).

use std::fmt;
use std::ops::Range;

use aes::Aes128;
use cipher::{BlockCipherEncrypt as _, KeyInit as _};
use zeroize::Zeroize as _;

use arrayvec::ArrayVec;
use subtle::ConstantTimeEq as _;

use crate::cbc::{BLOCK_LEN, CbcKey, Chain, SIDE_BY_SIDE};
use crate::encr::Encr;
use crate::error::{KeyLengthError, OpenError};
use crate::hash::MAX_OUTPUT_LEN;
use crate::integ::{Integ, IntegKey};
use crate::lanes::Message;
use crate::prf::Prf;
use crate::suite::{Keys, Suite};

/// Octets of SPI and Sequence Number.
const HEADER_LEN: usize = 8;
/// Octets of Pad Length and Next Header.
const TRAILER_LEN: usize = 2;

/// A packet to be sealed together with others; the arguments of [`EspSealer::seal`].
#[derive(Debug)]
pub struct ToSeal<'a> {
    /// As for [`EspSealer::seal`].
    pub packet: &'a mut [u8],
    /// As for [`EspSealer::seal`].
    pub esn_high: Option<u32>,
    /// As for [`EspSealer::seal`].
    pub counter: u64,
}

/// A packet to be opened together with others; the arguments of [`EspOpener::open`] and what came of it.
#[derive(Debug)]
pub struct ToOpen<'a> {
    /// As for [`EspOpener::open`].
    pub packet: &'a mut [u8],
    /// As for [`EspOpener::open`].
    pub esn_high: Option<u32>,
    /// Filled in: what [`EspOpener::open`] returns. An error until then.
    pub text: Result<Range<usize>, OpenError>,
}

impl<'a> ToOpen<'a> {
    /// A packet that is not opened yet.
    pub fn new(packet: &'a mut [u8], esn_high: Option<u32>) -> Self {
        Self {
            packet,
            esn_high,
            text: Err(OpenError::Integrity),
        }
    }
}

/// The outbound direction of a Child SA.
pub struct EspSealer {
    suite: Suite,
    ivs: IvSource,
}

impl EspSealer {
    /// Takes the encryption key ([`Encr::key_len`] octets) and the integrity key ([`Integ::key_len`] octets) of the direction. An
    /// AEAD goes with `None` and an empty integrity key.
    ///
    /// # Errors
    /// A key of the wrong length, or algorithms that do not go together.
    pub fn new(
        encr: Encr,
        integ: Option<Integ>,
        encr_key: &[u8],
        integ_key: &[u8],
    ) -> Result<Self, KeyLengthError> {
        let suite = Suite::new(encr, integ, encr_key, integ_key)?;
        let ivs = match &suite.keys {
            Keys::Aead(_) => IvSource::Counter,
            Keys::CbcHmac { .. } => IvSource::encrypted(encr_key),
        };
        Ok(Self { suite, ivs })
    }

    /// Octets of the IV: 16 for CBC, 8 for an AEAD.
    #[must_use]
    pub fn iv_len(&self) -> usize {
        self.suite.iv_len()
    }

    /// Octets of the ICV: 12 to 32.
    #[must_use]
    pub fn icv_len(&self) -> usize {
        self.suite.icv_len()
    }

    /// Octets of which payload, padding, Pad Length and Next Header together must be a multiple.
    #[must_use]
    pub fn align(&self) -> usize {
        self.suite.encr.esp_align()
    }

    /// Fills in the IV, encrypts in place and writes the ICV.
    ///
    /// `packet` is SPI, Sequence Number, room for the IV, the plaintext up to and with Next Header, room for the ICV. `esn_high` is
    /// the high half of an Extended Sequence Number, if the SA uses them. `counter` makes the IV and must never come
    /// twice in the life of the keys; the sequence number serves.
    ///
    /// # Panics
    /// `packet` does not have this form: it is too short, or the plaintext is not a multiple of [`align`](Self::align).
    pub fn seal(&self, packet: &mut [u8], esn_high: Option<u32>, counter: u64) {
        let text = text_range(&self.suite, packet.len()).expect("the caller has sized the packet");
        assert!(
            text.len().is_multiple_of(self.align()),
            "the caller has padded the packet"
        );
        let (sealed, icv) = packet.split_at_mut(text.end);
        let (header, body) = sealed.split_at_mut(HEADER_LEN);
        let (iv, text) = body.split_at_mut(self.iv_len());
        match &self.suite.keys {
            Keys::Aead(aead) => {
                let counter = counter.to_be_bytes();
                iv.copy_from_slice(&counter);
                let aad = Aad::new(header, esn_high);
                icv.copy_from_slice(&aead.seal(counter, aad.as_ref(), text));
            }
            Keys::CbcHmac { cbc, integ } => {
                let block = self.ivs.block(counter);
                iv.copy_from_slice(&block);
                cbc.encrypt(&block, text);
                with_esn_suffix(esn_high, |suffix| integ.sign(sealed, suffix, icv));
            }
        }
    }
}

impl EspSealer {
    /// Seals many packets as [`seal`](Self::seal) does each, and much faster where the suite is CBC with HMAC: the CPU works on
    /// them side by side.
    ///
    /// # Panics
    /// As [`seal`](Self::seal).
    pub fn seal_batch(&self, batch: &mut [ToSeal<'_>]) {
        match &self.suite.keys {
            Keys::CbcHmac { cbc, integ } if batch.len() > 1 => {
                for group in batch.chunks_mut(SIDE_BY_SIDE) {
                    self.encrypt_group(cbc, group);
                    self.sign_group(integ, group);
                }
            }
            _ => {
                for one in batch {
                    self.seal(one.packet, one.esn_high, one.counter);
                }
            }
        }
    }

    fn encrypt_group(&self, cbc: &CbcKey, group: &mut [ToSeal<'_>]) {
        let mut chains = ArrayVec::<_, SIDE_BY_SIDE>::new();
        for one in group {
            let text =
                text_range(&self.suite, one.packet.len()).expect("the caller has sized the packet");
            let (head, text) = one.packet[..text.end].split_at_mut(text.start);
            let iv = self.ivs.block(one.counter);
            head[HEADER_LEN..].copy_from_slice(&iv);
            chains.push(Chain { iv, text });
        }
        cbc.encrypt_many(&mut chains);
    }

    fn sign_group(&self, integ: &IntegKey, group: &mut [ToSeal<'_>]) {
        let mut messages = ArrayVec::<_, SIDE_BY_SIDE>::new();
        for one in group {
            let end = one.packet.len() - self.icv_len();
            let (data, code) = one.packet.split_at_mut(end);
            let suffix = one.esn_high.map(u32::to_be_bytes);
            messages.push(Message { data, suffix, code });
        }
        integ.sign_many(&mut messages);
    }
}

impl fmt::Debug for EspSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.suite.debug(f, "EspSealer")
    }
}

/// The inbound direction of a Child SA.
pub struct EspOpener {
    suite: Suite,
}

impl EspOpener {
    /// Takes the keys of the direction, as [`EspSealer::new`] does.
    ///
    /// # Errors
    /// A key of the wrong length, or algorithms that do not go together.
    pub fn new(
        encr: Encr,
        integ: Option<Integ>,
        encr_key: &[u8],
        integ_key: &[u8],
    ) -> Result<Self, KeyLengthError> {
        Suite::new(encr, integ, encr_key, integ_key).map(|suite| Self { suite })
    }

    /// Octets of the IV: 16 for CBC, 8 for an AEAD.
    #[must_use]
    pub fn iv_len(&self) -> usize {
        self.suite.iv_len()
    }

    /// Octets of the ICV: 12 to 32.
    #[must_use]
    pub fn icv_len(&self) -> usize {
        self.suite.icv_len()
    }

    /// Octets of which a peer makes payload, padding, Pad Length and Next Header a multiple.
    #[must_use]
    pub fn align(&self) -> usize {
        self.suite.encr.esp_align()
    }

    /// Verifies the packet, which begins with the SPI, then decrypts it in place. Returns where the plaintext lies, with padding, Pad
    /// Length and Next Header: at least 2 octets.
    ///
    /// `esn_high` is the high half that the receiver infers for the Sequence Number, if the SA uses extended ones.
    ///
    /// # Errors
    /// [`OpenError::Length`] or [`OpenError::Integrity`]. The content behind SPI and Sequence Number is unspecified then.
    pub fn open(
        &self,
        packet: &mut [u8],
        esn_high: Option<u32>,
    ) -> Result<Range<usize>, OpenError> {
        let range = text_range(&self.suite, packet.len())?;
        let (sealed, icv) = packet.split_at_mut(range.end);
        match &self.suite.keys {
            Keys::Aead(aead) => {
                let (header, body) = sealed.split_at_mut(HEADER_LEN);
                let (iv, text) = body.split_first_chunk_mut().ok_or(OpenError::Length)?;
                let icv = icv.first_chunk().ok_or(OpenError::Length)?;
                aead.open(*iv, Aad::new(header, esn_high).as_ref(), text, icv)?;
            }
            Keys::CbcHmac { cbc, integ } => {
                with_esn_suffix(esn_high, |suffix| integ.verify(sealed, suffix, icv))?;
                let (iv, text) = sealed[HEADER_LEN..]
                    .split_first_chunk_mut()
                    .ok_or(OpenError::Length)?;
                cbc.decrypt(iv, text);
            }
        }
        Ok(range)
    }
}

impl EspOpener {
    /// Opens many packets as [`open`](Self::open) does each, and faster where the suite is CBC with HMAC.
    pub fn open_batch(&self, batch: &mut [ToOpen<'_>]) {
        match &self.suite.keys {
            Keys::CbcHmac { cbc, integ } if batch.len() > 1 => {
                for group in batch.chunks_mut(SIDE_BY_SIDE) {
                    self.verify_group(integ, group);
                    decrypt_group(cbc, group);
                }
            }
            _ => {
                for one in batch {
                    one.text = self.open(one.packet, one.esn_high);
                }
            }
        }
    }

    /// Says of each packet where its text lies if it is authentic.
    fn verify_group(&self, integ: &IntegKey, group: &mut [ToOpen<'_>]) {
        let mut codes = [[0; MAX_OUTPUT_LEN]; SIDE_BY_SIDE];
        let mut messages = ArrayVec::<_, SIDE_BY_SIDE>::new();
        for (one, code) in group.iter_mut().zip(&mut codes) {
            one.text = text_range(&self.suite, one.packet.len());
            if let Ok(text) = &one.text {
                messages.push(Message {
                    data: &one.packet[..text.end],
                    suffix: one.esn_high.map(u32::to_be_bytes),
                    code: &mut code[..self.icv_len()],
                });
            }
        }
        integ.sign_many(&mut messages);
        drop(messages);
        for (one, code) in group.iter_mut().zip(&codes) {
            if let Ok(text) = &one.text
                && !bool::from(one.packet[text.end..].ct_eq(&code[..self.icv_len()]))
            {
                one.text = Err(OpenError::Integrity);
            }
        }
    }
}

fn decrypt_group(cbc: &CbcKey, group: &mut [ToOpen<'_>]) {
    for one in group {
        let Ok(text) = &one.text else { continue };
        let body = &mut one.packet[HEADER_LEN..text.end];
        if let Some((iv, text)) = body.split_first_chunk_mut() {
            cbc.decrypt(iv, text);
        }
    }
}

impl fmt::Debug for EspOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.suite.debug(f, "EspOpener")
    }
}

/// Where the ciphertext lies. An AEAD is held only to what it needs: a peer that pads to less than 4 octets is understood.
fn text_range(suite: &Suite, packet_len: usize) -> Result<Range<usize>, OpenError> {
    let start = HEADER_LEN + suite.iv_len();
    let end = packet_len
        .checked_sub(suite.icv_len())
        .ok_or(OpenError::Length)?;
    let text = start..end;
    let whole_blocks = suite.encr.is_aead() || text.len().is_multiple_of(BLOCK_LEN);
    if text.len() < TRAILER_LEN || !whole_blocks {
        return Err(OpenError::Length);
    }
    Ok(text)
}

/// The associated data of an AEAD: SPI, then the Sequence Number in its 4 or, extended, 8 octets (RFC 4106 section 5).
struct Aad {
    octets: [u8; HEADER_LEN + 4],
    len: usize,
}

impl Aad {
    fn new(header: &[u8], esn_high: Option<u32>) -> Self {
        let mut octets = [0; HEADER_LEN + 4];
        let len = if let Some(high) = esn_high {
            octets[..4].copy_from_slice(&header[..4]);
            octets[4..8].copy_from_slice(&high.to_be_bytes());
            octets[8..].copy_from_slice(&header[4..]);
            HEADER_LEN + 4
        } else {
            octets[..HEADER_LEN].copy_from_slice(header);
            HEADER_LEN
        };
        Self { octets, len }
    }
}

impl AsRef<[u8]> for Aad {
    fn as_ref(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

/// Runs `f` with what a separate integrity algorithm covers behind the packet: the high half of an Extended Sequence Number,
/// which is not sent (RFC 4303 section 2.2.1).
fn with_esn_suffix<T>(esn_high: Option<u32>, f: impl FnOnce(&[u8]) -> T) -> T {
    match esn_high {
        Some(high) => f(&high.to_be_bytes()),
        None => f(&[]),
    }
}

/// How the counter of the caller becomes the IV.
enum IvSource {
    /// As it is: an AEAD asks only that it is unique (RFC 4106 section 3.1).
    Counter,
    /// Encrypted: the IV of CBC must be unpredictable too (RFC 3602 section 3, NIST SP 800-38A appendix C).
    Encrypted(Box<Aes128>),
}

impl IvSource {
    /// The key of the IVs is made from the key of the SA, by an HMAC that nothing else computes. Nobody without the key of
    /// the SA can tell it from a random one, and the constructor needs no random numbers.
    fn encrypted(encr_key: &[u8]) -> Self {
        let digest = Prf::HmacSha256.mac(encr_key, &[b"Hawser ESP CBC IV"]);
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        let source = Self::Encrypted(Box::new(Aes128::new(&key.into())));
        key.zeroize();
        source
    }

    fn block(&self, counter: u64) -> [u8; BLOCK_LEN] {
        let mut block = [0; BLOCK_LEN];
        block[..8].copy_from_slice(&counter.to_be_bytes());
        if let Self::Encrypted(key) = self {
            let mut encrypted = block.into();
            key.encrypt_block(&mut encrypted);
            block = encrypted.into();
        }
        block
    }
}
