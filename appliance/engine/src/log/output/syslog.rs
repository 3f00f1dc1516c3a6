//! Lines as syslog messages (RFC 5424).

use super::super::lines::{Head, Line};
use crate::incidents::unix_ms;
use crate::sentence;
use hawser_policy::LogLevel;
use std::fs;
use std::process;
use std::sync::LazyLock;

/// Facility `daemon`.
const DAEMON: u32 = 3;

/// HOSTNAME, APP-NAME, PROCID, MSGID and no structured data.
static REST: LazyLock<String> = LazyLock::new(|| {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim_end();
    let fits = (1..=255).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_graphic());
    let host = if fits { host } else { "-" };
    format!("{host} hawser {} - - ", process::id())
});

/// Appends the message of a line. One that a plugin wrote as a message already is left as it is.
pub(super) fn message(line: Line<'_>, out: &mut Vec<u8>) {
    if line.head.is_some() || !is_message(line.text) {
        // What a plugin wrote says nothing of how grave it is.
        let head = line.head.unwrap_or_else(|| Head {
            unix_ms: unix_ms(),
            level: LogLevel::Info,
        });
        let priority = 8 * DAEMON + severity(head.level);
        let time = sentence::time(head.unix_ms);
        out.extend_from_slice(format!("<{priority}>1 {time} {}", *REST).as_bytes());
    }
    out.extend_from_slice(line.text.as_bytes());
}

fn severity(level: LogLevel) -> u32 {
    match level {
        LogLevel::Warning => 4,
        LogLevel::Info => 6,
        LogLevel::Debug => 7,
    }
}

/// Whether it begins with PRI and VERSION 1.
fn is_message(text: &str) -> bool {
    let inside = text.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    inside.is_some_and(|(priority, rest)| {
        let number = priority.bytes().all(|b| b.is_ascii_digit());
        let value = priority.parse::<u8>().unwrap_or(u8::MAX);
        number && value <= 191 && rest.starts_with("1 ")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(head: Option<Head>, text: &str) -> String {
        let mut out = Vec::new();
        message(Line { head, text }, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_gets_a_header_unless_it_has_one() {
        let head = Head {
            unix_ms: 1_700_000_000_000,
            level: LogLevel::Warning,
        };
        let text = of(Some(head), "<34>1 is what it says: down");
        assert!(
            text.starts_with("<28>1 2023-11-14T22:13:20.000Z "),
            "{text}"
        );
        assert!(text.contains(" hawser ") && text.ends_with(" - - <34>1 is what it says: down"));
        let own = "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 - x";
        assert_eq!(of(None, own), own);
        for other in ["{\"a\":1}", "<192>1 x", "<165>2 x", "<+5>1 x", "plain"] {
            let text = of(None, other);
            assert!(
                text.starts_with("<30>1 ") && text.ends_with(other),
                "{text}"
            );
        }
    }
}
