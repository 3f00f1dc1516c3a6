//! An IKE rekey whose key exchange the other side does not take at first (RFC 7296 1.3.2, 2.25.2).

use crate::hostile::{demanded_group, stand_in_request};
use crate::pair::*;
use hawser_ike::registry::ExchangeType::{CreateChildSa, Informational};

const SEEDS: std::ops::Range<u64> = 400..408;

fn two_groups(seed: u64) -> Pair {
    let settings = Settings {
        ike: ["aes128gcm16-prfsha256-x25519-ecp256"; 2],
        ..Settings::default()
    };
    Pair::with(&settings, seed)
}

/// The other side answers a request by demanding ecp256. It takes either group by itself, so the
/// answer is forged, and its window moved on by an empty request in place of this one.
fn demand(pair: &mut Pair, request: &Held) {
    assert!(request.is_request(CreateChildSa));
    let id = request.header().message_id;
    let stand_in = stand_in_request(pair, request.from, Informational, id);
    pair.arrive(stand_in);
    drop(pair.sent(request.from.other()));
    let answer = demanded_group(pair, request, 19);
    pair.arrive(answer);
}

/// test_regular_ke_invalid
#[test]
fn by_one_side() {
    for side in [A, B] {
        let mut pair = two_groups(1);
        let before = pair.end(side).sa().spis();
        pair.rekey_ike(side);
        let request = pair.sent(side);
        demand(&mut pair, &request);
        pair.ends_well();
        assert_ne!(pair.end(side).sa().spis(), before);
    }
}

/// test_collision_ke_invalid, test_collision_ke_invalid_delayed_retry
#[test]
fn by_both_sides() {
    for seed in SEEDS {
        for late in [false, true] {
            let mut pair = two_groups(seed);
            let before = pair.end(A).sa().spis();
            pair.rekey_ike(A);
            pair.rekey_ike(B);
            let (to_b, to_a) = (pair.sent(A), pair.sent(B));
            demand(&mut pair, &to_b);
            let retry = pair.sent(A);
            demand(&mut pair, &to_a);
            if late {
                pair.settle();
            }
            pair.arrive(retry);
            pair.ends_well();
            assert_ne!(pair.end(A).sa().spis(), before);
        }
    }
}
