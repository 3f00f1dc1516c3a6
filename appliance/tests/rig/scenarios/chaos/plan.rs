//! What a seed does to six branches, and how the branches are set up. The same seed is the same plan.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// Branches of a run.
pub const BRANCHES: u8 = 6;
/// Before the first fault of a branch every tunnel must be up.
const BEGIN: Duration = Duration::from_secs(10);
/// Peace between two faults of a branch, in seconds.
const PEACE: std::ops::Range<u64> = 15..40;

/// What a seed does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One for every branch, from the first.
    pub branches: Vec<BranchPlan>,
    /// The headquarters rekeys too, about as often as the branches do.
    pub hq_rekeys: bool,
}

/// One branch's set-up and fate.
#[derive(Clone, Debug)]
pub struct BranchPlan {
    /// How its charon is set up.
    pub habits: Habits,
    /// Its faults with the moments, from the run's beginning, at which they begin; they do not overlap.
    pub faults: Vec<(Duration, Fault)>,
}

/// How a charon is set up.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Seconds between two rekeys or reauthentications of its IKE SA.
    pub ike_cycle: u64,
    /// Seconds between two rekeys of its Child SA.
    pub child_cycle: u64,
    /// It reauthenticates its IKE SA (`Some(true)`: make before break) and does not begin anew by itself when an SA is
    /// lost; `None`: it rekeys, and restarts what it lost.
    pub passive: Option<bool>,
    /// It probes the headquarters when nothing has come for a while.
    pub dpd: bool,
    /// It gives an unanswered request up after 42 seconds instead of 165.
    pub hasty: bool,
    /// It waits two minutes, instead of charon's tenth of a cycle, before it deletes an SA that could not be renewed.
    pub patient: bool,
}

/// One misfortune of a branch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Its NAT forgets every mapping.
    Rebind,
    /// Its NAT gets another outer address.
    Move,
    /// Nothing passes, the mappings stay.
    Outage(Duration),
    /// Nothing passes for so long that the NAT forgets the mappings.
    Expiry(Duration),
    /// This many per cent are lost in both directions.
    Loss(u32, Duration),
    /// This many per cent are lost on the way to the headquarters, or from there.
    OneWayLoss(u32, bool, Duration),
    /// IKE does not pass, ESP does.
    NoIke(Duration),
    /// ESP does not pass, IKE does.
    NoEsp(Duration),
    /// Port 500 does not pass.
    NoPort500(Duration),
    /// charon is killed, and started again after this time.
    Kill(Duration),
    /// charon stands still.
    Freeze(Duration),
}

impl Fault {
    /// How long it lasts.
    pub fn length(self) -> Duration {
        match self {
            Self::Rebind | Self::Move => Duration::ZERO,
            Self::Outage(length)
            | Self::Expiry(length)
            | Self::Loss(_, length)
            | Self::OneWayLoss(_, _, length)
            | Self::NoIke(length)
            | Self::NoEsp(length)
            | Self::NoPort500(length)
            | Self::Kill(length)
            | Self::Freeze(length) => length,
        }
    }

    fn draw(rng: &mut StdRng) -> Self {
        let mut seconds = |range| Duration::from_secs(rng.random_range(range));
        let (long, medium, short) = (seconds(5..61), seconds(10..41), seconds(1..11));
        let percent = rng.random_range(25..36);
        match rng.random_range(0..16) {
            0..3 => Self::Rebind,
            3 => Self::Move,
            4..6 => Self::Outage(long),
            6..8 => Self::Expiry(long),
            8 => Self::Loss(percent, medium),
            9 => Self::OneWayLoss(2 * percent, rng.random(), medium),
            10 => Self::NoIke(long),
            11 => Self::NoEsp(long),
            12 => Self::NoPort500(long),
            13 => Self::Kill(short),
            _ => Self::Freeze(medium),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Plan {
    /// The plan of `seed`, whose faults end within `length`.
    pub fn new(seed: u64, length: Duration) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let hq_rekeys = rng.random();
        let branch = |number| BranchPlan {
            habits: Habits::draw(&mut rng, number),
            faults: faults(&mut rng, length),
        };
        Self {
            branches: (1..=BRANCHES).map(branch).collect(),
            hq_rekeys,
        }
    }
}

impl Habits {
    /// Every second branch is passive, and of those every second makes before it breaks.
    fn draw(rng: &mut StdRng, number: u8) -> Self {
        let passive = number.is_multiple_of(2).then(|| number.is_multiple_of(4));
        let passive = match number {
            BRANCHES => Some(rng.random()),
            _ => passive,
        };
        Self {
            ike_cycle: rng.random_range(30..56),
            child_cycle: rng.random_range(30..56),
            passive,
            dpd: rng.random(),
            hasty: rng.random(),
            patient: rng.random(),
        }
    }
}

fn faults(rng: &mut StdRng, length: Duration) -> Vec<(Duration, Fault)> {
    let mut faults = Vec::new();
    let mut at = BEGIN + Duration::from_millis(rng.random_range(0..10_000));
    loop {
        let fault = Fault::draw(rng);
        if at + fault.length() > length {
            return faults;
        }
        faults.push((at, fault));
        // A real line often fails twice in a row.
        let peace = if rng.random_ratio(1, 4) {
            *[1, 3, 5].choose(rng).unwrap_or(&1)
        } else {
            rng.random_range(PEACE)
        };
        at += fault.length() + Duration::from_millis(peace * 1000 + rng.random_range(0..1000));
    }
}
