//! The anti-replay window against a naive model.

use hawser_esp::ReplayWindow;
use hawser_flight::DropReason;
use proptest::prelude::*;
use std::collections::HashSet;

/// What RFC 4303 says, without a bitmap.
struct Model {
    size: u64,
    highest: u64,
    seen: HashSet<u64>,
}

impl Model {
    fn new(size: u32) -> Self {
        Self {
            size: size.into(),
            highest: 0,
            seen: HashSet::from([0]),
        }
    }

    fn check(&self, seq: u64) -> Result<(), DropReason> {
        if seq + self.size <= self.highest {
            Err(DropReason::OutsideWindow)
        } else if self.seen.contains(&seq) {
            Err(DropReason::Replayed)
        } else {
            Ok(())
        }
    }

    fn commit(&mut self, seq: u64) -> Result<bool, DropReason> {
        self.check(seq)?;
        let newest = seq > self.highest;
        self.highest = self.highest.max(seq);
        self.seen.insert(seq);
        Ok(newest)
    }
}

/// A step relative to the highest number: mostly near, sometimes a large jump.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => -80i64..20,
        2 => -5000i64..300,
        1 => 0i64..200_000,
        1 => Just(1i64 << 33),
    ]
}

proptest! {
    #[test]
    fn agrees_with_the_model(
        size in prop_oneof![Just(64u32), Just(65), Just(4096), Just(65536), 64u32..=65536],
        start in prop_oneof![Just(0u64), Just((1u64 << 32) - 40), 0u64..1 << 40],
        steps in prop::collection::vec(step(), 1..400),
    ) {
        let (mut window, mut model) = (ReplayWindow::new(size), Model::new(size));
        let mut number = start;
        for step in steps {
            prop_assert_eq!(window.check(number), model.check(number), "{}", number);
            prop_assert_eq!(window.commit(number), model.commit(number), "{}", number);
            prop_assert_eq!(window.commit(number).is_err(), true);
            prop_assert_eq!(window.highest(), model.highest);
            number = model.highest.saturating_add_signed(step);
        }
    }

    #[test]
    fn infers_what_is_near_enough(
        size in prop_oneof![Just(0u32), 64u32..=65536],
        highest in prop_oneof![1u64..1 << 40, (1u64 << 32) - 70_000..(1 << 32) + 70_000],
        ahead in 0u64..(1 << 32) - 65536,
        behind in 0u64..65536,
    ) {
        let window = ReplayWindow::resume(size, highest);
        let above = highest + ahead;
        prop_assert_eq!(window.infer(above as u32), above);
        let reach = if size == 0 { 65536 } else { u64::from(size) };
        if behind < reach && behind <= highest {
            let below = highest - behind;
            prop_assert_eq!(window.infer(below as u32), below);
        }
    }

    #[test]
    fn a_resumed_window_refuses_the_past_only(size in 64u32..=65536, highest in 0u64..1 << 40) {
        let mut window = ReplayWindow::resume(size, highest);
        for behind in (0..70_000).step_by(7).take_while(|behind| *behind <= highest) {
            prop_assert!(window.check(highest - behind).is_err());
        }
        for ahead in [1, 2, 63, 64, 65, 130, 4000, 90_000] {
            prop_assert_eq!(window.commit(highest + ahead), Ok(true));
            prop_assert_eq!(window.commit(highest + ahead), Err(DropReason::Replayed));
        }
        prop_assert!(window.check(highest).is_err());
    }
}

#[test]
fn of_two_equal_numbers_in_a_batch_the_second_is_dropped() {
    let mut window = ReplayWindow::new(64);
    assert_eq!((window.check(5), window.check(5)), (Ok(()), Ok(())));
    assert_eq!(window.commit(5), Ok(true));
    assert_eq!(window.commit(5), Err(DropReason::Replayed));
    // A number that fell out of the window between check and commit is refused as well.
    assert_eq!(window.check(6), Ok(()));
    assert_eq!(window.commit(6 + 64), Ok(true));
    assert_eq!(window.commit(6), Err(DropReason::OutsideWindow));
    assert_eq!(window.commit(7), Ok(false));
}

#[test]
fn off_means_off() {
    let mut window = ReplayWindow::new(0);
    assert_eq!(window.size(), 0);
    assert_eq!(window.commit(9), Ok(true));
    assert_eq!(window.commit(9), Ok(false));
    assert_eq!(window.commit(0), Ok(false));
    assert_eq!(window.commit(u64::MAX), Ok(true));
}

#[test]
fn sizes_are_brought_into_range() {
    assert_eq!(ReplayWindow::new(1).size(), 64);
    assert_eq!(ReplayWindow::new(u32::MAX).size(), 65536);
    assert_eq!(ReplayWindow::default().size(), 4096);
}

#[test]
fn zero_and_the_ends_of_64_bits() {
    let mut window = ReplayWindow::new(64);
    assert_eq!(window.check(0), Err(DropReason::Replayed));
    assert_eq!(window.commit(u64::MAX), Ok(true));
    assert_eq!(window.commit(u64::MAX), Err(DropReason::Replayed));
    assert_eq!(window.check(0), Err(DropReason::OutsideWindow));
    // The next span would be the 2^32nd: it does not exist.
    assert!(window.check(window.infer(5)).is_err());
    assert_eq!(window.infer(u32::MAX - 70), u64::from(u32::MAX - 70));
}

#[test]
fn inference_turns_at_the_bottom_of_the_window() {
    const SPAN: u64 = 1 << 32;
    // The window in the middle of a span, at its very start, and across its boundary.
    for highest in [5 * SPAN + 1000, 5 * SPAN + 63, 5 * SPAN + 62, 5 * SPAN + 10] {
        let window = ReplayWindow::resume(64, highest);
        let bottom = highest - 63;
        assert_eq!(window.infer(bottom as u32), bottom, "{highest}");
        assert_eq!(
            window.infer((bottom - 1) as u32),
            bottom - 1 + SPAN,
            "{highest}"
        );
    }
}
