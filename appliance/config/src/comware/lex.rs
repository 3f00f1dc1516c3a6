//! Lines and words of Comware text.

use crate::problem::Place;

/// A word and where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word<'a> {
    pub(super) place: Place,
    pub(super) text: &'a str,
}

/// What a line is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Line<'a> {
    /// Nothing, a remark, or what was typed in user view.
    Empty,
    /// `#`: the end of a view.
    Separator,
    /// A command; at least one word.
    Command(Vec<Word<'a>>),
}

/// The lines of a text, whatever their ends, without prompts.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split('\n')
        .enumerate()
        .map(|(index, line)| lex(index + 1, line))
}

fn lex(number: usize, line: &str) -> Line<'_> {
    let mut words = words(number, line);
    if let Some(first) = words.first_mut() {
        match prompt(first.text) {
            Some(Prompt::User) => return Line::Empty,
            Some(Prompt::System(rest)) => {
                first.place.column += first.text.chars().count() - rest.chars().count();
                first.text = rest;
            }
            None => {}
        }
    }
    words.retain(|w| !w.text.is_empty());
    match words.as_slice() {
        [] => Line::Empty,
        [only] if only.text == "#" => Line::Separator,
        [first, ..] if first.text.starts_with('#') => Line::Empty,
        _ => Line::Command(words),
    }
}

fn words(line_number: usize, line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let (mut column, mut rest) = (1, line);
    loop {
        let trimmed = rest.trim_start();
        column += rest.chars().count() - trimmed.chars().count();
        let end = trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
        let (text, after) = trimmed.split_at(end);
        if text.is_empty() {
            return words;
        }
        words.push(Word {
            place: Place {
                line: line_number,
                column,
            },
            text,
        });
        column += text.chars().count();
        rest = after;
    }
}

enum Prompt<'a> {
    /// `<Sysname>`: what follows configures nothing.
    User,
    /// `[Sysname]` or `[Sysname-ikev2-profile-1]`, and what stands right behind it.
    System(&'a str),
}

fn prompt(word: &str) -> Option<Prompt<'_>> {
    // A standby pair shows its role before the prompt: `RBM_P[F1090_P]`.
    let word = word
        .strip_prefix("RBM_P")
        .or_else(|| word.strip_prefix("RBM_S"))
        .unwrap_or(word);
    if word.starts_with('<') && word.contains('>') {
        return Some(Prompt::User);
    }
    word.strip_prefix('[')?
        .split_once(']')
        .map(|(_, rest)| Prompt::System(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<(usize, &str)> {
        match lex(1, line) {
            Line::Command(words) => words.iter().map(|w| (w.place.column, w.text)).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn words_have_columns() {
        assert_eq!(texts("  peer \t2\r"), [(3, "peer"), (9, "2")]);
        assert_eq!(texts("[Sysname] ikev2 dpd"), [(11, "ikev2"), (17, "dpd")]);
        assert_eq!(texts("[Sysname-ikev2-profile-1]dpd"), [(26, "dpd")]);
        assert_eq!(texts("RBM_P[F1090]dpd"), [(13, "dpd")]);
    }

    #[test]
    fn separators_and_user_view() {
        assert_eq!(lex(1, " # "), Line::Separator);
        assert_eq!(lex(1, "<Sysname> system-view"), Line::Empty);
        assert_eq!(lex(1, "RBM_S<F1090_S>debugging ikev2 all"), Line::Empty);
        assert_eq!(lex(1, "# Create a profile."), Line::Empty);
        assert_eq!(lex(1, "\r"), Line::Empty);
        assert_eq!(lex(1, "[Sysname]"), Line::Empty);
    }
}
