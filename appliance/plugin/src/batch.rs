//! What a batch's texts and octets are put into: one copy into the plugin instead of thousands.

use crate::wire::Span;

/// Octets, and where in them each part lies.
#[derive(Default)]
pub(crate) struct Octets(Vec<u8>);

impl Octets {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends a part.
    pub(crate) fn put(&mut self, part: &[u8]) -> Span {
        let at = self.0.len();
        self.0.extend_from_slice(part);
        span(at, part.len())
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// Text, and where in it each part lies.
#[derive(Default)]
pub(crate) struct Texts(String);

impl Texts {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends a part.
    pub(crate) fn put(&mut self, part: &str) -> Span {
        let at = self.0.len();
        self.0.push_str(part);
        span(at, part.len())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What lies beyond 4 GiB does not fit into a plugin anyway.
fn span(at: usize, length: usize) -> Span {
    match (u32::try_from(at), u32::try_from(length)) {
        (Ok(at), Ok(length)) => Span { at, length },
        _ => Span::default(),
    }
}
