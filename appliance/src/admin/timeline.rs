//! What was recorded around a drop, on one screen.

use super::api::TimelineRow;
use hawser_engine::sentence;
use hawser_flight::{Entry, Event, Recording};

/// Lines before the drop, and after it.
const BEFORE: usize = 14;
const AFTER: usize = 6;

/// The story around a drop (`drop`: which entry; past the last for a device that is up), and how
/// many lines before it are left out.
pub(super) fn around(recording: &Recording, drop: usize) -> (Vec<TimelineRow>, usize) {
    let entries = &recording.entries;
    let (before, after) = entries.split_at(drop.saturating_add(1).min(entries.len()));
    let (mut rows, later) = (condensed(before), condensed(after));
    let left_out = rows.len().saturating_sub(BEFORE);
    rows.drain(..left_out);
    rows.extend(later.into_iter().take(AFTER));
    (rows, left_out)
}

/// What is not complete, in words; nothing where everything is there.
pub(super) fn gaps(recording: &Recording) -> Option<String> {
    let told = |what: &str, gone: hawser_flight::Overwritten| {
        let until = sentence::time(gone.until_ms);
        (gone.events > 0).then(|| format!("{} {what} before {until}", gone.events))
    };
    let lasting = told("events", recording.lasting_overwritten);
    let routine = told("probes and retransmissions", recording.routine_overwritten);
    let gone: Vec<String> = lasting.into_iter().chain(routine).collect();
    (!gone.is_empty()).then(|| format!("overwritten: {}", gone.join("; ")))
}

/// Every entry in words, runs of probes in a line.
fn condensed(entries: &[Entry]) -> Vec<TimelineRow> {
    let mut rows = Vec::new();
    let mut probes = Probes::default();
    for entry in entries {
        if probes.takes(entry) {
            continue;
        }
        rows.extend(probes.row());
        rows.push(row(entry.at_ms, sentence::what(&entry.event)));
    }
    rows.extend(probes.row());
    rows
}

fn row(at_ms: u64, text: String) -> TimelineRow {
    TimelineRow {
        time: sentence::time(at_ms),
        at_ms,
        text,
    }
}

/// A run of probes.
#[derive(Default)]
struct Probes {
    last_ms: u64,
    sent: u32,
    again: u32,
    answered: u32,
    rtt_us: u32,
}

impl Probes {
    fn takes(&mut self, entry: &Entry) -> bool {
        match entry.event {
            Event::ProbeSent { .. } => self.sent += 1,
            Event::Retransmitted { .. } => self.again += 1,
            Event::ProbeAnswered { rtt_us, .. } => {
                self.answered += 1;
                self.rtt_us = rtt_us;
            }
            _ => return false,
        }
        self.last_ms = entry.at_ms;
        true
    }

    fn row(&mut self) -> Option<TimelineRow> {
        let run = std::mem::take(self);
        if run.last_ms == 0 {
            return None;
        }
        let mut text = format!("{} probes sent, {} answered", run.sent, run.answered);
        if run.answered > 0 {
            text += &format!(", the last in {:.1} ms", f64::from(run.rtt_us) / 1000.0);
        }
        if run.again > 0 {
            text += &format!("; requests sent again {} times", run.again);
        }
        Some(row(run.last_ms, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_flight::CloseCause;

    #[test]
    fn a_day_of_probes_is_one_line_and_the_drop_is_on_the_screen() {
        let mut entries = vec![Entry {
            at_ms: 1,
            event: Event::PeerUp,
        }];
        for n in 0..4000u32 {
            let at_ms = 1000 + u64::from(n) * 20_000;
            let event = if n % 2 == 0 {
                Event::ProbeSent { message_id: n }
            } else {
                Event::ProbeAnswered {
                    message_id: n,
                    rtt_us: 3100,
                }
            };
            entries.push(Entry { at_ms, event });
        }
        for _ in 0..40 {
            let cause = CloseCause::DpdTimeout;
            entries.push(Entry {
                at_ms: 90_000_000,
                event: Event::PeerDown { cause },
            });
        }
        let recording = Recording {
            entries,
            ..Recording::default()
        };
        let (rows, left_out) = around(&recording, 4001);
        assert_eq!(left_out, 0);
        let texts: Vec<&str> = rows.iter().map(|r| r.text.as_str()).collect();
        assert_eq!(
            texts[..3],
            [
                "up",
                "2000 probes sent, 2000 answered, the last in 3.1 ms",
                "down: dpd_timeout"
            ]
        );
        assert_eq!(rows.len(), 3 + AFTER);
        assert_eq!(gaps(&recording), None);
        let (rows, left_out) = around(&recording, 4030);
        assert_eq!((rows.len(), left_out), (BEFORE + AFTER, 18));
    }
}
