//! The primes of the MODP groups, seen through the range of public values that they accept.
#![allow(clippy::unwrap_used)]

mod common;

use common::Scripted;
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{NonZero, Odd, U512, U4224, Uint};
use hawser_crypto::{KeError, KeyExchange};
use proptest::prelude::*;

/// Wide enough for 4096 bits and the guard bits of the division.
type Wide = U4224;

/// RFC 7296 appendix B.2 (from RFC 2409) and RFC 3526 give each prime as `2^n - 2^(n-64) - 1 + 2^64 * ([2^(n-130) pi] + c)`.
const GROUPS: [(KeyExchange, u32, u32); 5] = [
    (KeyExchange::Modp1024, 1024, 129_093),
    (KeyExchange::Modp1536, 1536, 741_804),
    (KeyExchange::Modp2048, 2048, 124_476),
    (KeyExchange::Modp3072, 3072, 1_690_314),
    (KeyExchange::Modp4096, 4096, 240_904),
];

#[test]
fn the_range_ends_where_the_formula_says() {
    for (method, bits, constant) in GROUPS {
        let p = prime(bits, constant);
        for (value, accepted) in [
            (Wide::ZERO, false),
            (Wide::ONE, false),
            (Wide::from_u8(2), true),
            (p.wrapping_sub(&Wide::from_u8(2)), true),
            (p.wrapping_sub(&Wide::ONE), false),
            (p, false),
            (p.wrapping_add(&Wide::ONE), false),
        ] {
            // The exponent 3 is enough: it is the range that is asked about.
            let mut private = [0; 64];
            private[exponent_len(method) - 1] = 3;
            let mut rng = Scripted::new(&private);
            let (private, _) = method.generate(&mut rng).unwrap();
            let octets = value.to_be_bytes();
            let public = &octets.as_ref()[Wide::BYTES - method.public_len()..];
            match private.agree(public) {
                Ok(_) => assert!(accepted, "{method} accepted {value}"),
                Err(error) => {
                    assert_eq!(error, KeError::OutOfRange);
                    assert!(!accepted, "{method} refused {value}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// aws-lc against another implementation, also with exponents that begin with zeros.
    #[test]
    fn a_power_is_that_of_another_library(
        base in prop::collection::vec(any::<u8>(), 512),
        exponent in prop::collection::vec(any::<u8>(), 64),
        zeros in 0usize..40,
    ) {
        for (method, bits, constant) in GROUPS {
            let p = prime(bits, constant);
            let mut exponent = exponent[..exponent_len(method)].to_vec();
            exponent[..zeros.min(exponent_len(method) - 1)].fill(0);
            // Below p, whatever the octets are.
            let mut base = base[..method.public_len()].to_vec();
            base[0] &= 0x7f;
            let (private, public) = method.generate(&mut Scripted::new(&exponent)).unwrap();
            let agreed = private.agree(&base).unwrap();
            prop_assert_eq!(&*agreed, &power(&p, &wide(&base), &exponent, base.len()));
            prop_assert_eq!(public, power(&p, &Wide::from_u8(2), &exponent, base.len()));
        }
    }
}

fn wide(octets: &[u8]) -> Wide {
    Wide::from_be_slice(&[&vec![0; Wide::BYTES - octets.len()], octets].concat())
}

fn power(p: &Wide, base: &Wide, exponent: &[u8], len: usize) -> Vec<u8> {
    let exponent = U512::from_be_slice(&[&vec![0; 64 - exponent.len()], exponent].concat());
    let params = FixedMontyParams::new(Odd::new(*p).unwrap());
    let power = FixedMontyForm::new(base, &params).pow(&exponent).retrieve();
    power.to_be_bytes().as_ref()[Wide::BYTES - len..].to_vec()
}

/// Octets of the exponent drawn, which the padding of the script has to match.
fn exponent_len(method: KeyExchange) -> usize {
    match method {
        KeyExchange::Modp2048 => 40,
        KeyExchange::Modp3072 => 56,
        KeyExchange::Modp4096 => 64,
        _ => 32,
    }
}

fn prime(bits: u32, constant: u32) -> Wide {
    let one = Wide::ONE;
    one.shl(bits)
        .wrapping_sub(&one.shl(bits - 64))
        .wrapping_sub(&one)
        .wrapping_add(
            &scaled_pi(bits - 130)
                .wrapping_add(&Wide::from_u32(constant))
                .shl(64),
        )
}

/// `floor(2^bits * pi)` by Machin's formula, pi = 16 atan(1/5) - 4 atan(1/239), with guard bits for the rounding of each term.
fn scaled_pi(bits: u32) -> Wide {
    const GUARD: u32 = 64;
    let fifth = scaled_arctangent(5, bits + GUARD).shl(4);
    let other = scaled_arctangent(239, bits + GUARD).shl(2);
    fifth.wrapping_sub(&other).shr(GUARD)
}

/// `2^bits * atan(1/x)` by its series.
fn scaled_arctangent(x: u32, bits: u32) -> Wide {
    let divided = |value: &Wide, by: u32| value.div_rem(&small(by)).0;
    let mut power = divided(&Wide::ONE.shl(bits), x);
    let mut sum = power;
    for (term, odd) in (3..).step_by(2).enumerate() {
        power = divided(&power, x * x);
        if power == Uint::ZERO {
            break;
        }
        let part = divided(&power, odd);
        sum = if term % 2 == 0 {
            sum.wrapping_sub(&part)
        } else {
            sum.wrapping_add(&part)
        };
    }
    sum
}

fn small(value: u32) -> NonZero<Wide> {
    NonZero::new(Wide::from_u32(value)).unwrap()
}
