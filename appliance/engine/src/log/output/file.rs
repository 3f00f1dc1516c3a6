//! A file that becomes `PATH.1` when it is large enough.

use super::{Progress, Sink};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

/// The log names devices: it is not for everybody.
const MODE: u32 = 0o640;

/// The file.
pub(super) struct LogFile {
    path: PathBuf,
    size: u64,
    keep: u16,
    open: Option<Open>,
}

struct Open {
    file: File,
    /// Octets in it.
    used: u64,
    /// Device and number.
    inode: (u64, u64),
}

impl LogFile {
    pub(super) fn new(path: PathBuf, size: u64, keep: u16) -> Self {
        Self {
            path,
            size,
            keep,
            open: None,
        }
    }

    /// The file, opened anew where somebody has moved it away.
    fn current(&mut self) -> io::Result<&mut Open> {
        let there = fs::metadata(&self.path).ok().map(|m| (m.dev(), m.ino()));
        if self.open.as_ref().map(|open| open.inode) != there || there.is_none() {
            self.open = None;
        }
        match &mut self.open {
            Some(open) => Ok(open),
            none => {
                let file = OpenOptions::new()
                    .create(true)
                    .append(true)
                    .mode(MODE)
                    .open(&self.path)?;
                let meta = file.metadata()?;
                let (used, inode) = (meta.len(), (meta.dev(), meta.ino()));
                Ok(none.insert(Open { file, used, inode }))
            }
        }
    }

    fn numbered(&self, number: u16) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.open = None;
        if self.keep == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.keep).rev() {
            absent_is_fine(fs::rename(self.numbered(number), self.numbered(number + 1)))?;
        }
        absent_is_fine(fs::rename(&self.path, self.numbered(1)))
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

impl Sink for LogFile {
    fn write(&mut self, lines: &mut Progress<'_>) -> io::Result<()> {
        while lines.left().next().is_some() {
            let size = self.size;
            let open = self.current()?;
            let (mut text, mut count) = (Vec::new(), 0);
            for line in lines.left() {
                let before = text.len();
                line.plain(&mut text);
                let empty = open.used == 0 && count == 0;
                if open.used + text.len() as u64 > size && !empty {
                    text.truncate(before);
                    break;
                }
                count += 1;
            }
            if count == 0 {
                self.rotate()?;
                continue;
            }
            if let Err(error) = open.file.write_all(&text) {
                // A line is there whole or not at all.
                let _ = open.file.set_len(open.used);
                return Err(error);
            }
            open.used += text.len() as u64;
            lines.written(count);
        }
        Ok(())
    }
}
