//! Protection of IKE messages: the Encrypted payload of RFC 7296 section 3.14, of RFC 5282 for AEADs and of RFC 7383 for fragments.

use std::fmt;
use std::ops::Range;

use crate::encr::Encr;
use crate::error::{KeyLengthError, OpenError};
use crate::integ::Integ;
use crate::suite::{Keys, Suite};

/// One direction of the protection of an IKE SA: SK_e and SK_a of one side.
///
/// `body` in its methods is where the IV begins: behind the generic header of the SK payload, or behind Fragment Number and
/// Total Fragments of an SKF payload. What lies before it is authenticated, so it must be final, lengths included.
pub struct IkeCipher {
    suite: Suite,
}

impl IkeCipher {
    /// Takes SK_e ([`Encr::key_len`] octets) and SK_a ([`Integ::key_len`] octets). An AEAD goes with `None` and an empty SK_a.
    ///
    /// # Errors
    /// A key of the wrong length, or algorithms that do not go together.
    pub fn new(
        encr: Encr,
        integ: Option<Integ>,
        sk_e: &[u8],
        sk_a: &[u8],
    ) -> Result<Self, KeyLengthError> {
        Suite::new(encr, integ, sk_e, sk_a).map(|suite| Self { suite })
    }

    /// Octets of the IV that [`seal`](Self::seal) takes: 16 for CBC, 8 for an AEAD.
    #[must_use]
    pub fn iv_len(&self) -> usize {
        self.suite.iv_len()
    }

    /// Octets that a plaintext of `plaintext_len` octets becomes: IV, ciphertext with its padding, ICV.
    #[must_use]
    pub fn sealed_len(&self, plaintext_len: usize) -> usize {
        self.overhead() + self.text_len(plaintext_len)
    }

    /// Octets of the longest plaintext whose [`sealed_len`](Self::sealed_len) is at most `sealed_len`; 0 also where nothing fits.
    #[must_use]
    pub fn max_plaintext(&self, sealed_len: usize) -> usize {
        let room = sealed_len.saturating_sub(self.overhead());
        // One octet is the Pad Length.
        (room - room % self.suite.encr.ike_align()).saturating_sub(1)
    }

    /// Replaces the plaintext `message[body..]` by IV, ciphertext and ICV.
    ///
    /// `iv`: for CBC 16 octets that nobody can predict, for an AEAD 8 octets never used before with this key.
    ///
    /// # Panics
    /// `body` lies behind the message, or `iv` does not have [`iv_len`](Self::iv_len) octets.
    pub fn seal(&self, message: &mut Vec<u8>, body: usize, iv: &[u8]) {
        let plaintext_len = message.len() - body;
        let text_start = body + self.iv_len();
        let text_end = text_start + self.text_len(plaintext_len);
        message.resize(text_end + self.suite.icv_len(), 0);
        message.copy_within(body..body + plaintext_len, text_start);
        message[body..text_start].copy_from_slice(iv);
        let pad_len = text_end - text_start - plaintext_len - 1;
        message[text_end - 1] = u8::try_from(pad_len).expect("padding is shorter than a block");
        self.protect(message, body, text_end);
    }

    /// Verifies the message, then decrypts it in place. Returns where the plaintext lies, without padding.
    ///
    /// # Errors
    /// The message does not have the form, or not the ICV, of one sealed with this key, or its padding is impossible. The
    /// content behind `body` is unspecified then.
    pub fn open(&self, message: &mut [u8], body: usize) -> Result<Range<usize>, OpenError> {
        let text = self.text_range(message.len(), body)?;
        match &self.suite.keys {
            Keys::Aead(aead) => {
                let (aad, sealed) = message.split_at_mut(body);
                let (iv, sealed) = sealed.split_first_chunk_mut().ok_or(OpenError::Length)?;
                let (text, icv) = sealed.split_last_chunk_mut().ok_or(OpenError::Length)?;
                aead.open(*iv, aad, text, icv)?;
            }
            Keys::CbcHmac { cbc, integ } => {
                let (sealed, icv) = message.split_at_mut(text.end);
                integ.verify(sealed, &[], icv)?;
                let (iv, text) = sealed[body..]
                    .split_first_chunk_mut()
                    .ok_or(OpenError::Length)?;
                cbc.decrypt(iv, text);
            }
        }
        let trailer = usize::from(message[text.end - 1]) + 1;
        if trailer > text.len() {
            return Err(OpenError::Padding);
        }
        Ok(text.start..text.end - trailer)
    }

    /// Encrypts the padded text and writes the ICV behind it.
    fn protect(&self, message: &mut [u8], body: usize, text_end: usize) {
        let (sealed, icv) = message.split_at_mut(text_end);
        let (header, sealed_body) = sealed.split_at_mut(body);
        match &self.suite.keys {
            Keys::Aead(aead) => {
                let (iv, text) = sealed_body.split_first_chunk_mut().expect("holds the IV");
                icv.copy_from_slice(&aead.seal(*iv, header, text));
            }
            Keys::CbcHmac { cbc, integ } => {
                let (iv, text) = sealed_body.split_first_chunk_mut().expect("holds the IV");
                cbc.encrypt(iv, text);
                integ.sign(sealed, &[], icv);
            }
        }
    }

    /// Where the ciphertext lies in a received message.
    fn text_range(&self, message_len: usize, body: usize) -> Result<Range<usize>, OpenError> {
        let start = body.checked_add(self.iv_len()).ok_or(OpenError::Length)?;
        let end = message_len
            .checked_sub(self.suite.icv_len())
            .ok_or(OpenError::Length)?;
        let text = start..end;
        if text.is_empty() || !text.len().is_multiple_of(self.suite.encr.ike_align()) {
            return Err(OpenError::Length);
        }
        Ok(text)
    }

    /// Octets of the ciphertext: plaintext, padding, Pad Length.
    fn text_len(&self, plaintext_len: usize) -> usize {
        (plaintext_len + 1).next_multiple_of(self.suite.encr.ike_align())
    }

    fn overhead(&self) -> usize {
        self.suite.iv_len() + self.suite.icv_len()
    }
}

impl fmt::Debug for IkeCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.suite.debug(f, "IkeCipher")
    }
}
