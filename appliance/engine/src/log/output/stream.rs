//! The standard streams.

use super::{Progress, Sink};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

/// One of them.
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Sink for Stream {
    fn write(&mut self, lines: &mut Progress<'_>) -> io::Result<()> {
        // Through a descriptor of its own: a stuck reader must not hold the lock that others write under.
        let descriptor = match self {
            Self::Stdout => io::stdout().as_fd().try_clone_to_owned()?,
            Self::Stderr => io::stderr().as_fd().try_clone_to_owned()?,
        };
        let (mut text, mut count) = (Vec::new(), 0);
        for line in lines.left() {
            line.plain(&mut text);
            count += 1;
        }
        File::from(descriptor).write_all(&text)?;
        lines.written(count);
        Ok(())
    }
}
