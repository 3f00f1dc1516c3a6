//! The codec against octets laid out by hand from RFC 7296 section 3.
#![allow(clippy::unwrap_used)]

use hawser_flight::MessageError;
use hawser_ike::message::Message;
use hawser_ike::payload::{
    Delete, Notify, ParseError, Payload, Transform, encode_chain, parse_chain,
};
use hawser_ike::registry::{ExchangeType, NotifyType, PayloadType, ProtocolId, TransformType};
use hawser_policy::{Identity, TrafficSelector};

/// An IKE_SA_INIT request: SA with one proposal of four transforms, KE, Ni.
fn init_request() -> Vec<u8> {
    let mut octets = vec![
        1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, // SPIs
        33, 0x20, 34, 0x08, 0, 0, 0, 0, 0, 0, 0, 136, // SA next; 2.0; INIT; I; ID 0; length
        34, 0, 0, 48, // SA: KE next, 48 octets
        0, 0, 0, 44, 1, 1, 0,
        4, // last proposal, 44 octets, number 1, IKE, no SPI, 4 transforms
        3, 0, 0, 12, 1, 0, 0, 12, 0x80, 14, 0, 128, // ENCR_AES_CBC, 128 bits
        3, 0, 0, 8, 2, 0, 0, 2, // PRF_HMAC_SHA1
        3, 0, 0, 8, 3, 0, 0, 2, // AUTH_HMAC_SHA1_96
        0, 0, 0, 8, 4, 0, 0, 2, // group 2
        40, 0, 0, 12, 0, 2, 0, 0, 0xaa, 0xbb, 0xcc, 0xdd, // KE: group 2
        0, 0, 0, 48, // Nonce of 44 octets
    ];
    octets.extend([0x5a; 44]);
    octets
}

#[test]
fn init_request_is_read_as_laid_out() {
    let octets = init_request();
    let message = Message::parse_clear(&octets).unwrap();
    assert_eq!(message.header.spi_i, 0x0102_0304_0506_0708);
    assert_eq!(message.header.spi_r, 0);
    assert_eq!((message.header.major, message.header.minor), (2, 0));
    assert_eq!(message.header.exchange, ExchangeType::IkeSaInit);
    assert!(message.header.flags.initiator && !message.header.flags.response);
    let [proposal] = message.sa().unwrap().proposals.as_slice() else {
        panic!("one proposal");
    };
    assert_eq!((proposal.number, proposal.protocol), (1, ProtocolId::Ike));
    assert_eq!(
        proposal.transforms,
        [
            Transform {
                key_length: Some(128),
                ..Transform::new(TransformType::Encr, 12)
            },
            Transform::new(TransformType::Prf, 2),
            Transform::new(TransformType::Integ, 2),
            Transform::new(TransformType::Ke, 2),
        ]
    );
    let ke = message.ke().unwrap();
    assert_eq!(
        (ke.group, ke.data.as_slice()),
        (2, &[0xaa, 0xbb, 0xcc, 0xdd][..])
    );
    assert_eq!(message.nonce().unwrap(), [0x5a; 44]);
    assert_eq!(message.encode_clear(), octets);
}

#[test]
fn every_cut_of_a_message_is_refused() {
    let octets = init_request();
    for len in 0..octets.len() {
        let mut cut = octets[..len].to_vec();
        assert_eq!(Message::parse_clear(&cut), Err(MessageError::BadLength));
        // Also where the header agrees with what is left.
        if let Some(field) = cut.get_mut(24..28) {
            field.copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
            assert_eq!(
                Message::parse_clear(&cut),
                Err(MessageError::BadPayload),
                "{len}"
            );
        }
    }
    let longer = [octets, vec![0]].concat();
    assert_eq!(Message::parse_clear(&longer), Err(MessageError::BadLength));
}

/// Parses one payload of a kind given its body; the generic header is made here.
fn one(kind: u8, flags: u8, body: &[u8]) -> Result<Payload, ParseError> {
    let length = u16::try_from(body.len() + 4).unwrap().to_be_bytes();
    let octets = [&[0, flags, length[0], length[1]], body].concat();
    parse_chain(PayloadType::from_u8(kind), &octets).map(|mut all| all.remove(0))
}

fn is_bad(kind: u8, body: &[u8]) -> bool {
    matches!(one(kind, 0, body), Err(ParseError::Bad(k, _)) if k.to_u8() == kind)
}

#[test]
fn critical_bit_matters_for_unknown_types_only() {
    assert_eq!(one(200, 0x80, b"x"), Err(ParseError::CriticalPayload(200)));
    let unknown = one(200, 0, b"x").unwrap();
    assert_eq!(unknown.kind(), PayloadType::Unknown(200));
    assert_eq!(
        one(43, 0x80, b"x").unwrap(),
        Payload::VendorId(b"x".to_vec())
    );
    assert!(one(37, 0x80, b"x").is_ok());
    let notify = ParseError::CriticalPayload(200).notify();
    assert_eq!(notify.kind, NotifyType::UnsupportedCriticalPayload);
    assert_eq!(notify.data, [200]);
}

#[test]
fn chain_is_bounded_and_closed() {
    let vendors = |n| vec![Payload::VendorId(vec![]); n];
    let parse = |n| {
        let (first, octets) = encode_chain(&vendors(n));
        parse_chain(first, &octets)
    };
    assert_eq!(parse(64).unwrap().len(), 64);
    assert!(parse(65).is_err());
    assert!(
        parse_chain(PayloadType::None, &[0]).is_err(),
        "octets behind"
    );
    assert!(is_bad(46, &[0; 40]), "SK in clear");
    assert!(is_bad(53, &[0; 40]), "SKF in clear");
    for length in 0..4 {
        let octets = [0, 0, 0, length];
        assert!(
            parse_chain(PayloadType::VendorId, &octets).is_err(),
            "{length}"
        );
    }
}

#[test]
fn nonce_has_16_to_256_octets() {
    for (len, good) in [(15, false), (16, true), (256, true), (257, false)] {
        assert_eq!(one(40, 0, &vec![7; len]).is_ok(), good, "{len}");
    }
}

#[test]
fn identities_are_read_as_laid_out() {
    let v4 = one(35, 0, &[1, 0, 0, 0, 10, 0, 0, 1]).unwrap();
    assert_eq!(v4, Payload::IdI(Identity::Ipv4([10, 0, 0, 1].into())));
    // RESERVED is ignored.
    let fqdn = one(36, 0, b"\x02\x09\x09\x09test").unwrap();
    assert_eq!(fqdn, Payload::IdR(Identity::Fqdn("test".into())));
    let mail = one(35, 0, b"\x03\0\0\0a@b").unwrap();
    assert_eq!(mail, Payload::IdI(Identity::Email("a@b".into())));
    let key = one(35, 0, b"\x0b\0\0\0\xff\x00").unwrap();
    assert_eq!(key, Payload::IdI(Identity::KeyId(vec![0xff, 0])));
    let dn = one(35, 0, b"\x09\0\0\0\x30\x00").unwrap();
    assert_eq!(dn, Payload::IdI(Identity::DistinguishedName(vec![0x30, 0])));
    for bad in [
        &b"\x01\0\0\0\x0a\0\0"[..], // three octets of an address
        b"\x05\0\0\0\x0a\0\0\x01",  // four octets as IPv6
        b"\x02\0\0\0\xff",          // not UTF-8
        b"\x02\0\0\0",              // no name
        b"\x0d\0\0\0",              // ID_NULL
        b"\x02\0\0",                // no RESERVED
    ] {
        assert!(is_bad(35, bad), "{bad:?}");
    }
    let octets = hawser_ike::payload::id::encode_identity(&Identity::Fqdn("test".into()));
    assert_eq!(octets, b"\x02\0\0\0test");
}

#[test]
fn notifications_are_read_as_laid_out() {
    let rekey = one(41, 0, &[3, 4, 0x40, 0x09, 0, 0, 1, 2]).unwrap();
    let expected = Notify::about_esp(NotifyType::RekeySa, 0x0102);
    assert_eq!(expected.esp_spi(), Some(0x0102));
    let about_ah = Notify {
        protocol: ProtocolId::Ah,
        ..expected.clone()
    };
    assert_eq!(about_ah.esp_spi(), None);
    assert_eq!(rekey, Payload::Notify(expected));
    let cookie = one(41, 0, &[0, 0, 0x40, 0x06, 9, 9]).unwrap();
    let expected = Notify::status(NotifyType::Cookie, vec![9, 9]);
    assert_eq!(expected.esp_spi(), None);
    assert_eq!(cookie, Payload::Notify(expected));
    let error = one(41, 0, &[0, 0, 0, 14]).unwrap();
    assert_eq!(
        error,
        Payload::Notify(Notify::error(NotifyType::NoProposalChosen))
    );
    assert!(NotifyType::from_u16(16383).is_error() && !NotifyType::from_u16(16384).is_error());
    assert!(is_bad(41, &[3, 4, 0x40, 0x09, 0, 0, 1]), "cut SPI");
    assert!(is_bad(41, &[0, 0, 0]));
}

#[test]
fn deletes_are_read_as_laid_out() {
    assert_eq!(one(42, 0, &[1, 0, 0, 0]), Ok(Payload::Delete(Delete::Ike)));
    let two = one(42, 0, &[3, 4, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    assert_eq!(two, Ok(Payload::Delete(Delete::Esp(vec![1, 2]))));
    let ah = one(42, 0, &[2, 4, 0, 1, 0, 0, 0, 9]);
    assert_eq!(ah, Ok(Payload::Delete(Delete::Ah(vec![9]))));
    for bad in [
        &[3, 4, 0, 2, 0, 0, 0, 1][..], // one SPI of two
        &[3, 4, 0, 1, 0, 0, 0, 1, 0],  // an octet behind
        &[3, 8, 0, 1, 0, 0, 0, 1],     // SPI size
        &[1, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1],
        &[7, 4, 0, 0],
        &[3, 4, 0],
    ] {
        assert!(is_bad(42, bad), "{bad:?}");
    }
}

#[test]
fn selectors_are_read_as_laid_out() {
    let v4 = [7, 6, 0, 16, 0, 80, 0, 90, 10, 0, 0, 0, 10, 0, 0, 255];
    let one_of = |count: u8, parts: &[&[u8]]| {
        let body = [&[count, 0, 0, 0], parts.concat().as_slice()].concat();
        one(44, 0, &body)
    };
    let expected = TrafficSelector::parse("10.0.0.0/24[tcp/80-90]").unwrap();
    assert_eq!(one_of(1, &[&v4]), Ok(Payload::TsI(vec![expected])));
    // A Fibre Channel selector (RFC 4595) is skipped.
    let unknown = [9, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        one_of(3, &[&unknown, &v4, &v4]),
        Ok(Payload::TsI(vec![expected; 2]))
    );
    let mut opaque = v4;
    opaque[4..8].copy_from_slice(&[0xff, 0xff, 0, 0]);
    assert!(one_of(1, &[&opaque]).is_ok());
    let with = |at: usize, value: u8| {
        let mut selector = v4;
        selector[at] = value;
        one_of(1, &[&selector])
    };
    assert!(with(3, 15).is_err(), "length");
    assert!(with(3, 17).is_err(), "length");
    assert!(with(0, 8).is_err(), "IPv6 with IPv4's length");
    let mut long = [v4.as_slice(), &[0]].concat();
    long[3] = 17;
    assert!(
        one_of(1, &[&long]).is_err(),
        "an octet behind the addresses"
    );
    assert!(with(12, 9).is_err(), "addresses out of order");
    assert!(with(7, 79).is_err(), "ports out of order");
    assert!(one_of(2, &[&v4]).is_err(), "count too high");
    assert!(one_of(0, &[&v4]).is_err(), "count too low");
}

#[test]
fn transforms_with_other_attributes_are_marked() {
    let sa = |attributes: &[u8]| {
        let len = u8::try_from(8 + attributes.len()).unwrap();
        let transform = [&[0, 0, 0, len, 1, 0, 0, 12], attributes].concat();
        let body = [&[0, 0, 0, 8 + len, 1, 1, 0, 1], transform.as_slice()].concat();
        match one(33, 0, &body) {
            Ok(Payload::Sa(sa)) => Some(sa.proposals[0].transforms[0]),
            _ => None,
        }
    };
    let key = [0x80, 14, 0, 128];
    let unknown_tv = [0x80, 15, 0, 1];
    let unknown_tlv = [0, 15, 0, 2, 9, 9];
    let key_tlv = [0, 14, 0, 2, 0, 128];
    let marked = |attributes: &[&[u8]]| sa(&attributes.concat()).unwrap().has_unknown_attribute;
    assert!(!marked(&[]) && !marked(&[&key]));
    assert!(marked(&[&unknown_tv]) && marked(&[&key, &unknown_tlv]));
    assert!(marked(&[&key_tlv]) && marked(&[&key, &key]));
    assert_eq!(
        sa(&[unknown_tlv.as_slice(), &key].concat())
            .unwrap()
            .key_length,
        Some(128)
    );
    assert!(
        sa(&[0, 15, 0, 3, 9, 9]).is_none(),
        "attribute past the transform"
    );
    assert!(sa(&[0x80, 14, 0]).is_none(), "cut attribute");
}

#[test]
fn proposals_must_be_marked_and_counted_rightly() {
    // Two proposals without transforms.
    let good = [2, 0, 0, 8, 1, 1, 0, 0, 0, 0, 0, 8, 2, 1, 0, 0];
    assert!(one(33, 0, &good).is_ok());
    let with = |at: usize, value: u8| {
        let mut octets = good;
        octets[at] = value;
        is_bad(33, &octets)
    };
    assert!(with(0, 0), "marked last, another follows");
    assert!(with(8, 2), "marked more, none follows");
    assert!(with(0, 3) && with(8, 3), "unknown mark");
    assert!(with(3, 7) && with(3, 9) && with(11, 9), "lengths");
    assert!(with(6, 1), "SPI past the proposal");
    assert!(with(7, 1), "transform past the proposal");
    assert!(is_bad(33, &[]), "no proposal");
}

#[test]
fn transforms_must_be_marked_and_counted_rightly() {
    let good = [
        0, 0, 0, 24, 1, 1, 0, 2, // a proposal of two transforms
        3, 0, 0, 8, 2, 0, 0, 2, //
        0, 0, 0, 8, 3, 0, 0, 2,
    ];
    assert!(one(33, 0, &good).is_ok());
    let with = |at: usize, value: u8| {
        let mut octets = good;
        octets[at] = value;
        is_bad(33, &octets)
    };
    assert!(with(8, 0), "marked last, another follows");
    assert!(with(16, 3), "marked more, none follows");
    assert!(with(8, 2) && with(16, 2), "unknown mark");
    assert!(with(7, 1) && with(7, 3), "count");
    assert!(
        with(11, 7) && with(11, 9) && with(19, 7) && with(19, 9),
        "lengths"
    );
}
