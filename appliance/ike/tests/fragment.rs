//! The Encrypted payload, its fragments and their reassembly: RFC 7296 section 3.14, RFC 7383.
#![allow(clippy::unwrap_used)]

use hawser_crypto::{Encr, IkeCipher, Integ};
use hawser_flight::MessageError;
use hawser_ike::fragment::Reassembly;
use hawser_ike::header::{Flags, Header};
use hawser_ike::message::Message;
use hawser_ike::payload::{Notify, Payload, encode_chain, parse_chain};
use hawser_ike::protect::{Opened, open, seal};
use hawser_ike::registry::{ExchangeType, NotifyType, PayloadType};
use proptest::prelude::*;

/// IP, UDP and non-ESP marker taken from the least MTU of IPv6.
const LIMIT: usize = 1280 - 40 - 8 - 4;

const SUITES: [(Encr, Option<Integ>); 3] = [
    (Encr::AesCbc128, Some(Integ::HmacSha1_96)),
    (Encr::AesGcm256, None),
    (Encr::ChaCha20Poly1305, None),
];

fn cipher((encr, integ): (Encr, Option<Integ>), key: u8) -> IkeCipher {
    let sk_a = vec![key; integ.map_or(0, Integ::key_len)];
    IkeCipher::new(encr, integ, &vec![key; encr.key_len()], &sk_a).unwrap()
}

fn header() -> Header {
    let flags = Flags {
        initiator: true,
        ..Flags::default()
    };
    Header::new(11, 22, ExchangeType::Informational, flags, 7)
}

fn seal_all(payloads: &[Payload], cipher: &IkeCipher, limit: Option<usize>) -> Vec<Vec<u8>> {
    let mut counter = 0u8;
    let mut iv = |out: &mut [u8]| {
        counter += 1;
        out.fill(counter);
    };
    seal(&header(), payloads, cipher, &mut iv, limit)
}

fn sized(octets: usize) -> Vec<Payload> {
    let data = (0..octets).map(|i| (i % 251) as u8).collect();
    vec![
        Payload::Notify(Notify::status(NotifyType::UnknownStatus(40_000), data)),
        Payload::VendorId(b"last".to_vec()),
    ]
}

/// Opens every datagram and reassembles them in the order given.
fn receive(datagrams: &[Vec<u8>], cipher: &IkeCipher) -> Option<Vec<Payload>> {
    let mut reassembly = Reassembly::new();
    for datagram in datagrams {
        let (header, opened) = open(&mut datagram.clone(), cipher).unwrap();
        let whole = match opened {
            Opened::Whole { first, body } => Some((first, body)),
            Opened::Fragment {
                first,
                number,
                total,
                body,
            } => reassembly.add(number, total, first, body).unwrap(),
        };
        if let Some((first, body)) = whole {
            return Some(Message::from_chain(header, first, &body).unwrap().payloads);
        }
    }
    None
}

#[test]
fn small_messages_go_whole() {
    for suite in SUITES {
        let cipher = cipher(suite, 1);
        for payloads in [vec![], sized(0), sized(300)] {
            let sealed = seal_all(&payloads, &cipher, Some(LIMIT));
            assert_eq!(sealed.len(), 1);
            let datagram = &sealed[0];
            assert_eq!(datagram[16], 46, "SK");
            assert_eq!(
                datagram[24..28],
                u32::try_from(datagram.len()).unwrap().to_be_bytes()
            );
            assert_eq!(
                datagram[28],
                payloads.first().map_or(0, |p| p.kind().to_u8())
            );
            assert_eq!(
                datagram[30..32],
                u16::try_from(datagram.len() - 28).unwrap().to_be_bytes()
            );
            assert_eq!(receive(&sealed, &cipher), Some(payloads));
        }
    }
}

#[test]
fn large_messages_go_in_fragments() {
    for suite in SUITES {
        let cipher = cipher(suite, 1);
        let payloads = sized(5000);
        let sealed = seal_all(&payloads, &cipher, Some(LIMIT));
        let total = u8::try_from(sealed.len()).unwrap();
        assert!(total >= 5);
        for (number, datagram) in (1u8..).zip(&sealed) {
            assert!(datagram.len() <= LIMIT);
            assert_eq!(datagram[16], 53, "SKF");
            assert_eq!(
                datagram[28],
                if number == 1 { 41 } else { 0 },
                "inner next payload"
            );
            assert_eq!(datagram[32..36], [0, number, 0, total]);
        }
        assert_eq!(receive(&sealed, &cipher), Some(payloads.clone()));
        let backwards: Vec<_> = sealed.iter().rev().cloned().collect();
        assert_eq!(receive(&backwards, &cipher), Some(payloads.clone()));
        assert_eq!(receive(&sealed[1..], &cipher), None);
        // The limit is the last length that goes whole.
        let whole = seal_all(&payloads, &cipher, None)[0].len();
        assert_eq!(seal_all(&payloads, &cipher, Some(whole)).len(), 1);
        assert!(seal_all(&payloads, &cipher, Some(whole - 1)).len() > 1);
        // Without leave to fragment, or without room for it, it goes whole.
        assert_eq!(seal_all(&payloads, &cipher, None).len(), 1);
        assert_eq!(seal_all(&payloads, &cipher, Some(40)).len(), 1);
    }
}

#[test]
fn each_octet_is_protected() {
    for suite in SUITES {
        let good = cipher(suite, 1);
        for limit in [None, Some(200)] {
            let sealed = seal_all(&sized(250), &good, limit).remove(0);
            assert!(open(&mut sealed.clone(), &good).is_ok());
            let other = open(&mut sealed.clone(), &cipher(suite, 2));
            assert_eq!(other, Err(MessageError::IntegrityFailed));
            for i in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[i] ^= 0x01;
                let error = open(&mut changed, &good).unwrap_err();
                // The one error that an attacker cannot provoke.
                assert_ne!(error, MessageError::BadPayload, "octet {i}");
                let cut = open(&mut sealed[..i].to_vec(), &good);
                assert_eq!(cut, Err(MessageError::BadLength));
            }
        }
    }
}

#[test]
fn encrypted_payload_must_be_first_and_last() {
    let cipher = cipher(SUITES[0], 1);
    let vendor = [Payload::VendorId(vec![0; 8])];
    let clear = Message {
        header: header(),
        payloads: vendor.to_vec(),
    }
    .encode_clear();
    assert_eq!(
        open(&mut clear.clone(), &cipher),
        Err(MessageError::PayloadRules)
    );
    let sealed = seal_all(&vendor, &cipher, None).remove(0);
    assert_eq!(Message::parse_clear(&sealed), Err(MessageError::BadPayload));
    let (_, more) = encode_chain(&vendor);
    let mut behind = [sealed, more].concat();
    let length = u32::try_from(behind.len()).unwrap();
    behind[24..28].copy_from_slice(&length.to_be_bytes());
    assert_eq!(open(&mut behind, &cipher), Err(MessageError::BadLength));
    // SK too short for anything: the four octets of the generic header only.
    let mut empty = Vec::new();
    Header {
        next_payload: PayloadType::Encrypted,
        length: 32,
        ..header()
    }
    .encode(&mut empty);
    empty.extend([0, 0, 0, 4]);
    assert_eq!(
        open(&mut empty, &cipher),
        Err(MessageError::IntegrityFailed)
    );
}

#[test]
fn impossible_fragment_numbers_are_refused() {
    let cipher = cipher(SUITES[1], 1);
    let sealed = seal_all(&sized(600), &cipher, Some(300)).remove(0);
    for (number, total) in [(0u16, 3u16), (1, 0), (0, 0), (4, 3), (1, 65), (65, 65)] {
        let mut changed = sealed.clone();
        changed[32..34].copy_from_slice(&number.to_be_bytes());
        changed[34..36].copy_from_slice(&total.to_be_bytes());
        assert_eq!(open(&mut changed, &cipher), Err(MessageError::BadFragment));
        let added = Reassembly::new().add(number, total, PayloadType::Sa, vec![]);
        assert_eq!(added, Err(MessageError::BadFragment));
    }
}

fn part(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[test]
fn reassembles_in_any_order() {
    let mut all = Reassembly::new();
    assert_eq!(all.add(3, 3, PayloadType::None, part("c")), Ok(None));
    assert_eq!(all.add(1, 3, PayloadType::IdI, part("a")), Ok(None));
    // A duplicate, even one that differs, changes nothing.
    assert_eq!(all.add(1, 3, PayloadType::Sa, part("x")), Ok(None));
    let whole = (PayloadType::IdI, part("abc"));
    assert_eq!(all.add(2, 3, PayloadType::None, part("b")), Ok(Some(whole)));
    // Given out once only.
    for number in 1..=3 {
        assert_eq!(all.add(number, 3, PayloadType::IdI, part("a")), Ok(None));
    }
    assert_eq!(all.add(1, 1, PayloadType::IdI, part("a")), Ok(None));
    let single = Reassembly::new().add(1, 1, PayloadType::Sa, part("z"));
    assert_eq!(single, Ok(Some((PayloadType::Sa, part("z")))));
}

#[test]
fn a_larger_total_begins_anew() {
    let mut all = Reassembly::new();
    assert_eq!(all.add(1, 2, PayloadType::IdI, part("old")), Ok(None));
    assert_eq!(all.add(2, 3, PayloadType::None, part("b")), Ok(None));
    // What is left of the first try is refused and does no harm.
    let late = all.add(2, 2, PayloadType::None, part("old"));
    assert_eq!(late, Err(MessageError::BadFragment));
    assert_eq!(all.add(3, 3, PayloadType::None, part("c")), Ok(None));
    let whole = (PayloadType::IdR, part("abc"));
    assert_eq!(all.add(1, 3, PayloadType::IdR, part("a")), Ok(Some(whole)));
}

#[test]
fn memory_is_bounded() {
    let mut all = Reassembly::new();
    let half = vec![0; 32 * 1024];
    assert_eq!(all.add(1, 4, PayloadType::IdI, half.clone()), Ok(None));
    assert_eq!(all.add(2, 4, PayloadType::None, half.clone()), Ok(None));
    assert_eq!(
        all.add(3, 4, PayloadType::None, vec![0]),
        Err(MessageError::BadFragment)
    );
    // Beginning anew frees what was held.
    assert_eq!(all.add(1, 5, PayloadType::IdI, half), Ok(None));
}

proptest! {
    #[test]
    fn any_size_comes_through(
        octets in 0usize..6000,
        limit in 150usize..1400,
        suite in 0usize..3,
    ) {
        let cipher = cipher(SUITES[suite], 3);
        let payloads = sized(octets);
        let sealed = seal_all(&payloads, &cipher, Some(limit));
        prop_assert!(sealed.len() == 1 || sealed.iter().all(|d| d.len() <= limit));
        prop_assert_eq!(receive(&sealed, &cipher), Some(payloads));
    }

    #[test]
    fn any_datagram_is_survived(mut octets in prop::collection::vec(any::<u8>(), 0..200), suite in 0usize..3) {
        let mut framed = octets.clone();
        let length = framed.len() as u32;
        if let Some(field) = framed.get_mut(24..28) {
            field.copy_from_slice(&length.to_be_bytes());
            framed[16] = if length.is_multiple_of(2) { 46 } else { 53 };
        }
        prop_assert!(open(&mut octets, &cipher(SUITES[suite], 1)).is_err());
        prop_assert!(open(&mut framed, &cipher(SUITES[suite], 1)).is_err());
    }

    #[test]
    fn any_fragments_are_survived(
        parts in prop::collection::vec((0u16..70, 0u16..70, any::<u8>(), 0usize..3000), 0..200)
    ) {
        let mut all = Reassembly::new();
        for (number, total, first, len) in parts {
            let first = PayloadType::from_u8(first);
            if let Ok(Some((first, whole))) = all.add(number, total, first, vec![0; len]) {
                prop_assert!(whole.len() <= 64 * 1024);
                let _ = parse_chain(first, &whole);
            }
        }
    }
}
