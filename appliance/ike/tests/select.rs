//! Negotiation: RFC 7296 sections 2.7 and 3.3.
#![allow(clippy::unwrap_used)]

use hawser_crypto::{Encr, Integ, KeyExchange, Prf};
use hawser_ike::payload::{Payload, Proposal, SaPayload, Transform, encode_chain, parse_chain};
use hawser_ike::registry::{
    ProtocolId, TransformType, encr_transform, integ_transform, ke_from_group, ke_group,
    ke_transform, prf_transform,
};
use hawser_ike::select::*;
use hawser_policy::{EspProposal, IkeProposal};
use proptest::prelude::*;
use proptest::sample::subsequence;

const SPI: u32 = 0xc0ff_ee00;

fn ike(texts: &[&str]) -> Vec<IkeProposal> {
    texts
        .iter()
        .map(|t| IkeProposal::parse(t).unwrap())
        .collect()
}

fn esp(texts: &[&str]) -> Vec<EspProposal> {
    texts
        .iter()
        .map(|t| EspProposal::parse(t).unwrap())
        .collect()
}

fn offer_ike(texts: &[&str]) -> SaPayload {
    ike_proposals_to_sa(&ike(texts), None)
}

fn offer_esp(texts: &[&str], with_ke: bool) -> SaPayload {
    esp_proposals_to_sa(&esp(texts), SPI, with_ke)
}

fn chosen_ike(offered: &SaPayload, ours: &[&str], group: Option<u16>) -> Option<(u8, String)> {
    select_ike(offered, &ike(ours), group).map(|s| (s.number, s.suite.to_string()))
}

fn chosen_esp(offered: &SaPayload, ours: &[&str], with_ke: bool) -> Option<(u8, String)> {
    select_esp(offered, &esp(ours), with_ke).map(|s| (s.number, s.suite.to_string()))
}

fn some(number: u8, suite: &str) -> Option<(u8, String)> {
    Some((number, suite.to_owned()))
}

/// What the wire makes of it, so that the tests speak of octets too.
fn over_the_wire(sa: &SaPayload) -> SaPayload {
    let (first, octets) = encode_chain(&[Payload::Sa(sa.clone())]);
    match parse_chain(first, &octets).unwrap().remove(0) {
        Payload::Sa(sa) => sa,
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_are_ianas() {
    let groups: Vec<u16> = KeyExchange::ALL.into_iter().map(ke_group).collect();
    assert_eq!(groups, [2, 5, 14, 15, 16, 19, 20, 31]);
    assert!(
        KeyExchange::ALL
            .into_iter()
            .all(|k| ke_from_group(ke_group(k)) == Some(k))
    );
    assert_eq!(ke_from_group(1), None);
    let encrs = Encr::ALL.map(|e| (encr_transform(e).id, encr_transform(e).key_length));
    let (cbc, gcm) = ([128, 192, 256], [128, 256]);
    assert_eq!(encrs[..3], cbc.map(|bits| (12, Some(bits))));
    assert_eq!(encrs[3..5], gcm.map(|bits| (20, Some(bits))));
    assert_eq!(encrs[5..], [(28, None)]);
    assert_eq!(Integ::ALL.map(|i| integ_transform(i).id), [2, 12, 13, 14]);
    assert_eq!(Prf::ALL.map(|p| prf_transform(p).id), [2, 5, 6, 7]);
    let offered = offer_ike(&[
        "aes192-sha384-prfsha512-x25519",
        "chacha20poly1305-prfsha1-ecp384",
    ]);
    let numbers: Vec<Vec<(u8, u16, Option<u16>)>> = offered
        .proposals
        .iter()
        .map(|p| {
            p.transforms
                .iter()
                .map(|t| (t.kind.to_u8(), t.id, t.key_length))
                .collect()
        })
        .collect();
    assert_eq!(
        numbers,
        [
            vec![
                (1, 12, Some(192)),
                (3, 13, None),
                (2, 7, None),
                (4, 31, None)
            ],
            vec![(1, 28, None), (2, 2, None), (4, 20, None)],
        ]
    );
    let offered = offer_esp(&["aes256gcm16-modp2048-esn-noesn", "aes128-sha512"], true);
    let numbers: Vec<Vec<(u8, u16, Option<u16>)>> = offered
        .proposals
        .iter()
        .map(|p| {
            p.transforms
                .iter()
                .map(|t| (t.kind.to_u8(), t.id, t.key_length))
                .collect()
        })
        .collect();
    assert_eq!(
        numbers,
        [
            vec![
                (1, 20, Some(256)),
                (4, 14, None),
                (5, 1, None),
                (5, 0, None)
            ],
            vec![(1, 12, Some(128)), (3, 14, None), (5, 0, None)],
        ]
    );
}

#[test]
fn every_algorithm_is_read_back() {
    for e in Encr::ALL {
        assert_eq!(encr_transform(e).as_encr(), Some(e));
    }
    for p in Prf::ALL {
        assert_eq!(prf_transform(p).as_prf(), Some(p));
    }
    for i in Integ::ALL {
        assert_eq!(integ_transform(i).as_integ(), Some(i));
    }
    for k in KeyExchange::ALL {
        assert_eq!(ke_transform(k).as_ke(), Some(k));
    }
}

#[test]
fn key_length_rules() {
    let aes = |key_length| Transform {
        key_length,
        ..Transform::new(TransformType::Encr, 12)
    };
    assert_eq!(aes(Some(256)).as_encr(), Some(Encr::AesCbc256));
    assert_eq!(aes(None).as_encr(), None);
    assert_eq!(aes(Some(0)).as_encr(), None);
    let fixed = Transform {
        key_length: Some(256),
        ..encr_transform(Encr::ChaCha20Poly1305)
    };
    assert_eq!(fixed.as_encr(), None);
    let group = Transform {
        key_length: Some(128),
        ..ke_transform(KeyExchange::X25519)
    };
    assert_eq!(group.as_ke(), None);
}

#[test]
fn our_order_decides() {
    let offered = offer_ike(&["aes128-aes256-sha1-sha256-modp1024-modp2048"]);
    let ours = ["aes256-aes128-sha256-sha1-modp2048-modp1024"];
    // PRFs follow the integrity algorithms in the configuration's order.
    assert_eq!(
        chosen_ike(&offered, &ours, None),
        some(1, "aes256-sha256-modp2048")
    );
    let offered = offer_ike(&["aes128-sha1-modp1024", "aes256gcm16-prfsha384-x25519"]);
    let ours = ["aes256gcm16-prfsha384-x25519", "aes128-sha1-modp1024"];
    assert_eq!(
        chosen_ike(&offered, &ours, None),
        some(2, "aes256gcm16-prfsha384-x25519")
    );
    assert_eq!(
        chosen_ike(&offered, &ours[1..], None),
        some(1, "aes128-sha1-modp1024")
    );
    assert_eq!(chosen_ike(&offered, &["aes128-sha1-modp2048"], None), None);
    // All of a suite must come from one proposal.
    let split = offer_ike(&["aes128-sha1-modp2048", "aes256-sha256-modp2048"]);
    assert_eq!(chosen_ike(&split, &["aes128-sha256-modp2048"], None), None);
}

#[test]
fn the_group_at_hand_comes_first() {
    let offered = offer_ike(&["aes128-sha256-x25519-modp2048"]);
    let ours = ["aes128-sha256-modp2048", "aes128-sha256-x25519"];
    let x25519 = Some(ke_group(KeyExchange::X25519));
    assert_eq!(
        chosen_ike(&offered, &ours, x25519),
        some(1, "aes128-sha256-x25519")
    );
    assert_eq!(
        chosen_ike(&offered, &ours, None),
        some(1, "aes128-sha256-modp2048")
    );
    // A group that we do not have, or that was not offered: INVALID_KE_PAYLOAD will name this one.
    for group in [Some(24), Some(ke_group(KeyExchange::Ecp256))] {
        assert_eq!(
            chosen_ike(&offered, &ours, group),
            some(1, "aes128-sha256-modp2048")
        );
    }
    let offered = offer_esp(&["aes128-sha1-x25519-modp2048"], true);
    let ours = esp(&["aes128-sha1-modp2048-x25519"]);
    let with_group = select_esp_for_group(&offered, &ours, true, x25519).unwrap();
    assert_eq!(with_group.suite.ke, Some(KeyExchange::X25519));
    assert_eq!(
        select_esp(&offered, &ours, true).unwrap().suite.ke,
        Some(KeyExchange::Modp2048)
    );
}

#[test]
fn what_is_not_understood_is_unacceptable() {
    let ours = ["aes128-sha1-modp2048"];
    let with = |change: &dyn Fn(&mut Proposal)| {
        let mut offered = offer_ike(&["aes128-sha1-modp2048"]);
        change(&mut offered.proposals[0]);
        chosen_ike(&offered, &ours, None)
    };
    assert!(with(&|_| ()).is_some());
    let unknown_type = Transform::new(TransformType::Unknown(6), 0);
    assert_eq!(with(&|p| p.transforms.push(unknown_type)), None);
    assert_eq!(
        with(&|p| p.transforms.push(Transform::new(TransformType::Esn, 0))),
        None
    );
    assert_eq!(
        with(&|p| p.transforms[0].has_unknown_attribute = true),
        None
    );
    assert_eq!(with(&|p| p.protocol = ProtocolId::Esp), None);
    assert_eq!(with(&|p| p.spi = vec![1, 2, 3, 4]), None);
    assert_eq!(with(&|p| p.spi = vec![0; 8]), None);
    for missing in 0..4 {
        assert_eq!(
            with(&|p| _ = p.transforms.remove(missing)),
            None,
            "{missing}"
        );
    }
    // Other transforms of the type, and other proposals, are processed as usual.
    let unknown_cipher = Transform::new(TransformType::Encr, 999);
    assert!(with(&|p| p.transforms.insert(0, unknown_cipher)).is_some());
    let mut two = offer_ike(&["aes128-sha1-modp2048", "aes128-sha1-modp2048"]);
    two.proposals[0].transforms.push(unknown_type);
    assert_eq!(
        chosen_ike(&two, &ours, None),
        some(2, "aes128-sha1-modp2048")
    );
}

#[test]
fn aead_goes_without_integrity_or_with_none() {
    let ours = ["aes128gcm16-prfsha256-x25519"];
    let mut offered = offer_ike(&ours);
    assert!(!select_ike(&offered, &ike(&ours), None).unwrap().integ_none);
    let hmac = integ_transform(Integ::HmacSha1_96);
    offered.proposals[0].transforms.push(hmac);
    assert_eq!(chosen_ike(&offered, &ours, None), None);
    offered.proposals[0]
        .transforms
        .push(Transform::new(TransformType::Integ, 0));
    let selected = select_ike(&offered, &ike(&ours), None).unwrap();
    assert!(selected.integ_none);
    assert_eq!(selected.suite.integ, None);
    let answer = selected_ike_to_sa(&selected, None);
    let integ = |t: &&Transform| t.kind == TransformType::Integ;
    let spelled: Vec<_> = answer.proposals[0]
        .transforms
        .iter()
        .filter(integ)
        .collect();
    assert!(matches!(spelled[..], [t] if t.is_none()));
    // A cipher without integrity of its own may not go with NONE.
    let mut plain = offer_esp(&["aes128-sha1"], false);
    plain.proposals[0].transforms[1].id = 0;
    assert_eq!(chosen_esp(&plain, &["aes128-sha1"], false), None);
}

#[test]
fn child_in_ike_auth_ignores_key_exchange() {
    assert!(
        !offer_esp(&["aes128-sha1-modp2048"], false).proposals[0]
            .transforms
            .iter()
            .any(|t| t.kind == TransformType::Ke)
    );
    let offered = offer_esp(&["aes128-sha1-modp2048"], true);
    for ours in ["aes128-sha1", "aes128-sha1-modp2048", "aes128-sha1-x25519"] {
        assert_eq!(chosen_esp(&offered, &[ours], false), some(1, "aes128-sha1"));
    }
}

#[test]
fn child_in_create_child_sa_agrees_on_key_exchange() {
    let with = offer_esp(&["aes128-sha1-modp2048-x25519"], true);
    let without = offer_esp(&["aes128-sha1"], true);
    let mut optional = with.clone();
    optional.proposals[0]
        .transforms
        .push(Transform::new(TransformType::Ke, 0));
    let pfs = ["aes128-sha1-x25519-modp2048"];
    let plain = ["aes128-sha1"];
    assert_eq!(chosen_esp(&with, &pfs, true), some(1, "aes128-sha1-x25519"));
    assert_eq!(chosen_esp(&with, &plain, true), None);
    assert_eq!(chosen_esp(&without, &pfs, true), None);
    assert_eq!(chosen_esp(&without, &plain, true), some(1, "aes128-sha1"));
    assert_eq!(
        chosen_esp(&optional, &pfs, true),
        some(1, "aes128-sha1-x25519")
    );
    let selected = select_esp(&optional, &esp(&plain), true).unwrap();
    assert_eq!((selected.suite.ke, selected.ke_none), (None, true));
    let answer = selected_esp_to_sa(&selected, 0x1000);
    assert!(
        answer.proposals[0]
            .transforms
            .contains(&Transform::new(TransformType::Ke, 0))
    );
}

#[test]
fn child_needs_esn_and_a_spi() {
    let ours = ["aes128-sha1-esn-noesn"];
    let offered = offer_esp(&["aes128-sha1-noesn-esn"], false);
    assert_eq!(
        chosen_esp(&offered, &ours, false),
        some(1, "aes128-sha1-esn")
    );
    assert_eq!(select_esp(&offered, &esp(&ours), false).unwrap().spi, SPI);
    let with = |change: &dyn Fn(&mut Proposal)| {
        let mut changed = offered.clone();
        change(&mut changed.proposals[0]);
        chosen_esp(&changed, &ours, false)
    };
    assert_eq!(
        with(&|p| p.transforms.retain(|t| t.kind != TransformType::Esn)),
        None
    );
    assert_eq!(with(&|p| p.spi = vec![]), None);
    assert_eq!(with(&|p| p.spi = vec![0, 0, 0, 255]), None);
    assert_eq!(with(&|p| p.spi = vec![0; 8]), None);
    assert_eq!(with(&|p| p.protocol = ProtocolId::Ah), None);
    assert_eq!(
        chosen_esp(
            &offer_esp(&["aes128-sha1-esn"], false),
            &["aes128-sha1"],
            false
        ),
        None
    );
}

#[test]
fn rekeying_carries_spis() {
    let ours = ike(&["aes128-sha1-modp2048"]);
    let offered = over_the_wire(&ike_proposals_to_sa(&ours, Some(0x0102_0304_0506_0708)));
    let selected = select_ike(&offered, &ours, None).unwrap();
    assert_eq!(selected.spi, Some(0x0102_0304_0506_0708));
    let answer = over_the_wire(&selected_ike_to_sa(&selected, Some(99)));
    assert_eq!(confirm_ike(&answer, &ours).unwrap().spi, Some(99));
}

#[test]
fn answers_that_were_not_proposed_are_refused() {
    let ours = ike(&[
        "aes256-sha256-modp2048",
        "aes128-aes256-sha1-modp2048-modp1024",
    ]);
    let theirs = ike(&["aes128-sha1-modp1024"]);
    let selected = select_ike(&ike_proposals_to_sa(&ours, None), &theirs, None).unwrap();
    let answer = selected_ike_to_sa(&selected, None);
    assert_eq!(
        confirm_ike(&answer, &ours).unwrap().suite.to_string(),
        "aes128-sha1-modp1024"
    );
    let with = |change: &dyn Fn(&mut SaPayload)| {
        let mut changed = answer.clone();
        change(&mut changed);
        confirm_ike(&changed, &ours).is_some()
    };
    assert!(with(&|_| ()));
    for number in [0, 1, 3] {
        assert!(!with(&|sa| sa.proposals[0].number = number), "{number}");
    }
    assert!(!with(&|sa| sa.proposals.push(sa.proposals[0].clone())));
    assert!(!with(&|sa| sa.proposals.clear()));
    let two_ciphers = encr_transform(Encr::AesCbc256);
    assert!(!with(&|sa| sa.proposals[0].transforms.push(two_ciphers)));
    assert!(!with(
        &|sa| sa.proposals[0].transforms[0] = encr_transform(Encr::AesCbc192)
    ));
    assert!(!with(&|sa| _ = sa.proposals[0].transforms.pop()));

    let ours = esp(&["aes128-sha1-modp2048"]);
    let pfs = selected_esp_to_sa(
        &select_esp(&esp_proposals_to_sa(&ours, SPI, true), &ours, true).unwrap(),
        0x2000,
    );
    let plain = selected_esp_to_sa(
        &select_esp(&esp_proposals_to_sa(&ours, SPI, false), &ours, false).unwrap(),
        0x2000,
    );
    assert_eq!(
        confirm_esp(&pfs, &ours, true).unwrap().suite.ke,
        Some(KeyExchange::Modp2048)
    );
    assert_eq!(confirm_esp(&plain, &ours, false).unwrap().spi, 0x2000);
    assert_eq!(
        confirm_esp(&pfs, &ours, false),
        None,
        "a key exchange that was not proposed"
    );
    assert_eq!(
        confirm_esp(&plain, &ours, true),
        None,
        "no key exchange though it was proposed"
    );
}

fn ike_strategy() -> impl Strategy<Value = IkeProposal> {
    let ciphers = prop_oneof![
        subsequence(vec!["aes128", "aes192", "aes256"], 1..=3).prop_map(|c| (c, true)),
        subsequence(
            vec!["aes128gcm16", "aes256gcm16", "chacha20poly1305"],
            1..=3
        )
        .prop_map(|c| (c, false)),
    ];
    let hashes = subsequence(vec!["sha1", "sha256", "sha384", "sha512"], 1..=4);
    let prfs = subsequence(
        vec!["prfsha1", "prfsha256", "prfsha384", "prfsha512"],
        1..=4,
    );
    let groups =
        subsequence(vec!["modp1024", "modp2048", "ecp256", "x25519"], 1..=4).prop_shuffle();
    (ciphers, hashes, prfs, groups).prop_map(|((ciphers, hmac), hashes, prfs, groups)| {
        let hashes = if hmac { hashes } else { vec![] };
        IkeProposal::parse(&[ciphers, hashes, prfs, groups].concat().join("-")).unwrap()
    })
}

proptest! {
    /// Whatever is chosen was offered and is ours; the answer says so, and the initiator reads the same from it.
    #[test]
    fn both_sides_agree(
        theirs in prop::collection::vec(ike_strategy(), 1..4),
        ours in prop::collection::vec(ike_strategy(), 1..4),
        group in prop::option::of(0u16..32),
    ) {
        let offered = over_the_wire(&ike_proposals_to_sa(&theirs, None));
        let names = |p: &IkeProposal, s: &IkeSuite| {
            p.encr.contains(&s.encr) && p.prf.contains(&s.prf) && p.ke.contains(&s.ke)
                && s.integ.is_none_or(|i| p.integ.contains(&i))
                && s.integ.is_none() == s.encr.is_aead()
        };
        match select_ike(&offered, &ours, group) {
            Some(selected) => {
                prop_assert!(names(&theirs[usize::from(selected.number) - 1], &selected.suite));
                prop_assert!(ours.iter().any(|p| names(p, &selected.suite)));
                let answer = over_the_wire(&selected_ike_to_sa(&selected, None));
                prop_assert_eq!(confirm_ike(&answer, &theirs).map(|c| c.suite), Some(selected.suite));
            }
            None => {
                let meet = |a: &IkeProposal, b: &IkeProposal| {
                    a.encr.iter().any(|x| b.encr.contains(x))
                        && (a.integ.is_empty() || a.integ.iter().any(|x| b.integ.contains(x)))
                        && a.prf.iter().any(|x| b.prf.contains(x))
                        && a.ke.iter().any(|x| b.ke.contains(x))
                };
                prop_assert!(!theirs.iter().any(|a| ours.iter().any(|b| meet(a, b))));
            }
        }
    }
}
