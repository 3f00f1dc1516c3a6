//! How many questions one call carries.

use std::time::Duration;

/// What a new instance gets at once, until it has shown how quick it is.
const FIRST: usize = 8;

/// How many questions one call of an instance carries.
///
/// The deadline is about a call. A plugin that takes 50 us a question (one in JavaScript does)
/// would pass it with a full batch although none of its decisions is slow; it gets fewer at a time.
#[derive(Debug)]
pub(crate) struct Pace {
    deadline: Duration,
    questions: usize,
}

impl Pace {
    /// Of calls that end at `deadline`.
    pub(crate) fn new(deadline: Duration) -> Self {
        Self {
            deadline,
            questions: FIRST,
        }
    }

    /// Questions of the next call, from 1.
    pub(crate) fn questions(&self) -> usize {
        self.questions
    }

    /// A call with so many took so long: above a quarter of the deadline the next carries fewer;
    /// a full one below an eighth lets the next carry more, `most` at most.
    pub(crate) fn took(&mut self, questions: usize, time: Duration, most: usize) {
        if time > self.deadline / 4 {
            self.questions = (questions / 2).max(1);
        } else if questions >= self.questions && time < self.deadline / 8 {
            self.questions = (self.questions * 2).min(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(calls: usize, question: Duration) -> usize {
        let mut pace = Pace::new(Duration::from_millis(5));
        for _ in 0..calls {
            let questions = pace.questions();
            let time = question * u32::try_from(questions).unwrap_or(u32::MAX);
            pace.took(questions, time, 64);
        }
        pace.questions()
    }

    #[test]
    fn a_quick_plugin_gets_full_batches() {
        assert_eq!(after(3, Duration::from_micros(1)), 64);
        assert_eq!(after(100, Duration::from_micros(1)), 64);
    }

    #[test]
    fn a_slow_plugin_stays_far_from_its_deadline() {
        assert_eq!(after(100, Duration::from_micros(50)), 16);
        assert_eq!(after(100, Duration::from_millis(2)), 1);
    }

    #[test]
    fn small_calls_say_nothing_about_large_ones() {
        let mut pace = Pace::new(Duration::from_millis(5));
        for _ in 0..100 {
            pace.took(2, Duration::from_micros(100), 64);
        }
        assert_eq!(pace.questions(), FIRST);
    }
}
