//! Lines on their way to the outputs.

use super::level;
use crate::sentence;
use hawser_flight::Record;
use hawser_policy::{LogLevel, LogSettings};
use std::borrow::Cow;
use std::ops::Range;

/// Some lines, in order.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: String,
    lines: Vec<(Option<Head>, Range<usize>)>,
}

/// An event as the built-in format writes it into a file, without the line feed.
pub fn built_in(record: &Record) -> String {
    let mut lines = Lines::default();
    lines.push_record(record, LogSettings::default().line);
    let mut text = Vec::new();
    lines.beyond(0).for_each(|line| line.plain(&mut text));
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

/// What an output writes before a line of the built-in format.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) unix_ms: u64,
    pub(super) level: LogLevel,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// `None`: a plugin made the line, whole.
    pub(super) head: Option<Head>,
    /// Without a line feed and other control characters than tabs.
    pub(super) text: &'a str,
}

impl Lines {
    /// Appends a line, cut to so many octets.
    pub(super) fn push(&mut self, head: Option<Head>, text: &str, most: usize) {
        let begin = self.text.len();
        self.text
            .push_str(&printable(&text[..text.floor_char_boundary(most)]));
        self.lines.push((head, begin..self.text.len()));
    }

    /// Appends an event in the built-in format.
    pub(super) fn push_record(&mut self, record: &Record, most: usize) {
        let head = Head {
            unix_ms: record.unix_ms,
            level: level::of(&record.event),
        };
        self.push(Some(head), &sentence::of(record), most);
    }

    /// Appends what a plugin wrote: lines, each ended by a line feed.
    pub(super) fn push_written(&mut self, written: &[u8], most: usize) {
        for line in String::from_utf8_lossy(written).lines() {
            self.push(None, line, most);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn octets(&self) -> usize {
        self.text.len()
    }

    /// Those from this one on.
    pub(super) fn beyond(&self, first: usize) -> impl Iterator<Item = Line<'_>> {
        self.lines.iter().skip(first).map(|(head, at)| Line {
            head: *head,
            text: &self.text[at.clone()],
        })
    }
}

impl Line<'_> {
    /// The line as it stands in a file, with its line feed.
    pub(super) fn plain(&self, out: &mut Vec<u8>) {
        if let Some(Head { unix_ms, level }) = self.head {
            let time = sentence::time(unix_ms);
            out.extend_from_slice(format!("{time} {:>5} ", word(level)).as_bytes());
        }
        out.extend_from_slice(self.text.as_bytes());
        out.push(b'\n');
    }
}

fn word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "DEBUG",
        LogLevel::Info => "INFO",
        LogLevel::Warning => "WARN",
    }
}

/// What a peer claims may hold anything: no line begins another one, and none speaks to a terminal.
fn printable(text: &str) -> Cow<'_, str> {
    // 0xc2 begins the control characters beyond ASCII, and some others.
    let suspicious = |b: u8| (b < 0x20 && b != b'\t') || b == 0x7f || b == 0xc2;
    if !text.bytes().any(suspicious) {
        return text.into();
    }
    let control = |c: char| c.is_control() && c != '\t';
    text.replace(control, "\u{fffd}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_within_its_limit() {
        let mut lines = Lines::default();
        let head = Head {
            unix_ms: 0,
            level: LogLevel::Info,
        };
        lines.push(Some(head), "a\n\u{1b}[31m\u{85}b\tc", 100);
        lines.push(None, "é".repeat(200).as_str(), 257);
        lines.push_written(b"one\ntwo \xff\n", 100);
        let all: Vec<_> = lines.beyond(0).map(|line| line.text.to_owned()).collect();
        assert_eq!(all[0], "a\u{fffd}\u{fffd}[31m\u{fffd}b\tc");
        assert_eq!(all[1], "é".repeat(128));
        assert_eq!(all[2..], ["one", "two \u{fffd}"]);
        let mut plain = Vec::new();
        lines
            .beyond(0)
            .next()
            .into_iter()
            .for_each(|line| line.plain(&mut plain));
        assert!(plain.starts_with(b"1970-01-01T00:00:00.000Z  INFO a"));
    }
}
