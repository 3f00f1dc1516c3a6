//! The log as Prometheus sees it.

use super::{Shared, lock};
use metrics::{counter, describe_counter};
use std::sync::atomic::Ordering::Relaxed;

/// The HELP lines.
pub(crate) fn describe() {
    describe_counter!(
        "hawser_log_lines_total",
        "Lines of the log that an output took"
    );
    describe_counter!(
        "hawser_log_dropped_lines_total",
        "Lines of the log that an output did not take"
    );
    describe_counter!(
        "hawser_log_left_out_events_total",
        "Events that are not in the log, by reason: too many waited, or they were over the rate"
    );
}

pub(super) fn publish(shared: &Shared) {
    for (output, tally) in lock(&shared.tallies).iter() {
        let output = || output.clone();
        counter!("hawser_log_lines_total", "output" => output())
            .absolute(tally.written.load(Relaxed));
        counter!("hawser_log_dropped_lines_total", "output" => output())
            .absolute(tally.dropped.load(Relaxed));
    }
    for (reason, count) in [("queue", &shared.overflown), ("rate", &shared.limited)] {
        counter!("hawser_log_left_out_events_total", "reason" => reason)
            .absolute(count.load(Relaxed));
    }
}
