//! Which language a configuration is written in.

/// A language of configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// The native one.
    Toml,
    /// Comware, as a device shows it or as it is typed.
    Comware,
}

/// Words that Comware text about IPsec has at the beginning of some line.
const COMWARE_WORDS: [&str; 4] = ["ikev2", "ipsec", "interface", "acl"];

impl Format {
    /// Tells the language by the name of the file, and by the text where the name says nothing.
    pub fn detect(file_name: &str, text: &str) -> Self {
        let extension = file_name
            .rsplit_once('.')
            .map(|(_, e)| e.to_ascii_lowercase());
        match extension.as_deref() {
            Some("toml") => Self::Toml,
            Some("cfg") => Self::Comware,
            _ if text.lines().any(is_comware) => Self::Comware,
            _ => Self::Toml,
        }
    }
}

/// Whether only Comware has such a line: TOML follows a key with `=`.
fn is_comware(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let (Some(first), second) = (words.next(), words.next()) else {
        return false;
    };
    COMWARE_WORDS.contains(&first) && second.is_some_and(|w| !w.starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn the_name_decides_and_else_the_text() {
        assert_eq!(Format::detect("a/hq.toml", "ikev2 profile 1"), Format::Toml);
        assert_eq!(Format::detect("hq.CFG", ""), Format::Comware);
        assert_eq!(
            Format::detect("hq", "#\n ikev2 profile 1\n"),
            Format::Comware
        );
        assert_eq!(
            Format::detect("hq.txt", "# ipsec\ninterface = \"x\"\n"),
            Format::Toml
        );
    }
}
