//! Events in words.

use hawser_sdk::log::{Event, Value};
use std::fmt::Write as _;

/// A value as text.
pub fn value(value: &Value<'_>) -> String {
    let mut text = String::new();
    push(&mut text, value);
    text
}

fn push(out: &mut String, value: &Value<'_>) {
    // Writing to memory does not fail.
    let _ = match value {
        Value::Text(text) => out.write_str(text),
        Value::Integer(n) => write!(out, "{n}"),
        Value::Unsigned(n) => write!(out, "{n}"),
        Value::Number(n) => write!(out, "{n}"),
        Value::Boolean(b) => write!(out, "{b}"),
    };
}

/// An event in one line: `endpoint moved: from=10.0.0.1:4500 to=10.0.0.1:4501`.
pub fn sentence(event: &Event<'_>) -> String {
    let mut text = String::with_capacity(256);
    write_sentence(&mut text, event);
    text
}

/// The sentence of an event instead of what `text` held.
pub fn write_sentence(text: &mut String, event: &Event<'_>) {
    text.clear();
    for (n, word) in event.name.split('_').enumerate() {
        text.push_str(if n == 0 { "" } else { " " });
        text.push_str(word);
    }
    for (n, (name, v)) in event.fields.iter().enumerate() {
        text.push_str(if n == 0 { ": " } else { " " });
        text.push_str(name);
        text.push('=');
        push(text, v);
    }
    // What a peer claims may hold anything: one event stays one line. 0xc2 begins the control
    // characters beyond ASCII, and some others.
    let suspicious = |b: u8| b < 0x20 || b == 0x7f || b == 0xc2;
    if text.bytes().any(suspicious) {
        *text = text.replace(char::is_control, "\u{fffd}");
    }
}

/// Address and port of `192.0.2.1/4500`.
pub fn host_port(endpoint: &str) -> (&str, &str) {
    endpoint.rsplit_once('/').unwrap_or((endpoint, "0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_sdk::testing::log::event;

    #[test]
    fn an_event_is_one_line() {
        let refused = event("handshake_failed")
            .with("claimed_identity", "a\nb")
            .with("attempt", 2u32)
            .with("known", false);
        assert_eq!(
            sentence(&refused),
            "handshake failed: claimed_identity=a\u{fffd}b attempt=2 known=false"
        );
        assert_eq!(sentence(&event("peer_up")), "peer up");
        assert_eq!(host_port("2001:db8::1/4500"), ("2001:db8::1", "4500"));
    }
}
