//! What a seed does to six branches and their headquarters, and how the branches are set up. The same seed is the same plan.

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
/// What befalls everybody at once comes so often, in seconds.
const COMMON: std::ops::Range<u64> = 60..110;
/// The two that may stand behind one NAT.
const NEIGHBOURS: [usize; 2] = [4, 5];

/// What a seed does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One for every branch, from the first.
    pub branches: Vec<BranchPlan>,
    /// The headquarters rekeys too, about as often as the branches do.
    pub hq_rekeys: bool,
    /// The last two branches stand behind one NAT.
    pub neighbours: bool,
    /// What befalls the headquarters, in order.
    pub common: Vec<(Duration, Common)>,
}

/// One misfortune of the headquarters, and so of everybody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Common {
    /// Nothing passes between it and the Internet.
    Outage(Duration),
    /// It stands still.
    Freeze(Duration),
    /// It is killed, and started again after this time.
    Kill(Duration),
    /// It is ended in good order, and started again after this time.
    Restart(Duration),
}

/// One branch's set-up and fate.
#[derive(Clone, Debug)]
pub struct BranchPlan {
    /// How its charon is set up.
    pub habits: Habits,
    /// Its faults with the moments, from the run's beginning, at which they begin; they may overlap.
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
    /// It gets the port of the branch beside it, which gets its.
    SwapPorts,
    /// Nothing passes, the mappings stay.
    Outage(Duration),
    /// Nothing passes, and who sends is told so by ICMP.
    Rejected(Duration),
    /// The branch's line is unplugged.
    Unplugged(Duration),
    /// Datagrams overtake each other, and some come twice.
    Muddled(Duration),
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
            Self::Rebind | Self::Move | Self::SwapPorts => Duration::ZERO,
            Self::Outage(length)
            | Self::Rejected(length)
            | Self::Unplugged(length)
            | Self::Muddled(length)
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
        let asleep = seconds(40..90);
        let percent = rng.random_range(25..36);
        match rng.random_range(0..20) {
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
            14..16 => Self::Freeze(medium),
            16 => Self::Freeze(asleep),
            17 => Self::Rejected(long),
            18 => Self::Unplugged(medium),
            _ => Self::Muddled(medium),
        }
    }
}

impl Common {
    /// How long it lasts, without what the headquarters takes to start.
    pub fn length(self) -> Duration {
        match self {
            Self::Outage(length)
            | Self::Freeze(length)
            | Self::Kill(length)
            | Self::Restart(length) => length,
        }
    }

    fn draw(rng: &mut StdRng) -> Self {
        let mut seconds = |range| Duration::from_secs(rng.random_range(range));
        let (long, medium, short) = (seconds(5..46), seconds(5..31), seconds(1..6));
        match rng.random_range(0..4) {
            0 => Self::Outage(long),
            1 => Self::Freeze(medium),
            2 => Self::Kill(short),
            _ => Self::Restart(short),
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
        let neighbours = rng.random();
        let branch = |number: u8| BranchPlan {
            habits: Habits::draw(&mut rng, number),
            faults: faults(&mut rng, length),
        };
        let mut plan = Self {
            branches: (1..=BRANCHES).map(branch).collect(),
            hq_rekeys,
            neighbours,
            common: Vec::new(),
        };
        plan.befall_everybody(&mut rng, length);
        plan.adapt_neighbours(&mut rng, length);
        for branch in &mut plan.branches {
            branch.faults.sort_by_key(|(at, _)| *at);
        }
        plan
    }

    /// Every branch is rebound at once, or something befalls the headquarters.
    fn befall_everybody(&mut self, rng: &mut StdRng, length: Duration) {
        let mut at = BEGIN;
        loop {
            at += Duration::from_secs(rng.random_range(COMMON));
            let common = Common::draw(rng);
            if at + common.length() > length {
                return;
            }
            if rng.random_ratio(1, 4) {
                let everybody = self.branches.iter_mut();
                everybody.for_each(|branch| branch.faults.push((at, Fault::Rebind)));
            } else {
                self.common.push((at, common));
                at += common.length();
            }
        }
    }

    /// Two behind one NAT swap their ports; the relay of a muddled line serves one branch.
    fn adapt_neighbours(&mut self, rng: &mut StdRng, length: Duration) {
        if !self.neighbours {
            return;
        }
        let at = Duration::from_secs(rng.random_range(BEGIN.as_secs()..length.as_secs().max(11)));
        for neighbour in NEIGHBOURS {
            let faults = &mut self.branches[neighbour].faults;
            faults.retain(|(_, fault)| !matches!(fault, Fault::Muddled(_)));
            faults.push((at, Fault::SwapPorts));
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
        // A real line often fails twice in a row, and sometimes in two ways at once.
        let peace = match rng.random_range(0..8) {
            0 | 1 => *[1, 3, 5].choose(rng).unwrap_or(&1),
            _ => rng.random_range(PEACE),
        };
        at += match rng.random_ratio(1, 5) {
            true => fault.length().mul_f64(rng.random_range(0.1..0.9)),
            false => fault.length() + Duration::from_secs(peace),
        };
        at += Duration::from_millis(rng.random_range(0..1000));
    }
}
