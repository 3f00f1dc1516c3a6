//! What was done to whom, and when.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result};

/// From when to when somebody was disturbed.
#[derive(Clone, Copy, Debug)]
pub struct Disturbance {
    /// The fault began.
    pub from: SystemTime,
    /// It was over.
    pub to: SystemTime,
}

/// `faults.log`, with the time of day as charon's log has it.
#[derive(Debug)]
pub struct Diary(File);

impl Diary {
    /// The diary in `dir`, continued if there is one.
    pub fn open(dir: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true);
        file.open(dir.join("faults.log"))
            .map(Self)
            .context("opening a diary")
    }

    /// Writes a line.
    pub fn note(&mut self, text: &str) -> Result<()> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let day = since.as_secs() % 86_400;
        let (hour, minute, second) = (day / 3600, day / 60 % 60, day % 60);
        let milli = since.subsec_millis();
        writeln!(
            self.0,
            "{hour:02}:{minute:02}:{second:02}.{milli:03} {text}"
        )
        .context("writing a diary")
    }
}
