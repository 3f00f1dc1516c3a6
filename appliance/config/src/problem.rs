//! What is wrong with a configuration, and what its author should know.

use std::fmt;

/// A line and a column, both counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A value and where it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct At<T> {
    pub(crate) place: Place,
    pub(crate) value: T,
}

impl<T> At<T> {
    pub(crate) fn new(place: Place, value: T) -> Self {
        Self { place, value }
    }

    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At {
            place: self.place,
            value: f(self.value),
        }
    }
}

/// Something that makes a configuration unusable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Line, counted from 1; `None`: the configuration as a whole.
    pub line: Option<usize>,
    /// Column in characters, counted from 1.
    pub column: Option<usize>,
    /// The key, or the command and its view.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl Problem {
    pub(crate) fn new(place: Place, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            line: (place.line != 0).then_some(place.line),
            column: (place.line != 0 && place.column != 0).then_some(place.column),
            field: printable(field.into()),
            message: printable(message.into()),
            suggestion: None,
        }
    }

    /// Suggests the one of `candidates` that `word` most resembles, if any is near.
    pub(crate) fn suggest<'a>(
        mut self,
        word: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.suggestion = nearest(word, candidates).map(str::to_owned);
        self
    }

    /// Shows the problem behind the name of its file: `hq.toml:12: ...; did you mean ...?`.
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile {
            file,
            line: self.line,
            what: self,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// What a note is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum NoteKind {
    /// The configuration is usable, but something in it is weak or without effect.
    Warning,
    /// The line is about another feature.
    Ignored,
}

/// Something that the author of a configuration should know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Line, counted from 1; `None`: the configuration as a whole.
    pub line: Option<usize>,
    /// What it is about.
    pub kind: NoteKind,
    /// What there is to know.
    pub message: String,
}

impl Note {
    /// Shows the note behind the name of its file: `hq.cfg:12: ...`.
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile {
            file,
            line: self.line,
            what: self,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            NoteKind::Warning => write!(f, "warning: {}", self.message),
            NoteKind::Ignored => write!(f, "ignored: {}", self.message),
        }
    }
}

struct InFile<'a, T> {
    file: &'a str,
    line: Option<usize>,
    what: &'a T,
}

impl<T: fmt::Display> fmt::Display for InFile<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// Collects problems and notes while a configuration is read.
#[derive(Default)]
pub(crate) struct Report {
    problems: Vec<Problem>,
    notes: Vec<Note>,
}

impl Report {
    pub(crate) fn add(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(crate) fn problem(
        &mut self,
        place: Place,
        field: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.add(Problem::new(place, field, message));
    }

    pub(crate) fn warn(&mut self, place: Place, message: impl Into<String>) {
        self.note(place, NoteKind::Warning, message.into());
    }

    pub(crate) fn ignored(&mut self, place: Place, message: impl Into<String>) {
        self.note(place, NoteKind::Ignored, message.into());
    }

    fn note(&mut self, place: Place, kind: NoteKind, message: String) {
        self.notes.push(Note {
            line: (place.line != 0).then_some(place.line),
            kind,
            message: printable(message),
        });
    }

    /// The notes, if there is no problem; each thing once, in the order of lines, what is about
    /// the whole last.
    pub(crate) fn finish(mut self) -> Result<Vec<Note>, Vec<Problem>> {
        let last = |line: Option<usize>| line.unwrap_or(usize::MAX);
        let problem = |p: &Problem| (last(p.line), p.column, p.message.clone());
        self.problems.sort_by_cached_key(problem);
        self.problems.dedup();
        self.notes
            .sort_by_cached_key(|n| (last(n.line), n.kind, n.message.clone()));
        self.notes.dedup();
        if self.problems.is_empty() {
            Ok(self.notes)
        } else {
            Err(self.problems)
        }
    }
}

/// What is quoted may hold anything; it is shown without control characters.
fn printable(text: String) -> String {
    if text.contains(char::is_control) {
        text.replace(char::is_control, "\u{fffd}")
    } else {
        text
    }
}

/// The candidate that is nearest to `word`, if it is near enough to be a slip of the pen.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // The distance takes time in the product of the lengths: what is long is no slip of the pen.
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let distance = |c: &str| strsim::damerau_levenshtein(&word, &c.to_ascii_lowercase());
    let near = |c: &&str| c.len() <= LONGEST;
    candidates
        .into_iter()
        .filter(near)
        .map(|c| (distance(c), c))
        .filter(|(d, c)| *d <= c.len().max(word.len()).div_ceil(3))
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_file_line_and_suggestion() {
        let place = Place {
            line: 12,
            column: 3,
        };
        let problem = Problem::new(place, "dpd", "unknown key `retyr`").suggest("retyr", ["retry"]);
        assert_eq!(
            problem.in_file("hq.toml").to_string(),
            "hq.toml:12: dpd: unknown key `retyr`; did you mean `retry`?"
        );
        assert_eq!(
            Problem::new(Place::default(), "", "no")
                .in_file("f")
                .to_string(),
            "f: no"
        );
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        assert_eq!(nearest("kaychain", ["keychain", "peer"]), Some("keychain"));
        assert_eq!(nearest("banana", ["keychain", "peer"]), None);
        assert_eq!(nearest("2", ["1", "12"]), Some("1"));
        assert_eq!(nearest(&"x".repeat(100), ["x"]), None);
    }
}
