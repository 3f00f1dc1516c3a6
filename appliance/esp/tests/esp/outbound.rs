//! Sequence numbers, ECN and refusals of the outbound SA.

use crate::packets::{set_ecn, udp};
use crate::suites::{SPI, outbound, pair, sealer};
use hawser_crypto::Encr;
use hawser_esp::{Ecn, OutboundSa};
use hawser_flight::DropReason;
use hawser_policy::Esn;

#[test]
fn exhausted_without_esn_and_never_wraps() {
    let inner = udp("10.1.0.5:1", "10.2.0.6:2", 10);
    let cipher = sealer(Encr::AesGcm128, None);
    let mut sa = OutboundSa::new(SPI, cipher, Esn::No, u64::from(u32::MAX) - 1);
    let mut wire = Vec::new();
    assert!(sa.seal(&inner, &mut wire).is_ok());
    assert!(sa.seal(&inner, &mut wire).is_ok());
    let length = wire.len();
    for _ in 0..3 {
        assert_eq!(sa.seal(&inner, &mut wire), Err(DropReason::SaExhausted));
    }
    assert_eq!((wire.len(), sa.packets()), (length, 2));
    assert!(sa.next_sequence() > sa.last_sequence());
}

#[test]
fn exhausted_with_esn_at_the_end_of_64_bits() {
    let inner = udp("10.1.0.5:1", "10.2.0.6:2", 10);
    let (mut sa, _) = pair((Encr::ChaCha20Poly1305, None), Esn::Yes, u64::MAX - 1);
    assert!(sa.seal(&inner, &mut Vec::new()).is_ok());
    assert_eq!(
        sa.seal(&inner, &mut Vec::new()),
        Err(DropReason::SaExhausted)
    );
    assert_eq!(
        sa.seal(&inner, &mut Vec::new()),
        Err(DropReason::SaExhausted)
    );
}

#[test]
fn the_first_number_is_never_zero() {
    let sa = OutboundSa::new(SPI, sealer(Encr::AesGcm128, None), Esn::No, 0);
    assert_eq!(sa.next_sequence(), 1);
}

#[test]
fn the_outer_ecn_is_a_copy() {
    let mut sa = outbound();
    for ecn in [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce] {
        for (source, destination) in [("10.1.0.5:1", "10.2.0.6:2"), ("[fd00::1]:1", "[fd00::2]:2")]
        {
            let mut inner = udp(source, destination, 10);
            set_ecn(&mut inner, ecn);
            assert_eq!(sa.seal(&inner, &mut Vec::new()).unwrap().ecn, ecn);
        }
    }
}

#[test]
fn what_is_not_ip_takes_no_number() {
    let mut sa = outbound();
    for inner in [&[][..], &[0x45], &[0x55; 40], &[0; 40]] {
        assert_eq!(sa.seal(inner, &mut Vec::new()), Err(DropReason::NotIp));
    }
    assert_eq!(sa.next_sequence(), 1);
}

#[test]
fn seals_without_allocating_into_room() {
    let mut sa = outbound();
    let inner = udp("10.1.0.5:1", "10.2.0.6:2", 1000);
    let mut wire = Vec::with_capacity(3 * sa.sealed_len(inner.len()));
    let place = wire.as_ptr();
    for _ in 0..3 {
        sa.seal(&inner, &mut wire).unwrap();
    }
    assert_eq!(wire.as_ptr(), place);
}
