//! What goes wrong, when, for whom.

use crate::plan::{FAULTS_FROM, HEAL, ROUND};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// How long a shard waits for an answer, and a little more.
const GIVEN_UP: Duration = Duration::from_secs(35);

/// Whom a fault meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whom {
    /// One branch.
    One(u16),
    /// Everybody.
    All,
}

impl Whom {
    /// Whether this branch is meant.
    pub fn is(self, branch: u16) -> bool {
        self == Self::All || self == Self::One(branch)
    }
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum What {
    /// Datagrams are lost, with this probability each way.
    Loss(Whom, f64),
    /// They take longer, by up to so much: they overtake each other.
    Delay(Whom, Duration),
    /// They come twice.
    Duplicate(Whom, f64),
    /// An octet of them is another.
    Corrupt(Whom, f64),
    /// Nothing gets through.
    Partition(Whom),
    /// Nothing gets to headquarters.
    Mute(Whom),
    /// Nothing gets to the branch.
    Deaf(Whom),
    /// ESP does not get to headquarters, though IKE does.
    EspLost(Whom),
    /// The NAT of a branch forgets its mappings.
    Rebind(u16),
    /// A NAT forgets all its mappings.
    NatReboot(usize),
    /// A NAT gets another address outside, and forgets all its mappings.
    Readdress(usize),
    /// Mappings of a NAT live only so long.
    ShortMappings(usize, Duration),
    /// A branch is stopped, and goes on.
    Freeze(u16),
    /// A branch crashes, and boots when the fault ends.
    Crash(u16),
    /// Headquarters stands still: what comes is lost when too much, timers are late (a paused
    /// virtual machine, a clock that is stepped).
    Stall,
    /// Key-exchange work takes so long.
    SlowWork(Duration),
    /// Key-exchange work is never done, with this probability.
    LostWork(f64),
    /// Plugins answer so late: in vain, where nobody waits so long.
    SlowPlugins(Duration),
    /// Plugins do not answer.
    SilentPlugins,
    /// What shards tell each other takes so long.
    SlowMail(Duration),
    /// Somebody sends what he has overheard again, from elsewhere, so often a second.
    Replay(u16, u8),
    /// Somebody sends garbage to headquarters.
    Garbage(u8),
    /// An operator rekeys everything.
    Rekey,
    /// An operator gives every template other lifetimes, in percent of what they were, and other times of DPD.
    Apply(u8),
}

/// One fault.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Fault {
    /// Since the start of the run.
    pub at: Duration,
    /// How long.
    pub lasts: Duration,
    /// What.
    pub what: What,
}

impl Fault {
    /// When it ends.
    pub fn until(&self) -> Duration {
        self.at + self.lasts
    }

    /// The faults of a run: between 2 and 40 a round, each within it.
    pub fn schedule(rng: &mut ChaCha8Rng, rounds: u32, peers: u16, nats: usize) -> Vec<Self> {
        let mut faults = Vec::new();
        for round in 0..rounds {
            for _ in 0..rng.random_range(2..40) {
                let (at, lasts) = within(rng, round);
                let what = What::any(rng, peers, nats);
                faults.push(Self { at, lasts, what });
            }
        }
        for fault in &mut faults {
            match fault.what {
                What::Stall => fault.lasts = fault.lasts.min(Duration::from_secs(20)),
                // A question that is never answered is given up after 30 s: that is over by then.
                What::LostWork(_) => {
                    let round = fault.at.as_secs() / ROUND.as_secs();
                    let latest = ROUND * u32::try_from(round).unwrap_or(0) + HEAL - 2 * GIVEN_UP;
                    fault.at = fault.at.min(latest);
                    fault.lasts = fault.lasts.min(GIVEN_UP);
                }
                _ => {}
            }
        }
        faults.sort_by_key(|f| f.at);
        faults
    }

    /// Faults that came to schedules later: up to 4 a round.
    pub fn more(rng: &mut ChaCha8Rng, rounds: u32, plugins: bool, nats: usize) -> Vec<Self> {
        let mut faults = Vec::new();
        for round in 0..rounds {
            for _ in 0..rng.random_range(0..=4) {
                let (at, lasts) = within(rng, round);
                let what = match rng.random_range(0..4) {
                    0 if plugins => What::SilentPlugins,
                    1 if plugins => {
                        What::SlowPlugins(Duration::from_millis(rng.random_range(10..3000)))
                    }
                    0 | 1 => continue,
                    2 => What::Readdress(rng.random_range(0..nats)),
                    _ => What::Apply(rng.random_range(50..=200)),
                };
                faults.push(Self { at, lasts, what });
            }
        }
        faults
    }
}

/// A time among the faults of a round, and how long.
fn within(rng: &mut ChaCha8Rng, round: u32) -> (Duration, Duration) {
    let span = (HEAL - FAULTS_FROM).as_secs_f64();
    let from = rng.random_range(0.0..span - 1.0);
    let longest: f64 = if rng.random_bool(0.5) { 30.0 } else { 240.0 };
    let lasts = rng.random_range(0.5..longest).min(span - from);
    let at = ROUND * round + FAULTS_FROM + Duration::from_secs_f64(from);
    (at, Duration::from_secs_f64(lasts))
}

impl What {
    fn any(rng: &mut ChaCha8Rng, peers: u16, nats: usize) -> Self {
        let one = rng.random_range(0..peers.max(1));
        let whom = if rng.random_bool(0.2) {
            Whom::All
        } else {
            Whom::One(one)
        };
        match rng.random_range(0..24) {
            0 | 1 => Self::Loss(whom, rng.random_range(0.05..0.5)),
            2 => Self::Delay(whom, Duration::from_millis(rng.random_range(10..3000))),
            3 => Self::Duplicate(whom, rng.random_range(0.05..0.8)),
            4 => Self::Corrupt(whom, rng.random_range(0.01..0.5)),
            5..=7 => Self::Partition(whom),
            8 => Self::Mute(whom),
            9 => Self::Deaf(whom),
            10..=12 => Self::Rebind(one),
            13 => Self::NatReboot(rng.random_range(0..nats)),
            14 => Self::ShortMappings(
                rng.random_range(0..nats),
                Duration::from_secs(rng.random_range(5..25)),
            ),
            15 | 16 => Self::Freeze(one),
            17 | 18 => Self::Crash(one),
            19 => Self::Stall,
            20 => Self::SlowWork(Duration::from_millis(rng.random_range(5..4000))),
            21 => match rng.random_range(0..3) {
                0 => Self::LostWork(rng.random_range(0.1..0.9)),
                1 => Self::SlowMail(Duration::from_millis(rng.random_range(1..2000))),
                _ => Self::Rekey,
            },
            22 => Self::Replay(one, rng.random_range(1..50)),
            _ => Self::Garbage(rng.random_range(1..50)),
        }
    }
}
