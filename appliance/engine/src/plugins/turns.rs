//! Questions that wait, each tenant and template in its turn.
//!
//! What is taken is with one thread until that says it is done: of a plugin that dawdles only the
//! questions of its own tenant and template wait, as long as there is another thread.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Tenant and template.
pub(super) type Group = (Arc<str>, Arc<str>);

/// Bounded queues, one a group.
pub(super) struct Turns<T> {
    waiting: HashMap<Group, Line<T>>,
    /// Whose turn it is; those with questions that no thread is at, each once.
    turns: VecDeque<Group>,
    count: usize,
    most: usize,
}

struct Line<T> {
    questions: VecDeque<T>,
    /// A thread is at what was taken last.
    taken: bool,
}

impl<T> Turns<T> {
    /// Room for `most` questions.
    pub(super) fn new(most: usize) -> Self {
        Self {
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            count: 0,
            most,
        }
    }

    /// Appends a question; says whether there was room.
    pub(super) fn put(&mut self, group: Group, question: T) -> bool {
        if self.count >= self.most {
            return false;
        }
        let line = self.waiting.entry(group.clone()).or_insert_with(|| Line {
            questions: VecDeque::new(),
            taken: false,
        });
        line.questions.push_back(question);
        if line.questions.len() == 1 && !line.taken {
            self.turns.push_back(group);
        }
        self.count += 1;
        true
    }

    /// Up to `most` questions of the group whose turn it is; [`Turns::done`] has to follow.
    pub(super) fn take(&mut self, most: usize) -> Option<(Group, Vec<T>)> {
        let group = self.turns.pop_front()?;
        let line = self.waiting.get_mut(&group)?;
        line.taken = true;
        let taken: Vec<T> = line
            .questions
            .drain(..line.questions.len().min(most))
            .collect();
        self.count -= taken.len();
        Some((group, taken))
    }

    /// What was taken of this group is answered: what came meanwhile may be taken.
    pub(super) fn done(&mut self, group: &Group) {
        let Some(line) = self.waiting.get_mut(group) else {
            return;
        };
        line.taken = false;
        if line.questions.is_empty() {
            self.waiting.remove(group);
        } else {
            self.turns.push_back(group.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn group(template: &str) -> Group {
        ("default".into(), template.into())
    }

    #[test]
    fn a_group_that_asks_much_waits_for_the_others() {
        let mut turns = Turns::new(100);
        for number in 0..10 {
            assert!(turns.put(group("much"), number));
        }
        turns.put(group("little"), 77);
        let mut order = Vec::new();
        while let Some((of, taken)) = turns.take(4) {
            order.push((of.1.to_string(), taken.len()));
            turns.done(&of);
        }
        let much = |n| ("much".to_owned(), n);
        let expected = [much(4), ("little".to_owned(), 1), much(4), much(2)];
        assert_eq!(order, expected);
        assert!(turns.waiting.is_empty() && turns.count == 0);
    }

    #[test]
    fn a_group_is_with_one_thread_at_a_time() {
        let mut turns = Turns::new(100);
        turns.put(group("slow"), 1);
        turns.put(group("slow"), 2);
        let (slow, _) = turns.take(1).unwrap();
        turns.put(group("slow"), 3);
        assert!(turns.take(1).is_none());
        turns.put(group("other"), 4);
        let (other, taken) = turns.take(1).unwrap();
        assert_eq!((&*other.1, taken[0]), ("other", 4));
        turns.done(&slow);
        assert_eq!(turns.take(8).unwrap().1, [2, 3]);
        turns.done(&slow);
        turns.done(&other);
        assert!(turns.take(8).is_none());
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let mut turns = Turns::new(2);
        assert!(turns.put(group("a"), 1) && turns.put(group("b"), 2));
        assert!(!turns.put(group("c"), 3));
        turns.take(1);
        assert!(turns.put(group("c"), 3));
    }
}
