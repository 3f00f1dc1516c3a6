//! The secrets that charon logs at level 4, in the order in which they came to be.

use anyhow::{Context as _, Result};

/// A chunk that charon named and dumped.
#[derive(Clone, Debug)]
pub struct Secret {
    /// Charon's name for it, such as `Sk_d secret`.
    pub name: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// One line of interest: a dumped chunk, or any other message.
#[derive(Clone, Debug)]
pub enum Entry {
    /// `NAME => N bytes @ 0x..` with its dump.
    Secret(Secret),
    /// Anything else that was logged.
    Message(String),
}

/// Reads a whole log whose lines begin `TIME THREAD[GROUP] `.
pub fn parse(log: &str) -> Result<Vec<Entry>> {
    let mut entries: Vec<(String, Entry)> = Vec::new();
    for line in log.lines() {
        let Some((thread, message)) = line
            .split_once(' ')
            .and_then(|(_, rest)| rest.split_once("] "))
        else {
            continue;
        };
        if let Some(bytes) = dump(message) {
            let open = entries
                .iter_mut()
                .rev()
                .find_map(|(owner, entry)| match entry {
                    Entry::Secret(secret) if owner == thread => Some(secret),
                    _ => None,
                });
            open.with_context(|| format!("a dump without a name: {line}"))?
                .value
                .extend(bytes);
        } else if let Some((name, _)) = message
            .split_once(" => ")
            .filter(|(_, rest)| rest.contains(" bytes @ 0x"))
        {
            let secret = Secret {
                name: name.to_owned(),
                value: Vec::new(),
            };
            entries.push((thread.to_owned(), Entry::Secret(secret)));
        } else {
            entries.push((thread.to_owned(), Entry::Message(message.to_owned())));
        }
    }
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// The bytes of `   0: 8E B5 FF  ...`; none when the line is not a dump.
fn dump(message: &str) -> Option<Vec<u8>> {
    let (offset, rest) = message.split_once(": ")?;
    offset.trim().parse::<usize>().ok()?;
    rest.get(..rest.len().min(48))?
        .split_whitespace()
        .map_while(|word| u8::from_str_radix(word, 16).ok())
        .map(Some)
        .collect()
}
