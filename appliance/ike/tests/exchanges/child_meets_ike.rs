//! One side changes a Child SA while the other changes the IKE SA (RFC 7296 2.25.2).

use crate::pair::*;
use hawser_flight::CloseCause;
use hawser_ike::IkeSa;
use hawser_ike::ike_sa::SaState;
use hawser_ike::registry::ExchangeType::{CreateChildSa, Informational};
use hawser_ike::window::Schedule;
use std::time::Duration;

/// test_collision_ike_rekey of the Child SA's rekey: TEMPORARY_FAILURE for both, then each gets its
/// way.
#[test]
fn child_rekey_and_ike_rekey() {
    for side in [A, B] {
        let mut pair = Pair::new(1);
        let (spis, child) = (pair.end(A).sa().spis(), pair.end(side).child());
        pair.rekey_child(side);
        pair.rekey_ike(side.other());
        pair.settle();
        assert_eq!(pair.end(A).sa().spis(), spis, "refused for now");
        pair.ends_well();
        assert_ne!(pair.end(A).sa().spis(), spis);
        assert_ne!(pair.end(side).child(), child);
    }
}

/// test_collision_ike_rekey of the Child SA's deletion
#[test]
fn child_delete_and_ike_rekey() {
    for order in [false, true] {
        let mut pair = Pair::new(2);
        let (spis, child) = (pair.end(A).sa().spis(), pair.end(A).child());
        pair.delete_child(A, child);
        pair.rekey_ike(B);
        let delete = pair.request(A, Informational);
        let rekey = pair.request(B, CreateChildSa);
        if order {
            pair.arrive(rekey);
            pair.arrive(delete);
        } else {
            pair.arrive(delete);
            pair.arrive(rekey);
        }
        pair.ends_with(0);
        assert_ne!(pair.end(A).sa().spis(), spis);
    }
}

/// test_collision_ike_rekey of the Child SA's creation
#[test]
fn child_creation_and_ike_rekey() {
    let settings = Settings {
        children: [2; 2],
        ..Settings::default()
    };
    // The first side of the handshake has asked for its second Child SA already.
    let mut pair = Pair::with(&settings, 3);
    let spis = pair.end(A).sa().spis();
    pair.rekey_ike(B);
    let create = pair.request(A, CreateChildSa);
    let rekey = pair.request(B, CreateChildSa);
    pair.arrive(create);
    pair.arrive(rekey);
    pair.ends_with(2);
    assert_ne!(pair.end(A).sa().spis(), spis);
}

/// test_collision_ike_delete of the Child SA's rekey and of its deletion
#[test]
fn child_change_and_ike_delete() {
    for rekey in [false, true] {
        for child_first in [false, true] {
            let mut pair = Pair::new(4);
            let child = pair.end(A).child();
            if rekey {
                pair.rekey_child(A);
            } else {
                pair.delete_child(A, child);
            }
            pair.on(B, |sa, env| sa.delete(env, CloseCause::Admin));
            let (change, delete) = (pair.sent(A), pair.sent(B));
            if child_first {
                pair.arrive(change);
                pair.arrive(delete);
            } else {
                pair.arrive(delete);
                pair.arrive(change);
            }
            pair.ends_with_nothing();
        }
    }
}

/// The IKE SA ends while a key exchange for a Child SA is under way: nothing is installed any more.
#[test]
fn ike_delete_while_a_key_is_made() {
    for side in [A, B] {
        let mut pair = Pair::new(5);
        pair.end(side).slow = true;
        pair.rekey_child(A);
        pair.do_key_work(A, side == A);
        pair.settle();
        pair.on(side, |sa, env| sa.delete(env, CloseCause::Admin));
        pair.end(side).slow = false;
        pair.do_key_work(side, true);
        assert!(pair.end(side).sad.is_empty(), "{side:?}");
        pair.ends_with_nothing();
    }
}

/// Everything at once, in any order, with losses.
#[test]
fn everything_in_any_order() {
    for seed in 1000..1300 {
        let mut pair = Pair::new(seed);
        let slow = if seed % 2 == 0 { A } else { B };
        pair.end(slow).slow = seed % 3 == 0;
        let mut dice = seed;
        pair.rekey_child(A);
        pair.rekey_ike(B);
        pair.rekey_child(B);
        pair.rekey_ike(A);
        for _ in 0..200 {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if (dice >> 40) % 4 == 0 {
                pair.do_key_work(slow, false);
            }
            if pair.wire.is_empty() {
                continue;
            }
            let at = usize::try_from(dice >> 33).unwrap() % pair.wire.len();
            let held = pair.wire.remove(at).unwrap();
            if (dice >> 20) % 8 != 0 {
                pair.arrive(held);
            }
        }
        pair.end(slow).slow = false;
        pair.do_key_work(slow, true);
        pair.ends_well();
    }
}

/// One of the things that may happen, at either side, whatever else is under way.
fn something(pair: &mut Pair, dice: u64) {
    let side = if dice & 1 == 0 { A } else { B };
    let used = |sa: &&IkeSa| sa.state() == SaState::Established;
    let Some(sa) = pair.end(side).sas.iter().find(used) else {
        return;
    };
    let (spi, child) = (sa.local_spi(), sa.children().first().map(|c| c.spi_in));
    let (interval, retries) = (Duration::from_secs(2), 30);
    match (dice >> 1) % 4 {
        0 => pair.on_sa(side, spi, IkeSa::rekey),
        1 | 2 => pair.on_sa(side, spi, |sa, env| {
            child.into_iter().for_each(|c| sa.rekey_child(env, c));
        }),
        _ => pair.on_sa(side, spi, |sa, env| {
            sa.probe(env, Schedule::Fixed { interval, retries });
        }),
    }
}

/// Rekeys and probes of both sides again and again, messages in any order or lost, slow keys, and
/// timers that fire meanwhile: one IKE SA and one Child SA are left.
#[test]
fn everything_while_time_passes() {
    for seed in 2000..2300 {
        let mut pair = Pair::new(seed);
        let slow = if seed % 2 == 0 { A } else { B };
        pair.end(slow).slow = seed % 3 == 0;
        let mut dice = seed;
        for _ in 0..150 {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if (dice >> 44) % 12 == 0 {
                something(&mut pair, dice >> 50);
            }
            if (dice >> 40) % 4 == 0 {
                pair.do_key_work(slow, false);
            }
            if (dice >> 36) % 6 == 0 {
                pair.pass(Duration::from_millis((dice >> 30) % 1500));
            }
            if pair.wire.is_empty() {
                continue;
            }
            let at = usize::try_from(dice >> 33).unwrap() % pair.wire.len();
            let held = pair.wire.remove(at).unwrap();
            if (dice >> 20) % 6 != 0 {
                pair.arrive(held);
            }
        }
        pair.end(slow).slow = false;
        pair.do_key_work(slow, true);
        pair.ends_well();
    }
}
