//! The flight recorder of one device: what happened last, in a few KiB.
//!
//! Always on. Recording copies an event in a compact form into memory that was taken once; what is
//! oldest makes room. What happens all the time (probes, retransmissions) has a lane of its own, so
//! that a week of answered probes does not push out the story of the SAs.

use crate::event::Event;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Octets of a ring unless the configuration says otherwise.
pub const DEFAULT_OCTETS: usize = 4096;
/// Octets that a ring may have.
pub const OCTETS: std::ops::RangeInclusive<usize> = 1024..=65_536;

/// The largest entry. Texts in an event are cut so that it fits.
const LARGEST: usize = 512;
/// Octets that a text keeps when it is cut: two of them and a suite fit an entry.
const TEXT: usize = 150;
/// Length of an entry, in front of it.
const PREFIX: usize = 2;

/// One event of one device.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since the epoch of whoever recorded, or since 1970 once that is known.
    pub at_ms: u64,
    /// What happened.
    pub event: Event,
}

/// What was overwritten.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Overwritten {
    /// How many events are gone.
    pub events: u64,
    /// Time of the last one that is gone: what is older is not complete. Same epoch as the entries.
    pub until_ms: u64,
}

/// What a ring held at one moment.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Recording {
    /// The entries, in the order they happened.
    pub entries: Vec<Entry>,
    /// Of what shapes a tunnel: SAs, endpoints, operators.
    pub lasting_overwritten: Overwritten,
    /// Of what happens all the time: probes and retransmissions.
    pub routine_overwritten: Overwritten,
}

impl Recording {
    /// Moves all times by an offset: from an epoch of this run to 1970.
    pub fn shift(&mut self, offset_ms: u64) {
        for entry in &mut self.entries {
            entry.at_ms += offset_ms;
        }
        for gone in [&mut self.lasting_overwritten, &mut self.routine_overwritten] {
            if gone.events > 0 {
                gone.until_ms += offset_ms;
            }
        }
    }
}

/// The last events of one device.
#[derive(Clone, Debug)]
pub struct Ring {
    lasting: Lane,
    routine: Lane,
    /// Of the next entry: the order over both lanes.
    next: u64,
}

impl Ring {
    /// A ring of so many octets, 1024 to 65536; a quarter is for what happens all the time.
    /// Memory is taken with the first event of each kind.
    pub fn new(octets: usize) -> Self {
        let octets = octets.clamp(*OCTETS.start(), *OCTETS.end());
        let routine = (octets / 4).max(LARGEST + PREFIX);
        Self {
            lasting: Lane::new(octets.saturating_sub(routine).max(LARGEST + PREFIX)),
            routine: Lane::new(routine),
            next: 0,
        }
    }

    /// Records an event at a time that never goes back (milliseconds since any fixed moment).
    pub fn record(&mut self, at_ms: u64, event: &Event) {
        let lane = if event.is_routine() {
            &mut self.routine
        } else {
            &mut self.lasting
        };
        lane.record(at_ms, self.next, event);
        self.next += 1;
    }

    /// What it holds.
    pub fn recording(&self) -> Recording {
        let mut entries: Vec<(u64, Entry)> =
            self.lasting.iter().chain(self.routine.iter()).collect();
        entries.sort_unstable_by_key(|(number, _)| *number);
        Recording {
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            lasting_overwritten: self.lasting.overwritten,
            routine_overwritten: self.routine.overwritten,
        }
    }

    /// Octets of memory it takes, itself included.
    pub fn octets(&self) -> usize {
        size_of::<Self>() + self.lasting.octets.capacity() + self.routine.octets.capacity()
    }
}

/// Entries one behind the other: length, then time and number as distances from the entry
/// before, then the event.
#[derive(Clone, Debug)]
struct Lane {
    octets: VecDeque<u8>,
    limit: usize,
    /// Time and number that the first entry's distances are counted from.
    base: (u64, u64),
    /// Those of the last entry.
    last: (u64, u64),
    overwritten: Overwritten,
}

impl Lane {
    fn new(limit: usize) -> Self {
        Self {
            octets: VecDeque::new(),
            limit,
            base: (0, 0),
            last: (0, 0),
            overwritten: Overwritten::default(),
        }
    }

    fn record(&mut self, at_ms: u64, number: u64, event: &Event) {
        let distance = (at_ms.saturating_sub(self.last.0), number - self.last.1);
        let mut scratch = [0; PREFIX + LARGEST];
        let Some(len) = encode(&mut scratch, distance, event)
            .or_else(|| encode(&mut scratch, distance, &event.shortened(TEXT)))
        else {
            // Larger even with its texts cut: there is no such event.
            self.overwritten.events += 1;
            self.overwritten.until_ms = at_ms;
            return;
        };
        if self.octets.capacity() == 0 {
            self.octets = VecDeque::with_capacity(self.limit);
        }
        while self.octets.len() + len > self.limit {
            self.forget_first();
        }
        self.octets.extend(scratch.get(..len).unwrap_or(&[]));
        self.last = (self.last.0 + distance.0, number);
    }

    fn forget_first(&mut self) {
        let Some(len) = length(self.octets.iter()) else {
            return self.octets.clear();
        };
        let mut head = [0; 20];
        let begin = self.octets.iter().skip(PREFIX).take(len);
        for (to, from) in head.iter_mut().zip(begin) {
            *to = *from;
        }
        if let Ok(((time, number), _)) = postcard::take_from_bytes::<(u64, u64)>(&head) {
            self.base = (self.base.0 + time, self.base.1 + number);
        }
        self.overwritten.events += 1;
        self.overwritten.until_ms = self.base.0;
        drop(self.octets.drain(..(PREFIX + len).min(self.octets.len())));
    }

    fn iter(&self) -> impl Iterator<Item = (u64, Entry)> {
        let (mut at, mut base) = (0, self.base);
        std::iter::from_fn(move || {
            let len = length(self.octets.iter().skip(at))?;
            let begin = at + PREFIX;
            let octets: Vec<u8> = self.octets.iter().skip(begin).take(len).copied().collect();
            at = begin + len;
            let (time, number, event) = postcard::from_bytes::<(u64, u64, Event)>(&octets).ok()?;
            base = (base.0 + time, base.1 + number);
            let at_ms = base.0;
            Some((base.1, Entry { at_ms, event }))
        })
    }
}

fn encode(scratch: &mut [u8], distance: (u64, u64), event: &Event) -> Option<usize> {
    let (prefix, body) = scratch.split_at_mut_checked(PREFIX)?;
    let used = postcard::to_slice(&(distance.0, distance.1, event), body).ok()?;
    let len = used.len();
    prefix.copy_from_slice(&u16::try_from(len).ok()?.to_le_bytes());
    Some(PREFIX + len)
}

fn length<'a>(mut octets: impl Iterator<Item = &'a u8>) -> Option<usize> {
    let prefix = [*octets.next()?, *octets.next()?];
    Some(usize::from(u16::from_le_bytes(prefix)))
}
