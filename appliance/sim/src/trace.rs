//! What happened in a run: a hash of all of it, and its lines where they are wanted.

use std::fmt::Arguments;
use std::time::{Duration, Instant};

/// The record of a run: two runs of one seed end with the same hash.
#[derive(Debug)]
pub struct Trace {
    start: Instant,
    hash: u64,
    steps: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// Empty; `verbose`: lines are kept, not only hashed.
    pub fn new(start: Instant, verbose: bool) -> Self {
        Self {
            start,
            hash: 0xcbf2_9ce4_8422_2325,
            steps: 0,
            lines: verbose.then(Vec::new),
        }
    }

    fn mix(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.hash = (self.hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x0100_0000_01b3);
            self.hash ^= self.hash >> 29;
        }
        for byte in rest {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// A datagram is sent, from the branch with this number or (`None`) from headquarters.
    pub fn datagram(&mut self, now: Instant, from: Option<usize>, bytes: &[u8]) {
        let at = u64::try_from((now - self.start).as_nanos()).unwrap_or(u64::MAX);
        let who = from.map_or(u64::MAX, |n| n as u64);
        self.steps += 1;
        self.mix(&at.to_le_bytes());
        self.mix(&who.to_le_bytes());
        self.mix(bytes);
    }

    /// Something else happened.
    pub fn note(&mut self, now: Instant, what: Arguments<'_>) {
        let line = format!("{} {what}", seconds(now - self.start));
        self.mix(line.as_bytes());
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    /// Something happened that is told but does not belong to the hash; costs nothing unless told.
    pub fn tell(&mut self, now: Instant, what: Arguments<'_>) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{} {what}", seconds(now - self.start)));
        }
    }

    /// The hash so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Datagrams so far.
    pub fn datagrams(&self) -> u64 {
        self.steps
    }

    /// The lines, where they were kept.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

/// As the lines write time: `1234.567`.
pub fn seconds(time: Duration) -> String {
    format!("{:>9.3}", time.as_secs_f64())
}
