//! Both sides rekey the same Child SA at once (RFC 7296 2.8.1, 2.25.1).

use crate::pair::*;
use hawser_ike::registry::ExchangeType::{CreateChildSa, Informational};
use std::collections::HashSet;

/// Seeds enough that either side wins some.
const SEEDS: std::ops::Range<u64> = 100..112;

/// Both have sent their rekey; A has answered B's (the answer is still out), B has A's.
struct Crossed {
    pair: Pair,
    to_b: Held,
    answer_of_a: Held,
}

fn crossed(seed: u64) -> Crossed {
    let mut pair = Pair::new(seed);
    pair.rekey_child(A);
    pair.rekey_child(B);
    let to_b = pair.request(A, CreateChildSa);
    let to_a = pair.request(B, CreateChildSa);
    pair.arrive(to_a);
    let answer_of_a = pair.sent(A);
    Crossed {
        pair,
        to_b,
        answer_of_a,
    }
}

/// Whoever made the pair that stands.
fn winner(pair: &mut Pair) -> Side {
    // The one who won sends at once; its pair was installed with `outbound`.
    let spi = pair.end(A).child();
    if pair.end(A).sad[&spi].install.outbound {
        A
    } else {
        B
    }
}

#[test]
fn messages_cross() {
    let mut winners = HashSet::new();
    for seed in SEEDS {
        let mut pair = Pair::new(seed);
        pair.rekey_child(A);
        pair.rekey_child(B);
        pair.settle();
        assert!(pair.end(A).collisions() > 0 && pair.end(B).collisions() > 0);
        pair.agree_on(1);
        winners.insert(winner(&mut pair) == A);
        pair.ends_well();
    }
    assert_eq!(winners.len(), 2, "either side wins some");
}

#[test]
fn key_exchanges_are_slow_on_either_side() {
    for seed in SEEDS {
        for slow in [A, B] {
            let mut pair = Pair::new(seed);
            pair.end(slow).slow = true;
            pair.rekey_child(A);
            pair.rekey_child(B);
            for step in 0..40 {
                if step % 3 == 0 {
                    pair.do_key_work(slow, false);
                } else if let Some(held) = pair.wire.pop_front() {
                    pair.arrive(held);
                }
            }
            pair.end(slow).slow = false;
            pair.do_key_work(slow, true);
            pair.ends_well();
        }
    }
}

/// B's rekey waits for A's key exchange while A's own one is answered and decided.
#[test]
fn decided_while_the_other_key_exchange_is_under_way() {
    for seed in SEEDS {
        let mut pair = Pair::new(seed);
        pair.rekey_child(A);
        pair.rekey_child(B);
        let to_b = pair.request(A, CreateChildSa);
        let to_a = pair.request(B, CreateChildSa);
        pair.end(A).slow = true;
        pair.arrive(to_a);
        pair.arrive(to_b);
        let answer_of_b = pair.sent(B);
        pair.arrive(answer_of_b);
        // First B's question, then A's own: done in the other order.
        let last = pair.take_key_work(A);
        pair.do_key_work(A, true);
        pair.settle();
        pair.finish_key_work(A, last);
        pair.end(A).slow = false;
        pair.ends_well();
    }
}

/// test_collision_delayed_response
#[test]
fn an_answer_is_late() {
    for seed in SEEDS {
        let mut c = crossed(seed);
        c.pair.arrive(c.to_b);
        let answer_of_b = c.pair.sent(B);
        c.pair.arrive(c.answer_of_a);
        // B deletes the old pair, or its own redundant one.
        let delete = c.pair.request(B, Informational);
        c.pair.arrive(delete);
        let confirmed = c.pair.sent(A);
        c.pair.arrive(confirmed);
        assert!(c.pair.gets_through(A) && c.pair.gets_through(B));
        c.pair.arrive(answer_of_b);
        c.pair.ends_well();
    }
}

/// test_collision_delayed_response_delete
#[test]
fn an_answer_is_late_and_the_new_pair_is_deleted() {
    for seed in SEEDS {
        let mut c = crossed(seed);
        c.pair.arrive(c.to_b);
        let answer_of_b = c.pair.sent(B);
        c.pair.arrive(c.answer_of_a);
        let delete = c.pair.request(B, Informational);
        c.pair.arrive(delete);
        let confirmed = c.pair.sent(A);
        c.pair.arrive(confirmed);
        let stands = c.pair.end(B).sa().children().to_vec();
        for child in stands {
            c.pair.delete_child(B, child.spi_in);
            let delete = c.pair.request(B, Informational);
            c.pair.arrive(delete);
            let confirmed = c.pair.sent(A);
            c.pair.arrive(confirmed);
        }
        c.pair.arrive(answer_of_b);
        c.pair.ends_with(0);
    }
}

/// test_collision_delayed_request, both orders
#[test]
fn a_request_is_late() {
    for delete_first in [true, false] {
        let mut c = crossed(1);
        c.pair.arrive(c.answer_of_a);
        let delete = c.pair.request(B, Informational);
        c.pair.arrive(c.to_b);
        let temporary_failure = c.pair.sent(B);
        if delete_first {
            c.pair.arrive(delete);
            c.pair.arrive(temporary_failure);
        } else {
            c.pair.arrive(temporary_failure);
            c.pair.arrive(delete);
        }
        c.pair.settle();
        c.pair.agree_on(1);
        c.pair.ends_well();
    }
}

/// test_collision_delayed_request_more
#[test]
fn a_request_is_late_and_the_old_pair_is_gone() {
    let mut c = crossed(2);
    c.pair.arrive(c.answer_of_a);
    c.pair.settle();
    c.pair.arrive(c.to_b);
    c.pair.ends_well();
}

/// test_collision_delayed_request_more_delete
#[test]
fn a_request_is_late_and_both_pairs_are_gone() {
    let mut c = crossed(3);
    c.pair.arrive(c.answer_of_a);
    c.pair.settle();
    let new = c.pair.end(B).child();
    c.pair.delete_child(B, new);
    c.pair.settle();
    c.pair.arrive(c.to_b);
    c.pair.ends_with(0);
}

/// test_collision_ke_invalid, and test_collision_ke_invalid_delayed_retry
#[test]
fn both_demand_another_key_exchange() {
    for seed in SEEDS {
        for late in [false, true] {
            let settings = Settings {
                esp: ["aes128gcm16-x25519-ecp256", "aes128gcm16-ecp384-ecp256"],
                ..Settings::default()
            };
            let mut pair = Pair::with(&settings, seed);
            pair.rekey_child(A);
            pair.rekey_child(B);
            let (to_b, to_a) = (pair.sent(A), pair.sent(B));
            pair.arrive(to_b);
            pair.arrive(to_a);
            let (no_a, no_b) = (pair.sent(A), pair.sent(B));
            pair.arrive(no_a);
            pair.arrive(no_b);
            let retry = pair.request(A, CreateChildSa);
            if late {
                pair.settle();
            }
            pair.arrive(retry);
            pair.ends_well();
        }
    }
}

/// test_collision_responder_incorrect_delete: the loser deletes the old pair.
#[test]
fn the_loser_deletes_the_old_pair() {
    for seed in SEEDS {
        let mut c = crossed(seed);
        let old = c.pair.end(B).sa().children()[0].spi_in;
        c.pair.arrive(c.to_b);
        let answer_of_b = c.pair.sent(B);
        c.pair.arrive(c.answer_of_a);
        let right = c.pair.request(B, Informational);
        c.pair.arrive(right);
        let confirmed = c.pair.sent(A);
        c.pair.arrive(confirmed);
        if c.pair.end(B).sad.contains_key(&old) {
            c.pair.delete_child(B, old);
            let wrong = c.pair.request(B, Informational);
            c.pair.arrive(wrong);
        }
        c.pair.arrive(answer_of_b);
        c.pair.ends_well();
    }
}

/// Any order in which the messages of a simultaneous rekey may arrive.
#[test]
fn any_order() {
    for seed in 0..300 {
        let mut pair = Pair::new(seed);
        pair.rekey_child(A);
        pair.rekey_child(B);
        let mut dice = seed;
        for _ in 0..100 {
            if pair.wire.is_empty() {
                break;
            }
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(dice >> 33).unwrap() % pair.wire.len();
            let held = pair.wire.remove(at).unwrap();
            // One in eight is lost.
            if (dice >> 20) % 8 != 0 {
                pair.arrive(held);
            }
        }
        pair.ends_well();
    }
}
