//! Bug reports: what is known of one peer, in an archive that can be passed on.
//!
//! A report is a gzipped tar of JSON, JSON lines and text. [`DPD`] and [`EVENTS`] are the scenarios that `hawser plugin test`
//! plays, in the format of its own files.

mod dpd;
mod events;
mod redact;

pub(crate) use dpd::pieces;
pub(crate) use events::told;
pub(crate) use redact::Redactor;

use anyhow::{Context as _, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Version of the format.
pub(crate) const VERSION: u8 = 1;
/// Member: evidence as DPD plugins get it, as JSON lines.
pub(crate) const DPD: &str = "dpd.jsonl";
/// Member: events as log-format plugins get them, as JSON lines.
pub(crate) const EVENTS: &str = "events.jsonl";

/// The folder in the archive.
const FOLDER: &str = "hawser-report";
/// How a gzip file begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// A member that is larger when inflated is none of ours.
const LARGEST: u64 = 64 << 20;

/// An archive that is being made, in memory.
pub(crate) struct Report {
    archive: tar::Builder<GzEncoder<Vec<u8>>>,
    redactor: Option<Redactor>,
    now_s: u64,
}

impl Report {
    /// An empty one, made at a time (seconds since 1970). Without a redactor everything stays as it is.
    pub(crate) fn new(now_s: u64, redactor: Option<Redactor>) -> Self {
        let packed = GzEncoder::new(Vec::new(), Compression::default());
        Self {
            archive: tar::Builder::new(packed),
            redactor,
            now_s,
        }
    }

    /// Adds a document.
    pub(crate) fn json(&mut self, name: &str, content: &impl Serialize) -> io::Result<()> {
        let value = self.redacted(content)?;
        self.add(name, &format!("{value:#}\n"))
    }

    /// Adds a document a line.
    pub(crate) fn lines(&mut self, name: &str, content: &[impl Serialize]) -> io::Result<()> {
        let mut text = String::new();
        for line in content {
            text += &format!("{}\n", self.redacted(line)?);
        }
        self.add(name, &text)
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, name: &str, content: &str) -> io::Result<()> {
        match &mut self.redactor {
            Some(redactor) => {
                let text = redactor.text(content);
                self.add(name, &text)
            }
            None => self.add(name, content),
        }
    }

    /// The archive.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        self.archive.into_inner()?.finish()
    }

    fn redacted(&mut self, content: &impl Serialize) -> io::Result<Value> {
        let mut value = serde_json::to_value(content)?;
        if let Some(redactor) = &mut self.redactor {
            redactor.json(&mut value);
        }
        Ok(value)
    }

    fn add(&mut self, name: &str, text: &str) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(self.now_s);
        let path = format!("{FOLDER}/{name}");
        self.archive.append_data(&mut header, path, text.as_bytes())
    }
}

/// The text of a file, or where it is a report or a folder, of one of its members.
pub(crate) fn read(path: &str, member: &str) -> anyhow::Result<String> {
    let inside = Path::new(path).join(member);
    let path = match inside.to_str() {
        Some(inside) if Path::new(path).is_dir() => inside,
        _ => path,
    };
    let mut octets = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot read {path}"))?;
    file.take(LARGEST)
        .read_to_end(&mut octets)
        .with_context(|| format!("cannot read {path}"))?;
    if !octets.starts_with(&GZIP) {
        return String::from_utf8(octets).with_context(|| format!("{path} is not text"));
    }
    let mut archive = tar::Archive::new(GzDecoder::new(octets.as_slice()));
    for entry in archive.entries()? {
        let entry = entry.with_context(|| format!("{path} is no report"))?;
        if entry.path()? == Path::new(FOLDER).join(member) {
            let mut text = String::new();
            entry.take(LARGEST).read_to_string(&mut text)?;
            return Ok(text);
        }
    }
    bail!("{path} is no report of `hawser bugreport`: it has no {FOLDER}/{member}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_added_is_read_and_redacted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("report.tar.gz");
        let path = file.to_str().unwrap();
        let mut redactor = Redactor::default();
        redactor.name("identity", "branch-7.example");
        let mut report = Report::new(1_700_000_000, Some(redactor));
        let line = json!({ "identity": "branch-7.example", "endpoint": "120.208.142.17/8192" });
        report.lines(DPD, &[line.clone(), line]).unwrap();
        report.text("notes.txt", "of branch-7.example").unwrap();
        std::fs::write(&file, report.finish().unwrap()).unwrap();
        let lines = read(path, DPD).unwrap();
        assert_eq!(lines.lines().count(), 2);
        assert!(!lines.contains("branch-7") && !lines.contains("120.208"));
        assert_eq!(read(path, "notes.txt").unwrap(), "of identity-1");
        assert!(read(path, EVENTS).unwrap_err().to_string().contains(EVENTS));
        std::fs::write(&file, "{}\n").unwrap();
        assert_eq!(read(path, DPD).unwrap(), "{}\n");
    }
}
