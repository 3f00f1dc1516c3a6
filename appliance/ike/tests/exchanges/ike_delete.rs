//! The IKE SA is deleted, alone or while something else goes on (RFC 7296 1.4.1, 2.25.2).

use crate::pair::*;
use hawser_flight::CloseCause;
use hawser_ike::registry::ExchangeType::{CreateChildSa, Informational};
use hawser_ike::window::Schedule;
use std::time::Duration;

fn delete(pair: &mut Pair, side: Side) {
    pair.on(side, |sa, env| sa.delete(env, CloseCause::Admin));
}

#[test]
fn by_either_side() {
    for side in [A, B] {
        let mut pair = Pair::new(1);
        delete(&mut pair, side);
        pair.ends_with_nothing();
        assert_eq!(pair.end(side).closed, [CloseCause::Admin]);
        assert_eq!(pair.end(side.other()).closed, [CloseCause::DeletedByPeer]);
    }
}

#[test]
fn by_both() {
    let mut pair = Pair::new(2);
    delete(&mut pair, A);
    delete(&mut pair, B);
    pair.ends_with_nothing();
    assert_eq!(pair.end(A).closed, [CloseCause::Admin]);
    assert_eq!(pair.end(B).closed, [CloseCause::Admin]);
}

/// test_collision_delete and test_collision_delete_drop_delete (rekey)
#[test]
fn by_one_while_the_other_rekeys_it() {
    for rekeys in [A, B] {
        for late in [false, true] {
            let mut pair = Pair::new(3);
            pair.rekey_ike(rekeys);
            delete(&mut pair, rekeys.other());
            let rekey = pair.request(rekeys, CreateChildSa);
            let gone = pair.request(rekeys.other(), Informational);
            pair.arrive(rekey);
            if late {
                let failure = pair.sent(rekeys.other());
                pair.arrive(failure);
            }
            pair.arrive(gone);
            pair.ends_with_nothing();
        }
    }
}

/// We delete it while our own rekey of it is not answered: for the peer the new SA has taken over,
/// so that goes too.
#[test]
fn by_us_while_we_rekey_it() {
    for slow in [false, true] {
        let mut pair = Pair::new(4);
        pair.rekey_ike(A);
        let request = pair.request(A, CreateChildSa);
        pair.arrive(request);
        let answer = pair.sent(B);
        if slow {
            pair.end(A).slow = true;
            pair.arrive(answer);
            delete(&mut pair, A);
            pair.end(A).slow = false;
            pair.do_key_work(A, true);
        } else {
            delete(&mut pair, A);
            pair.arrive(answer);
        }
        pair.wait(Duration::from_secs(2));
        assert!(
            pair.end(B).sas.is_empty(),
            "the peer does not believe in a new one"
        );
        pair.ends_with_nothing();
    }
}

/// We delete it while the peer's rekey waits for our key exchange.
#[test]
fn by_us_while_the_peer_rekeys_it() {
    let mut pair = Pair::new(5);
    pair.end(B).slow = true;
    pair.rekey_ike(A);
    pair.settle();
    delete(&mut pair, B);
    pair.end(B).slow = false;
    pair.do_key_work(B, true);
    pair.wait(Duration::from_secs(2));
    assert!(pair.end(A).sas.is_empty() && pair.end(B).sas.is_empty());
    pair.ends_with_nothing();
}

/// Our request is out: the DELETE waits for its answer, the peer's does not.
#[test]
fn while_a_request_is_out() {
    let probe = Schedule::Fixed {
        interval: Duration::from_secs(5),
        retries: 2,
    };
    let mut pair = Pair::new(6);
    pair.on(A, |sa, env| assert!(sa.probe(env, probe)));
    let asked = pair.request(A, Informational);
    delete(&mut pair, A);
    assert!(pair.is_silent(A) && pair.end(A).sad.is_empty());
    pair.arrive(asked);
    pair.ends_with_nothing();

    let mut pair = Pair::new(6);
    pair.on(A, |sa, env| assert!(sa.probe(env, probe)));
    let asked = pair.request(A, Informational);
    delete(&mut pair, B);
    let gone = pair.request(B, Informational);
    pair.arrive(gone);
    pair.arrive(asked);
    pair.ends_with_nothing();
    assert_eq!(pair.end(A).closed, [CloseCause::DeletedByPeer]);
}
