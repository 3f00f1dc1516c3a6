//! A message opened and put into words for who looks on. Nothing of an SA changes by it.
//!
//! What is told holds no secret: of nonces, public values and authentication data only their lengths, of keys nothing.

use crate::handshake::{Initiator, Responder};
use crate::header::Header;
use crate::ike_sa::IkeSa;
use crate::keymat::SaKeys;
use crate::message::Message;
use crate::payload::{Delete, Notify, Payload, Proposal};
use crate::protect::{self, Opened};
use crate::registry::{NotifyType, PayloadType, ProtocolId, TransformType, ke_from_group};
use hawser_flight::MessageError;
use hawser_policy::TrafficSelector;

/// Octets of a Vendor ID that are told.
const VENDOR: usize = 40;
/// Selectors, SPIs or proposals of a payload that are told.
const LISTED: usize = 32;

/// A payload in words (RFC 7296 section 3.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// Its type as RFC 7296 abbreviates it: `SA`, `N`, `TSi`.
    pub kind: String,
    /// What it says.
    pub text: String,
}

/// Whether a datagram came, or went.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// From the peer.
    In,
    /// To the peer.
    Out,
}

impl IkeSa {
    /// Opens a protected message of this SA.
    ///
    /// # Errors
    /// As [`protect::open`].
    pub fn peek(&self, direction: Direction, datagram: &[u8]) -> Result<Opened, MessageError> {
        open(&self.keys, direction, datagram)
    }
}

impl Responder {
    /// Opens a protected message of this half-open SA.
    ///
    /// # Errors
    /// As [`protect::open`]; `BadExchange` where it has no keys yet, or no more.
    pub fn peek(&self, direction: Direction, datagram: &[u8]) -> Result<Opened, MessageError> {
        let keys = self.keys().ok_or(MessageError::BadExchange)?;
        open(keys, direction, datagram)
    }
}

impl Initiator {
    /// Opens a protected message of this half-open SA.
    ///
    /// # Errors
    /// As [`protect::open`]; `BadExchange` where it has no keys yet, or no more.
    pub fn peek(&self, direction: Direction, datagram: &[u8]) -> Result<Opened, MessageError> {
        let keys = self.keys().ok_or(MessageError::BadExchange)?;
        open(keys, direction, datagram)
    }
}

fn open(keys: &SaKeys, direction: Direction, datagram: &[u8]) -> Result<Opened, MessageError> {
    let cipher = match direction {
        Direction::In => &keys.inbound,
        Direction::Out => &keys.outbound,
    };
    Ok(protect::open(&mut datagram.to_vec(), cipher)?.1)
}

/// Whether the payloads of a message are protected (RFC 7296 section 3.14, RFC 7383 section 2.5).
pub fn is_protected(header: &Header) -> bool {
    matches!(
        header.next_payload,
        PayloadType::Encrypted | PayloadType::EncryptedFragment
    )
}

/// The payloads of a message in words.
pub fn tell(message: &Message) -> Vec<Told> {
    message.payloads.iter().map(told).collect()
}

fn told(payload: &Payload) -> Told {
    let text = match payload {
        Payload::Sa(sa) => listed(&sa.proposals, "; ", proposal),
        Payload::Ke(ke) => format!("{}, {} octets", group(ke.group), ke.data.len()),
        Payload::IdI(identity) | Payload::IdR(identity) => identity.to_string(),
        Payload::Auth(auth) => format!("{}, {} octets", auth.method, auth.data.len()),
        Payload::Nonce(nonce) => format!("{} octets", nonce.len()),
        Payload::Notify(n) => notify(n),
        Payload::Delete(delete) => deleted(delete),
        Payload::VendorId(octets) => vendor(octets),
        Payload::TsI(selectors) | Payload::TsR(selectors) => {
            listed(selectors, " ", TrafficSelector::to_string)
        }
        Payload::Other { body, critical, .. } => {
            let critical = if *critical { ", critical" } else { "" };
            format!("{} octets{critical}", body.len())
        }
    };
    Told {
        kind: payload.kind().to_string(),
        text,
    }
}

/// The first of a list, and how many more there are.
fn listed<T>(list: &[T], separator: &str, text: impl Fn(&T) -> String) -> String {
    let first: Vec<String> = list.iter().take(LISTED).map(text).collect();
    let mut all = first.join(separator);
    if list.len() > LISTED {
        all += &format!("{separator}and {} more", list.len() - LISTED);
    }
    all
}

/// `1 ESP cd2a4c11: aes128 sha1 modp1024 esn 0`.
fn proposal(proposal: &Proposal) -> String {
    let spi = hex(&proposal.spi);
    let space = if spi.is_empty() { "" } else { " " };
    let mut text = format!("{} {}{space}{spi}:", proposal.number, proposal.protocol);
    for transform in proposal.transforms.iter().take(LISTED) {
        let known = [
            transform.as_encr().map(|t| t.to_string()),
            transform.as_integ().map(|t| t.to_string()),
            transform.as_prf().map(|t| t.to_string()),
            transform.as_ke().map(|t| t.to_string()),
        ];
        let name = known.into_iter().flatten().next();
        let name = name.unwrap_or_else(|| match (transform.kind, transform.id) {
            (TransformType::Esn, 0) => "noesn".to_owned(),
            (TransformType::Esn, 1) => "esn".to_owned(),
            (kind, id) => match transform.key_length {
                Some(bits) => format!("{kind}={id}/{bits}"),
                None => format!("{kind}={id}"),
            },
        });
        text += &format!(" {name}");
    }
    if proposal.transforms.len() > LISTED {
        text += &format!(" and {} more", proposal.transforms.len() - LISTED);
    }
    text
}

fn group(number: u16) -> String {
    ke_from_group(number).map_or_else(|| format!("group {number}"), |ke| ke.to_string())
}

fn notify(notify: &Notify) -> String {
    let mut text = notify.kind.to_string();
    if matches!(
        notify.kind,
        NotifyType::UnknownError(_) | NotifyType::UnknownStatus(_)
    ) {
        text = format!("type {text}");
    }
    if notify.protocol != ProtocolId::None && !notify.spi.is_empty() {
        text += &format!(" {} {}", notify.protocol, hex(&notify.spi));
    }
    let data = notify.data.as_slice();
    let number = || data.iter().fold(0u64, |sum, b| sum << 8 | u64::from(*b));
    match (notify.kind, data.len()) {
        (_, 0) => {}
        (NotifyType::InvalidKePayload, 2) => {
            text += &format!(" {}", group(u16::from_be_bytes([data[0], data[1]])));
        }
        (NotifyType::AuthLifetime, 4) => text += &format!(" {} s", number()),
        (NotifyType::InvalidSpi, 4) => text += &format!(" {}", hex(data)),
        (_, octets) => text += &format!(", {octets} octets"),
    }
    text
}

fn deleted(delete: &Delete) -> String {
    let spis = |list: &[u32]| listed(list, " ", |spi| format!("{spi:08x}"));
    match delete {
        Delete::Ike => "IKE".to_owned(),
        Delete::Esp(list) => format!("ESP {}", spis(list)),
        Delete::Ah(list) => format!("AH {}", spis(list)),
    }
}

/// As text where it is one, and in hexadecimal.
fn vendor(octets: &[u8]) -> String {
    let told = octets.get(..VENDOR).unwrap_or(octets);
    let more = if told.len() < octets.len() { "..." } else { "" };
    match std::str::from_utf8(told) {
        Ok(text) if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') => {
            format!("\"{text}\"{more}")
        }
        _ => format!("{}{more}", hex(told)),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{AuthPayload, KePayload, SaPayload, Transform};
    use crate::registry::AuthMethod;

    fn text(payload: &Payload) -> String {
        let told = told(payload);
        format!("{} {}", told.kind, told.text)
    }

    #[test]
    fn what_is_secret_or_random_is_a_length() {
        let ke = KePayload {
            group: 31,
            data: vec![0xab; 32],
        };
        assert_eq!(text(&Payload::Ke(ke)), "KE x25519, 32 octets");
        assert_eq!(text(&Payload::Nonce(vec![0xab; 16])), "NONCE 16 octets");
        let auth = AuthPayload {
            method: AuthMethod::SharedKey,
            data: vec![0xab; 20],
        };
        assert_eq!(text(&Payload::Auth(auth)), "AUTH SHARED_KEY, 20 octets");
        let cookie = Notify::status(NotifyType::Cookie, vec![0xab; 24]);
        assert_eq!(text(&Payload::Notify(cookie)), "N COOKIE, 24 octets");
    }

    #[test]
    fn proposals_and_notifies_are_told_whole() {
        let mut transforms = vec![Transform::new(TransformType::Encr, 12)];
        transforms[0].key_length = Some(128);
        transforms.extend([
            Transform::new(TransformType::Integ, 2),
            Transform::new(TransformType::Esn, 0),
            Transform::new(TransformType::Ke, 999),
        ]);
        let proposal = Proposal {
            number: 1,
            protocol: ProtocolId::Esp,
            spi: vec![0xcd, 0x2a, 0x4c, 0x11],
            transforms,
        };
        let sa = SaPayload {
            proposals: vec![proposal],
        };
        assert_eq!(
            text(&Payload::Sa(sa)),
            "SA 1 ESP cd2a4c11: aes128 sha1 noesn KE=999"
        );
        let rekey = Notify::about_esp(NotifyType::RekeySa, 0xcd2a_4c11);
        assert_eq!(text(&Payload::Notify(rekey)), "N REKEY_SA ESP cd2a4c11");
        let wanted = Notify::status(NotifyType::InvalidKePayload, vec![0, 14]);
        assert_eq!(
            text(&Payload::Notify(wanted)),
            "N INVALID_KE_PAYLOAD modp2048"
        );
        assert_eq!(
            text(&Payload::VendorId(b"strongSwan".to_vec())),
            "V \"strongSwan\""
        );
        assert_eq!(
            text(&Payload::Delete(Delete::Esp(vec![7]))),
            "D ESP 00000007"
        );
    }
}
