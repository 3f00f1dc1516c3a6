//! A Child SA is rekeyed by one side.

use crate::pair::*;
use hawser_flight::CloseCause;
use hawser_ike::child_sa::ChildState;
use hawser_ike::registry::ExchangeType::{CreateChildSa, Informational};
use hawser_policy::Lifetimes;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn by_either_side_with_and_without_pfs() {
    for side in [A, B] {
        for esp in ["aes128gcm16-x25519", "aes128gcm16", "aes128-sha1-modp1024"] {
            let settings = Settings {
                esp: [esp; 2],
                ..Settings::default()
            };
            let mut pair = Pair::with(&settings, 1);
            let old = pair.end(side).child();
            pair.rekey_child(side);
            pair.settle();
            pair.agree_on(1);
            assert_ne!(pair.end(side).child(), old);
            assert_eq!(pair.end(side).removed, [(old, CloseCause::Rekeyed)]);
            pair.ends_well();
        }
    }
}

#[test]
fn no_packet_is_lost_on_the_way() {
    for side in [A, B] {
        let mut pair = Pair::new(2);
        pair.rekey_child(side);
        for _ in 0..4 {
            let held = pair.sent(if pair.is_silent(A) { B } else { A });
            for (from, to) in [(A, B), (B, A)] {
                assert!(pair.gets_through(from), "{from:?} to {to:?}");
            }
            pair.arrive(held);
        }
        assert!(pair.gets_through(A) && pair.gets_through(B));
        pair.ends_well();
    }
}

/// test_regular_ke_invalid
#[test]
fn another_key_exchange_is_demanded() {
    for side in [A, B] {
        let settings = Settings {
            esp: ["aes128gcm16-x25519-ecp256", "aes128gcm16-ecp384-ecp256"],
            ..Settings::default()
        };
        let mut pair = Pair::with(&settings, 3);
        pair.rekey_child(side);
        pair.settle();
        pair.agree_on(1);
        assert_eq!(pair.end(side).removed.len(), 1, "it was rekeyed");
        pair.ends_well();
    }
}

/// test_regular_responder_ignore_soft_expire, test_regular_responder_handle_hard_expire
#[test]
fn a_replaced_pair_is_not_rekeyed_and_ends_in_time() {
    let lifetimes = Lifetimes {
        time: Some(Duration::from_secs(120)),
        bytes: None,
        margin: 10 * SECOND,
    };
    let settings = Settings {
        child_lifetimes: [FOREVER, lifetimes],
        ..Settings::default()
    };
    let mut pair = Pair::with(&settings, 4);
    let old = pair.end(B).child();
    pair.wait(90 * SECOND);
    pair.rekey_child(A);
    let request = pair.request(A, CreateChildSa);
    pair.arrive(request);
    // The answer is lost: the old pair carries on to its hard end, past its soft one.
    pair.wait_cut_off(29 * SECOND);
    assert!(pair.gets_through(B));
    assert_eq!(pair.end(B).sa().children()[0].state, ChildState::Rekeyed);
    assert!(!pair.end(B).sa().is_waiting(), "it is not rekeyed again");
    pair.wait_cut_off(2 * SECOND);
    assert_eq!(pair.end(B).sa().children()[0].state, ChildState::Deleting);
    assert!(
        pair.end(B).sad.contains_key(&old),
        "until the peer confirms"
    );
}

/// An answer that is lost for two minutes: the one who rekeyed asks again, and nothing has been
/// torn down meanwhile.
#[test]
fn the_answer_may_take_two_minutes() {
    for side in [A, B] {
        let mut pair = Pair::new(5);
        pair.rekey_child(side);
        let request = pair.request(side, CreateChildSa);
        pair.arrive(request);
        let answer = pair.sent(side.other());
        for _ in 0..60 {
            pair.wait_cut_off(SECOND);
            assert!(pair.gets_through(A), "A");
        }
        assert!(pair.end(side).sa().is_waiting());
        pair.arrive(answer);
        pair.ends_well();
    }
}

/// test_regular_responder_delete
#[test]
fn the_new_pair_is_deleted_by_the_responder_meanwhile() {
    let mut pair = Pair::new(6);
    pair.rekey_child(A);
    let request = pair.request(A, CreateChildSa);
    pair.arrive(request);
    let answer = pair.sent(B);
    pair.arrive(answer);
    let delete_old = pair.request(A, Informational);
    let new = pair.end(B).sa().children().last().unwrap().spi_in;
    pair.delete_child(B, new);
    let delete_new = pair.request(B, Informational);
    pair.arrive(delete_new);
    pair.arrive(delete_old);
    pair.ends_with(0);
}

/// test_regular_responder_lost_sa
#[test]
fn the_responder_does_not_know_the_pair() {
    let mut pair = Pair::new(7);
    let child = pair.end(B).child();
    pair.delete_child(B, child);
    let delete = pair.request(B, Informational);
    pair.arrive(delete);
    let confirmed = pair.sent(A);
    pair.arrive(confirmed);
    // A is made to believe that it still has one: it makes another instead.
    pair.on(A, |sa, env| sa.create_child(env, 0));
    pair.settle();
    pair.agree_on(1);
    let mut again = Pair::new(7);
    again.rekey_child(A);
    let request = again.request(A, CreateChildSa);
    let child = again.end(B).child();
    again.delete_child(B, child);
    let delete = again.request(B, Informational);
    let confirmed = crate::hostile::forged_empty_answer(&again, &delete, A);
    again.arrive(confirmed);
    again.arrive(request);
    let unknown = again.sent(B);
    again.arrive(unknown);
    assert_eq!(again.end(A).removed[0].1, CloseCause::UnknownToPeer);
    again.wire.clear();
}

/// test_regular_responder_incorrect_delete: the responder deletes the old pair itself, and its
/// DELETE overtakes the answer.
#[test]
fn the_old_pair_is_deleted_before_the_answer_comes() {
    let mut pair = Pair::new(8);
    let old = pair.end(B).child();
    pair.rekey_child(A);
    let request = pair.request(A, CreateChildSa);
    pair.arrive(request);
    let answer = pair.sent(B);
    pair.delete_child(B, old);
    let delete = pair.request(B, Informational);
    pair.arrive(delete);
    pair.arrive(answer);
    pair.ends_well();
}

/// test_regular_delete_timeout
#[test]
fn the_delete_is_never_answered() {
    let mut pair = Pair::new(9);
    pair.rekey_child(A);
    let request = pair.request(A, CreateChildSa);
    pair.arrive(request);
    let answer = pair.sent(B);
    pair.arrive(answer);
    pair.wait_cut_off(Duration::from_secs(200));
    let end = pair.end(A);
    assert_eq!(end.closed, [CloseCause::RetransmitTimeout]);
    assert!(end.sad.is_empty() && end.sas.is_empty());
}

#[test]
fn what_is_refused_is_asked_for_again_later() {
    let settings = Settings {
        esp: ["aes128gcm16-x25519", "aes128gcm16-ecp384"],
        child_lifetimes: [Lifetimes::with_default_margin(Some(Duration::from_secs(3600)), None); 2],
        ..Settings::default()
    };
    let mut pair = Pair::with(&settings, 10);
    let old = pair.end(A).child();
    pair.rekey_child(A);
    pair.settle();
    assert_eq!(pair.end(A).child(), old);
    let before = pair.end(A).works;
    pair.wait(Duration::from_secs(600));
    let tries = pair.end(A).works - before;
    assert!((9..=20).contains(&tries), "{tries} in ten minutes");
    pair.agree_on(1);
}

#[test]
fn a_pair_without_an_end_is_not_rekeyed_at_any_price() {
    let settings = Settings {
        esp: ["aes128gcm16-x25519", "aes128gcm16-ecp384"],
        ..Settings::default()
    };
    let mut pair = Pair::with(&settings, 11);
    pair.rekey_child(A);
    pair.settle();
    let before = pair.end(A).works;
    pair.wait(Duration::from_secs(600));
    assert_eq!(pair.end(A).works, before);
}

#[test]
fn a_hard_end_does_not_wait_for_the_window() {
    let settings = Settings {
        child_lifetimes: [
            Lifetimes::with_default_margin(Some(Duration::from_secs(100)), None),
            FOREVER,
        ],
        ..Settings::default()
    };
    let mut pair = Pair::with(&settings, 12);
    // Our rekey begins at 80 to 90 s and is never answered.
    pair.wait_cut_off(Duration::from_secs(101));
    assert!(pair.end(A).sa().is_waiting());
    assert!(
        pair.end(A).sad.is_empty(),
        "the keys are too old to be used"
    );
    assert_eq!(pair.end(A).removed[0].1, CloseCause::Expired);
}

/// Rekeying again and again, by both, leaves nothing behind.
#[test]
fn a_hundred_times() {
    let mut pair = Pair::new(13);
    for round in 0..100 {
        pair.rekey_child(if round % 3 == 0 { A } else { B });
        pair.settle();
        pair.agree_on(1);
    }
    pair.ends_well();
}
