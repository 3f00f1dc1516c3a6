//! The Encrypted payload and its fragments (RFC 7296 section 3.14, RFC 7383 section 2.5).

use crate::fragment;
use crate::header::Header;
use crate::payload::{Payload, encode_chain};
use crate::registry::PayloadType;
use crate::wire::Reader;
use hawser_crypto::{IkeCipher, OpenError};
use hawser_flight::MessageError;

/// Generic header of a payload.
const GENERIC_HEADER: usize = 4;
/// Fragment Number and Total Fragments.
const FRAGMENT_HEADER: usize = 4;

/// What an authentic message holds (RFC 7296 section 3.14, RFC 7383 section 2.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Opened {
    /// A whole message.
    Whole {
        /// Type of the first payload inside.
        first: PayloadType,
        /// The payloads, for [`crate::payload::parse_chain`].
        body: Vec<u8>,
    },
    /// A fragment, for [`crate::fragment::Reassembly`]. `1 <= number <= total <= 64` holds.
    Fragment {
        /// Type of the first payload inside, in fragment 1.
        first: PayloadType,
        /// Fragment Number, from 1.
        number: u16,
        /// Total Fragments.
        total: u16,
        /// Its part of the payloads.
        body: Vec<u8>,
    },
}

/// Encrypts payloads into one datagram, or into several where one would be longer than `fragment` octets.
///
/// `template` gives everything of the header but first payload and length. `iv` fills an IV for each datagram: for CBC one
/// that nobody can predict, for an AEAD one never used before with this key. `fragment` is the most octets of one IKE
/// message, header included; `None` where the peer does not take fragments (RFC 7383 section 2.3).
pub fn seal(
    template: &Header,
    payloads: &[Payload],
    cipher: &IkeCipher,
    iv: &mut dyn FnMut(&mut [u8]),
    fragment: Option<usize>,
) -> Vec<Vec<u8>> {
    let (first, body) = encode_chain(payloads);
    let whole = Header::LEN + GENERIC_HEADER + cipher.sealed_len(body.len());
    let parts = match fragment {
        Some(limit) if whole > limit => split(&body, cipher, limit),
        _ => None,
    };
    let Some((parts, total)) = parts else {
        let sk = Envelope {
            template,
            kind: PayloadType::Encrypted,
            first,
        };
        return vec![sk.seal(&[], &body, cipher, iv)];
    };
    let numbered = (1u16..).zip(parts);
    numbered
        .map(|(number, part)| {
            // Only the first names the payload that it begins with (RFC 7383 section 2.5).
            let first = if number == 1 {
                first
            } else {
                PayloadType::None
            };
            let [n, t] = [number, total].map(u16::to_be_bytes);
            let kind = PayloadType::EncryptedFragment;
            let skf = Envelope {
                template,
                kind,
                first,
            };
            skf.seal(&[n, t].concat(), part, cipher, iv)
        })
        .collect()
}

/// Cuts the payloads so that each part fits; `None` where the limit leaves no room, or the parts would be more than a peer
/// takes that bounds them as we do. Whole is better than not at all then: IP fragments it.
fn split<'a>(
    body: &'a [u8],
    cipher: &IkeCipher,
    limit: usize,
) -> Option<(std::slice::Chunks<'a, u8>, u16)> {
    let room = limit.checked_sub(Header::LEN + GENERIC_HEADER + FRAGMENT_HEADER)?;
    let part = cipher.max_plaintext(room);
    if part == 0 {
        return None;
    }
    let parts = body.chunks(part);
    let total = u16::try_from(parts.len()).ok()?;
    (total <= fragment::MAX_FRAGMENTS).then_some((parts, total))
}

/// What stands before the encrypted octets.
struct Envelope<'a> {
    template: &'a Header,
    kind: PayloadType,
    first: PayloadType,
}

impl Envelope<'_> {
    fn seal(
        &self,
        fragment_header: &[u8],
        plaintext: &[u8],
        cipher: &IkeCipher,
        iv: &mut dyn FnMut(&mut [u8]),
    ) -> Vec<u8> {
        let payload = GENERIC_HEADER + fragment_header.len() + cipher.sealed_len(plaintext.len());
        let length = Header::LEN + payload;
        let mut out = Vec::with_capacity(length);
        let header = Header {
            next_payload: self.kind,
            length: u32::try_from(length).unwrap_or(u32::MAX),
            ..*self.template
        };
        header.encode(&mut out);
        out.extend_from_slice(&[self.first.to_u8(), 0]);
        let payload = u16::try_from(payload).unwrap_or(u16::MAX);
        out.extend_from_slice(&payload.to_be_bytes());
        out.extend_from_slice(fragment_header);
        let body = out.len();
        out.extend_from_slice(plaintext);
        let mut octets = vec![0; cipher.iv_len()];
        iv(&mut octets);
        cipher.seal(&mut out, body, &octets);
        out
    }
}

/// Verifies and decrypts a datagram, non-ESP marker removed. Its content is unspecified afterwards.
///
/// # Errors
/// * `BadLength`: lengths of header or payload disagree with the datagram.
/// * `PayloadRules`: the first payload is not an Encrypted one. Before it none is defined.
/// * `BadFragment`: a Fragment Number that cannot be (RFC 7383 section 2.6).
/// * `IntegrityFailed`: not made with this key.
/// * `BadPayload`: made with this key, but the padding is impossible. This error alone is authentic.
pub fn open(datagram: &mut Vec<u8>, cipher: &IkeCipher) -> Result<(Header, Opened), MessageError> {
    let header = Header::parse(datagram)?;
    let envelope = match header.next_payload {
        PayloadType::Encrypted => read_envelope(datagram, false),
        PayloadType::EncryptedFragment => read_envelope(datagram, true),
        _ => return Err(MessageError::PayloadRules),
    };
    let (first, fragment) = envelope.ok_or(MessageError::BadLength)?;
    if let Some((number, total)) = fragment {
        fragment::check(number, total)?;
    }
    let skip = if fragment.is_some() {
        FRAGMENT_HEADER
    } else {
        0
    };
    let start = Header::LEN + GENERIC_HEADER + skip;
    let text = cipher.open(datagram, start).map_err(|error| match error {
        OpenError::Padding => MessageError::BadPayload,
        OpenError::Length | OpenError::Integrity => MessageError::IntegrityFailed,
    })?;
    datagram.truncate(text.end);
    let body = datagram.split_off(text.start.min(datagram.len()));
    let opened = match fragment {
        None => Opened::Whole { first, body },
        Some((number, total)) => Opened::Fragment {
            first,
            number,
            total,
            body,
        },
    };
    Ok((header, opened))
}

/// Type of the first payload inside, and Fragment Number and Total Fragments where there are.
type EnvelopeFields = (PayloadType, Option<(u16, u16)>);

/// Reads the headers of the payload, which must reach to the end of the datagram: it is the last (RFC 7296 section 3.14).
fn read_envelope(datagram: &[u8], is_fragment: bool) -> Option<EnvelopeFields> {
    let mut reader = Reader::new(datagram.get(Header::LEN..)?);
    let payload_len = reader.rest().len();
    let first = PayloadType::from_u8(reader.u8()?);
    let _critical = reader.u8()?;
    if usize::from(reader.u16()?) != payload_len {
        return None;
    }
    let fragment = match is_fragment {
        true => Some((reader.u16()?, reader.u16()?)),
        false => None,
    };
    Some((first, fragment))
}
