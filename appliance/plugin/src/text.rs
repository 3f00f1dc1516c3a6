//! Text of a plugin, made fit to be shown.

/// At most `limit` octets of `text` with control characters escaped; `…` marks a cut.
pub(crate) fn clean(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for character in text.chars() {
        let before = out.len();
        // Bidirectional and line separators would let a plugin forge what a terminal shows.
        if character.is_control()
            || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
        if out.len() > limit {
            out.truncate(before);
            out.push('…');
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn escapes_and_cuts() {
        assert_eq!(clean("plain", 64), "plain");
        assert_eq!(clean("a\n\u{1b}[31mb", 64), "a\\n\\u{1b}[31mb");
        assert_eq!(clean("a\u{202e}b", 64), "a\\u{202e}b");
        assert_eq!(clean("äöü", 4), "äö…");
        assert_eq!(clean("abc\n", 4), "abc…");
    }
}
