//! What a responder's process has used.

use anyhow::Context as _;
use std::fs;
use std::time::Duration;

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// In user and kernel mode, all threads.
    pub(super) cpu: Duration,
    /// Resident, bytes.
    pub(super) resident: u64,
}

impl Usage {
    /// Of the process now.
    pub(super) fn read(pid: u32) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).with_context(|| format!("reading {path}"))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        Self::parse(&stat, &status).with_context(|| format!("the figures of process {pid}"))
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The second field is a name in parentheses that may hold blanks; utime and stime are the 14th and 15th.
        let fields = stat.rsplit_once(") ")?.1;
        let mut ticks = fields.split(' ').skip(11).map(str::parse::<u64>);
        let ticks = ticks.next()?.ok()? + ticks.next()?.ok()?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = resident.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(Self {
            cpu: Duration::from_secs_f64(
                ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
            ),
            resident: kib * 1024,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_with_blanks_does_not_shift_the_fields() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 2 0 0 0 150 50 0 0 20 0 1 0";
        let usage = Usage::parse(stat, "Name:\tx\nVmRSS:\t     12 kB\n").unwrap();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(usage.cpu, Duration::from_secs_f64(200.0 / ticks));
        assert_eq!(usage.resident, 12 * 1024);
    }
}
