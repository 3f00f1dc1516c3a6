//! The IKE SA is rekeyed by one side (RFC 7296 1.3.2, 2.18).

use crate::pair::*;
use hawser_flight::{CloseCause, Role};
use hawser_ike::ike_sa::{OVERDUE_WAIT, SaState};
use hawser_ike::registry::ExchangeType::{CreateChildSa, Informational};
use hawser_ike::window::Schedule;
use hawser_policy::Lifetimes;
use std::time::Duration;

#[test]
fn by_either_side() {
    for side in [A, B] {
        for ike in ["aes128gcm16-prfsha256-x25519", "aes128-sha1-x25519"] {
            let settings = Settings {
                ike: [ike; 2],
                ..Settings::default()
            };
            let mut pair = Pair::with(&settings, 1);
            let (old, child) = (pair.end(side).sa().spis(), pair.end(side).child());
            pair.rekey_ike(side);
            pair.settle();
            pair.agree_on(1);
            assert_ne!(pair.end(side).sa().spis(), old);
            assert_eq!(pair.end(side).sa().role(), Role::Initiator);
            assert_eq!(pair.end(side).child(), child, "Child SAs move as they are");
            assert_eq!(pair.end(A).closed, [CloseCause::Rekeyed]);
            assert_eq!(pair.end(B).closed, [CloseCause::Rekeyed]);
            pair.rekey_child(side);
            pair.ends_well();
        }
    }
}

/// What was still to be done for Child SAs is done by the successor.
#[test]
fn tasks_wait_for_the_successor() {
    for rekeys in [A, B] {
        for wants in [A, B] {
            let mut pair = Pair::new(2);
            let old = pair.end(wants).child();
            pair.end(wants).slow = true;
            pair.rekey_ike(rekeys);
            pair.settle();
            // The key exchange of one end is under way: its Child SA is due.
            pair.on(wants, |sa, env| sa.rekey_child(env, old));
            pair.end(wants).slow = false;
            pair.do_key_work(wants, true);
            pair.settle();
            pair.agree_on(1);
            assert_ne!(pair.end(wants).child(), old, "{rekeys:?} {wants:?}");
            pair.ends_well();
        }
    }
}

/// A DELETE that would begin while the peer's rekey waits for a key exchange.
#[test]
fn a_delete_waits_for_the_successor() {
    let mut pair = Pair::new(3);
    let child = pair.end(B).child();
    pair.end(B).slow = true;
    pair.rekey_ike(A);
    pair.settle();
    pair.delete_child(B, child);
    assert!(pair.is_silent(B));
    pair.end(B).slow = false;
    pair.do_key_work(B, true);
    pair.settle();
    pair.agree_on(0);
}

#[test]
fn lifetimes_rekey_it_for_ever() {
    let time = Some(Duration::from_secs(600));
    for leads_late in [false, true] {
        let settings = Settings {
            ike_lifetimes: Lifetimes {
                time,
                bytes: None,
                // Longer than the lifetime: it is bounded.
                margin: Duration::from_secs(if leads_late { 60 } else { 6000 }),
            },
            child_lifetimes: [Lifetimes::with_default_margin(time, None); 2],
            ..Settings::default()
        };
        let mut pair = Pair::with(&settings, 4);
        pair.wait(Duration::from_secs(20_000));
        pair.agree_on(1);
        let rekeyed = pair.end(A).closed.len();
        assert!((30..=120).contains(&rekeyed), "{rekeyed}");
        assert!(pair.end(A).closed.iter().all(|c| *c == CloseCause::Rekeyed));
    }
}

/// The answer is lost for two minutes: nobody tears anything down.
#[test]
fn the_answer_may_be_late() {
    let mut pair = Pair::new(5);
    pair.rekey_ike(A);
    let request = pair.request(A, CreateChildSa);
    pair.arrive(request);
    let answer = pair.sent(B);
    pair.wait_cut_off(Duration::from_secs(60));
    pair.arrive(answer);
    pair.ends_well();
}

/// The one who rekeyed never deletes the old SA: it goes after a while.
#[test]
fn the_old_sa_is_dropped_without_its_delete() {
    let mut pair = Pair::new(6);
    pair.rekey_ike(A);
    let request = pair.request(A, CreateChildSa);
    pair.arrive(request);
    let answer = pair.sent(B);
    pair.arrive(answer);
    let delete = pair.request(A, Informational);
    drop(delete);
    // A gives its DELETE up after 71 s; B asks for the end of the old SA and is not answered.
    pair.wait_cut_off(Duration::from_secs(400));
    pair.agree_on(1);
}

/// The one who rekeyed uses the new SA and does not delete the old one: then we do, in seconds.
#[test]
fn an_old_sa_whose_delete_is_overdue_goes_soon() {
    for known in [true, false] {
        let mut pair = Pair::new(7);
        pair.rekey_ike(A);
        let request = pair.request(A, CreateChildSa);
        pair.arrive(request);
        let answer = pair.sent(B);
        pair.arrive(answer);
        drop(pair.request(A, Informational));
        pair.on(A, |sa, env| {
            let (interval, retries) = (Duration::from_secs(1), 1);
            sa.probe(env, Schedule::Fixed { interval, retries });
        });
        let probe = pair.request(A, Informational);
        pair.arrive(probe);
        assert_eq!(pair.end(B).sas.len(), 2);
        if known {
            pair.wait(OVERDUE_WAIT);
        } else {
            // The peer has forgotten it.
            pair.wait_cut_off(OVERDUE_WAIT + Duration::from_secs(5));
        }
        assert_eq!(pair.end(B).sas.len(), 1, "{known}");
    }
}

/// An SA that another one has taken over from rekeys nothing, until it is needed again.
#[test]
fn an_sa_that_stands_down_is_not_rekeyed() {
    let mut pair = Pair::new(8);
    pair.on(A, |sa, _| sa.stand_down(true));
    pair.rekey_ike(A);
    pair.rekey_child(A);
    assert!(pair.is_silent(A));
    pair.on(A, |sa, _| sa.stand_down(false));
    let before = pair.end(A).sa().local_spi();
    pair.wait(Duration::from_secs(120));
    assert_ne!(pair.end(A).sa().local_spi(), before);
    pair.ends_well();
}

#[test]
fn a_refusal_is_not_repeated_for_ever_without_a_lifetime() {
    for time in [None, Some(Duration::from_secs(86400))] {
        let settings = Settings {
            ike_lifetimes: Lifetimes::with_default_margin(time, None),
            ..Settings::default()
        };
        let mut pair = Pair::with(&settings, 7);
        for _ in 0..3 {
            pair.rekey_ike(A);
            let request = pair.request(A, CreateChildSa);
            let no = crate::hostile::refusal(&pair, &request);
            pair.arrive(no);
        }
        let before = pair.end(A).works;
        pair.wait_cut_off(Duration::from_secs(70));
        let tries = pair.end(A).works - before;
        assert_eq!(tries, usize::from(time.is_some()));
    }
}

/// The answer cannot be used: the peer has moved on to an SA that we cannot have.
#[test]
fn an_unusable_answer_ends_the_sa() {
    let mut pair = Pair::new(8);
    pair.rekey_ike(A);
    let request = pair.request(A, CreateChildSa);
    pair.arrive(request);
    let answer = pair.sent(B);
    let spoilt = crate::hostile::forged_answer(&pair, &answer, crate::hostile::with_bad_key);
    pair.arrive(spoilt);
    let state = pair.end(A).sas[0].state();
    assert_eq!(state, SaState::Deleting(CloseCause::PeerMisbehaved));
    pair.wait(Duration::from_secs(5));
    assert!(pair.end(A).sas.is_empty() && pair.end(A).sad.is_empty());
}
