//! Both sides rekey the IKE SA at once (RFC 7296 2.8.1, 2.25.2).

use crate::pair::*;
use hawser_ike::ike_sa::{LOSER_WAIT, SaState};
use hawser_ike::registry::ExchangeType::{CreateChildSa, Informational};
use std::collections::HashSet;
use std::time::Duration;

const SEEDS: std::ops::Range<u64> = 200..212;

struct Crossed {
    pair: Pair,
    to_b: Held,
    answer_of_a: Held,
}

/// Both have sent their rekey; A has answered B's (the answer is still out), B has A's.
fn crossed(seed: u64) -> Crossed {
    let mut pair = Pair::new(seed);
    pair.rekey_ike(A);
    pair.rekey_ike(B);
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

#[test]
fn messages_cross() {
    let mut winners = HashSet::new();
    for seed in SEEDS {
        let mut pair = Pair::new(seed);
        pair.rekey_ike(A);
        pair.rekey_ike(B);
        pair.settle();
        assert!(pair.end(A).collisions() > 0 && pair.end(B).collisions() > 0);
        pair.agree_on(1);
        winners.insert(pair.end(A).sa().role() as u8);
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
            pair.rekey_ike(A);
            pair.rekey_ike(B);
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

#[test]
fn decided_while_the_other_key_exchange_is_under_way() {
    for seed in SEEDS {
        let mut pair = Pair::new(seed);
        pair.rekey_ike(A);
        pair.rekey_ike(B);
        let to_b = pair.request(A, CreateChildSa);
        let to_a = pair.request(B, CreateChildSa);
        pair.end(A).slow = true;
        pair.arrive(to_a);
        pair.arrive(to_b);
        let answer_of_b = pair.sent(B);
        pair.arrive(answer_of_b);
        let last = pair.take_key_work(A);
        pair.do_key_work(A, true);
        pair.settle();
        pair.finish_key_work(A, last);
        pair.end(A).slow = false;
        pair.ends_well();
    }
}

/// B has decided, and deletes the old SA, while A computes the secret of its own rekey, which B has
/// answered: what that has made is A's to delete, although the SA that it began in is gone.
#[test]
fn the_old_one_is_deleted_while_a_key_exchange_is_under_way() {
    for seed in SEEDS {
        let mut c = crossed(seed);
        c.pair.arrive(c.to_b);
        let answer_of_b = c.pair.sent(B);
        c.pair.end(A).slow = true;
        c.pair.arrive(answer_of_b);
        c.pair.arrive(c.answer_of_a);
        c.pair.settle();
        c.pair.end(A).slow = false;
        c.pair.do_key_work(A, true);
        c.pair.settle();
        assert_eq!((c.pair.end(A).sas.len(), c.pair.end(B).sas.len()), (1, 1));
        c.pair.ends_well();
    }
}

/// test_collision_delayed_response: B has finished, and deletes what it must, before A has B's
/// answer. If B won, A finishes B's rekey and never sees its own; B drops that after a while.
#[test]
fn an_answer_is_late() {
    let mut outcomes = HashSet::new();
    for seed in SEEDS {
        let mut c = crossed(seed);
        c.pair.arrive(c.to_b);
        let answer_of_b = c.pair.sent(B);
        c.pair.arrive(c.answer_of_a);
        let delete = c.pair.request(B, Informational);
        c.pair.arrive(delete);
        outcomes.insert(c.pair.end(A).sas.len());
        c.pair.settle();
        c.pair.arrive(answer_of_b);
        c.pair.settle();
        assert!(c.pair.gets_through(A) && c.pair.gets_through(B));
        c.pair.ends_well();
    }
    assert_eq!(outcomes.len(), 1, "one SA is left in either case");
}

/// The same, but the answer takes longer than a loser is waited for: what the peer made, and may
/// already use, is not deleted before it is decided.
#[test]
fn an_answer_is_later_than_a_loser_is_waited_for() {
    for seed in SEEDS {
        let mut c = crossed(seed);
        c.pair.arrive(c.to_b);
        let answer_of_b = c.pair.sent(B);
        drop(c.answer_of_a);
        c.pair.wait_cut_off(LOSER_WAIT + Duration::from_secs(5));
        let provisional = |sas: &[hawser_ike::IkeSa]| {
            sas.iter()
                .filter(|sa| sa.state() == SaState::Provisional)
                .count()
        };
        assert_eq!(provisional(&c.pair.end(A).sas), 1);
        assert_eq!(provisional(&c.pair.end(B).sas), 1);
        c.pair.arrive(answer_of_b);
        c.pair.ends_well();
    }
}

/// test_collision_dropped_request
#[test]
fn a_request_is_lost() {
    let mut c = crossed(1);
    c.pair.arrive(c.answer_of_a);
    c.pair.settle();
    c.pair.agree_on(1);
    // It comes after all, to an SA that is gone.
    c.pair.arrive(c.to_b);
    c.pair.ends_well();
}

/// test_collision_delayed_request, test_collision_delayed_request_and_delete
#[test]
fn a_request_is_late() {
    for delete_first in [true, false] {
        let mut c = crossed(2);
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

/// The peer has rekeyed too, and our own request is never answered: the peer's SA takes over.
#[test]
fn our_request_is_never_answered() {
    let mut c = crossed(3);
    let child = c.pair.end(A).sad.keys().copied().next().unwrap();
    c.pair.arrive(c.answer_of_a);
    // B's DELETE of the old SA is lost for good.
    c.pair.wait_cut_off(Duration::from_secs(100));
    assert_eq!(c.pair.end(A).child(), child);
    c.pair.ends_well();
}

/// B uses its new SA at once: what it deletes there is not resurrected when A inherits.
#[test]
fn a_child_is_deleted_on_an_undecided_sa() {
    let mut c = crossed(4);
    c.pair.arrive(c.answer_of_a);
    let delete_old = c.pair.request(B, Informational);
    let child = c.pair.end(B).child();
    c.pair.delete_child(B, child);
    let delete_child = c.pair.request(B, Informational);
    c.pair.arrive(delete_child);
    c.pair.arrive(delete_old);
    c.pair.ends_with(0);
}

#[test]
fn any_order() {
    for seed in 0..300 {
        let mut pair = Pair::new(seed);
        pair.rekey_ike(A);
        pair.rekey_ike(B);
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
            if (dice >> 20) % 8 != 0 {
                pair.arrive(held);
            }
        }
        pair.ends_well();
    }
}
