//! Patterns with `*` and `?`.

/// Whether the text fits the pattern: `*` is any run of characters, `?` is one; case does not
/// matter. Time grows with the product of the lengths at most.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where to go on if what follows the last star does not fit.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == '?' || c.eq_ignore_ascii_case(&text[t]) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((after, from)) = retry else {
                    return false;
                };
                retry = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text) in [
            ("test", "test"),
            ("*", ""),
            ("*", "anything"),
            ("*.branch.example", "n1.branch.example"),
            ("*.Branch.example", "a.b.bRANCH.example"),
            ("branch-??", "branch-07"),
            ("a*b*c", "a-b-b-c"),
            ("*ab", "aab"),
            ("ä*", "ä"),
        ] {
            assert!(fits(pattern, text), "{pattern} and {text}");
        }
        for (pattern, text) in [
            ("test", "test2"),
            ("test", "tes"),
            ("", "a"),
            ("*.branch.example", "branch.example"),
            ("branch-??", "branch-7"),
            ("a*b*c", "a-c-b"),
        ] {
            assert!(!fits(pattern, text), "{pattern} and {text}");
        }
        let long = "a".repeat(2_000);
        assert!(!fits(&format!("{}b", "*a".repeat(30)), &long));
    }
}
