//! A Child SA is deleted, by one or both, alone or while it is rekeyed (RFC 7296 1.4.1, 2.25.1).

use crate::pair::*;
use hawser_flight::CloseCause;
use hawser_ike::registry::ExchangeType::{CreateChildSa, Informational};

#[test]
fn by_either_side() {
    for side in [A, B] {
        let mut pair = Pair::new(1);
        let child = pair.end(side).child();
        pair.delete_child(side, child);
        pair.settle();
        pair.agree_on(0);
        assert_eq!(
            pair.end(side.other()).removed[0].1,
            CloseCause::DeletedByPeer
        );
        pair.ends_with(0);
    }
}

/// test_collision, test_collision_drop
#[test]
fn by_both() {
    for late in [false, true] {
        let mut pair = Pair::new(2);
        for side in [A, B] {
            let child = pair.end(side).child();
            pair.delete_child(side, child);
        }
        let (of_a, of_b) = (pair.sent(A), pair.sent(B));
        pair.arrive(of_b);
        if late {
            pair.settle();
        }
        pair.arrive(of_a);
        pair.settle();
        pair.agree_on(0);
    }
}

/// test_collision_delete (rekey), test_collision_delete_drop_delete, test_collision_delete_drop_rekey
#[test]
fn by_one_while_the_other_rekeys_it() {
    for (rekeys, order) in [(A, 0), (B, 0), (A, 1), (B, 1), (A, 2), (B, 2)] {
        let mut pair = Pair::new(3);
        let deletes = rekeys.other();
        let child = pair.end(deletes).child();
        pair.rekey_child(rekeys);
        pair.delete_child(deletes, child);
        let rekey = pair.request(rekeys, CreateChildSa);
        let delete = pair.request(deletes, Informational);
        match order {
            0 => {
                pair.arrive(rekey);
                pair.arrive(delete);
            }
            1 => {
                // The DELETE is late: TEMPORARY_FAILURE comes first.
                pair.arrive(rekey);
                let failure = pair.sent(deletes);
                pair.arrive(failure);
                pair.arrive(delete);
            }
            _ => {
                // The rekey is late: the pair is gone.
                pair.arrive(delete);
                pair.settle();
                pair.arrive(rekey);
            }
        }
        pair.ends_with(0);
    }
}

/// test_collision_delete_delayed_response: the DELETE of the new pair overtakes the answer that
/// makes it.
#[test]
fn the_new_pair_before_its_answer_comes() {
    for rekeys in [A, B] {
        let mut pair = Pair::new(4);
        pair.rekey_child(rekeys);
        let request = pair.request(rekeys, CreateChildSa);
        pair.arrive(request);
        let answer = pair.sent(rekeys.other());
        let new = pair
            .end(rekeys.other())
            .sa()
            .children()
            .last()
            .unwrap()
            .spi_in;
        pair.delete_child(rekeys.other(), new);
        let delete = pair.request(rekeys.other(), Informational);
        pair.arrive(delete);
        pair.arrive(answer);
        pair.ends_with(0);
    }
}

/// The one who rekeyed takes the new pair back: the old one stays in use.
#[test]
fn the_new_pair_by_its_maker() {
    let mut pair = Pair::new(5);
    let old = pair.end(B).child();
    pair.rekey_child(A);
    let request = pair.request(A, CreateChildSa);
    pair.arrive(request);
    let answer = pair.sent(B);
    // A cannot use the answer: the last octets of its KE payload are those of no key.
    let spoilt = crate::hostile::forged_answer(&pair, &answer, crate::hostile::with_bad_key);
    pair.arrive(spoilt);
    pair.settle();
    assert_eq!(pair.end(B).child(), old);
    assert!(pair.gets_through(B), "B sends on the old pair again");
}
