//! What a run is: who takes part, and what goes wrong when. All of it follows from the seed, and
//! any part may be left out to find the smallest case that fails.

use crate::branch::BranchPlan;
use crate::fault::Fault;
use crate::habits::*;
use crate::nat::{Filtering, NatKind, Ports};
use crate::policies::{Headquarters, SUITES};
use hawser_policy::{DpdMode, DpdSettings, Uniqueness};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// One round: the first part calm, then faults, then calm again.
pub const ROUND: Duration = Duration::from_secs(900);
/// When faults begin in a round.
pub const FAULTS_FROM: Duration = Duration::from_secs(60);
/// When everything heals.
pub const HEAL: Duration = Duration::from_secs(480);
/// How long after that, or after it was heard again, a branch may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How a run is connected.
#[derive(Clone, Debug)]
pub struct NatPlan {
    /// Its address.
    pub outside: IpAddr,
    /// What it does.
    pub kind: NatKind,
}

/// A branch and where it sits.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The branch.
    pub plan: BranchPlan,
    /// The NAT in front of it, by number; `None`: it has a public address.
    pub nat: Option<usize>,
    /// One way to headquarters.
    pub latency: Duration,
    /// Headquarters has something for it so often, beside what a check asks.
    pub asked_every: Option<Duration>,
    /// It takes part.
    pub present: bool,
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of everything.
    pub seed: u64,
    /// Headquarters' shards.
    pub shards: u8,
    /// Headquarters' settings.
    pub headquarters: Headquarters,
    /// NATs.
    pub nats: Vec<NatPlan>,
    /// Branches.
    pub seats: Vec<Seat>,
    /// What goes wrong, by time.
    pub faults: Vec<Fault>,
    /// How many rounds.
    pub rounds: u32,
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl Plan {
    /// The run of a seed: so many branches, so many simulated hours.
    pub fn new(seed: u64, peers: u16, hours: f64) -> Self {
        let mut plan = Self::first(seed, peers, hours);
        plan.add_more(&mut ChaCha8Rng::seed_from_u64(!seed));
        plan
    }

    /// The same without what came to plans later: what a seed was that failed before that.
    pub fn first(seed: u64, peers: u16, hours: f64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rounds = (secs(3600).mul_f64(hours).as_secs_f64() / ROUND.as_secs_f64()).ceil();
        let rounds = (rounds as u32).max(1);
        let headquarters = Headquarters {
            tenants: rng.random_range(1..=2),
            ike_life: secs(rng.random_range(1500..9000)),
            child_life: secs(rng.random_range(600..3600)),
            dpd: Some(dpd(&mut rng)),
            uniqueness: Uniqueness::Device,
            plugins: false,
            suites: &SUITES,
        };
        let shared_identity = rng.random_bool(0.4);
        let nats = nats(&mut rng, peers);
        let mut seats: Vec<Seat> = (0..peers)
            .map(|n| seat(&mut rng, n, headquarters.tenants, shared_identity, &nats))
            .collect();
        if !shared_identity && peers > 4 && rng.random_bool(0.5) {
            add_grabber(&mut seats);
        }
        let faults = Fault::schedule(&mut rng, rounds, peers, nats.len());
        Self {
            seed,
            shards: rng.random_range(1..=4),
            headquarters,
            nats,
            seats,
            faults,
            rounds,
        }
    }

    /// Only so many rounds, these branches, and the faults that begin in these seconds: what `--shrink` has found.
    pub fn only(mut self, rounds: u32, branches: &[u16], faults: &[u64]) -> Self {
        self.rounds = rounds;
        for seat in &mut self.seats {
            seat.present &= branches.contains(&seat.plan.number);
        }
        self.faults.retain(|f| faults.contains(&f.at.as_secs()));
        self
    }

    /// What came to plans later, of a dice of its own.
    fn add_more(&mut self, rng: &mut ChaCha8Rng) {
        self.headquarters.plugins = rng.random_bool(0.3);
        for nat in &mut self.nats {
            if rng.random_bool(0.25) {
                nat.kind.ports = Ports::Kept;
            }
        }
        let (plugins, nats) = (self.headquarters.plugins, self.nats.len());
        let more = Fault::more(rng, self.rounds, plugins, nats);
        self.faults.extend(more);
        self.faults.sort_by_key(|f| f.at);
    }

    /// Branches of these habits, all in tenant 0 and each behind a NAT of its own, and no faults: for
    /// scenarios.
    pub fn quiet(seed: u64, habits: &[Habits]) -> Self {
        let kind = NatKind {
            filtering: Filtering::AddressAndPortDependent,
            ports: Ports::Random,
            lifetime: secs(120),
        };
        let nat = |n: usize| NatPlan {
            outside: Ipv4Addr::new(198, 18, 0, n as u8).into(),
            kind,
        };
        let seat = |(n, habits): (usize, &Habits)| Seat {
            plan: BranchPlan {
                number: n as u16,
                tenant: 0,
                identity: "test".to_owned(),
                lan: n as u16,
                suites: SUITES[n % SUITES.len()],
                habits: *habits,
                address: Ipv4Addr::new(192, 168, 1, n as u8).into(),
            },
            nat: Some(n),
            latency: Duration::from_millis(20),
            asked_every: None,
            present: true,
        };
        let dpd = DpdSettings {
            mode: DpdMode::OnDemand,
            interval: secs(20),
            retry: secs(5),
            retries: 2,
        };
        Self {
            seed,
            shards: 2,
            headquarters: Headquarters {
                tenants: 1,
                ike_life: secs(86_400),
                child_life: secs(86_400),
                dpd: Some(dpd),
                uniqueness: Uniqueness::Device,
                plugins: false,
                suites: &SUITES,
            },
            nats: (0..habits.len()).map(nat).collect(),
            seats: habits.iter().enumerate().map(seat).collect(),
            faults: Vec::new(),
            rounds: 0,
        }
    }

    /// How long it lasts.
    pub fn length(&self) -> Duration {
        ROUND * self.rounds
    }
}

fn dpd(rng: &mut ChaCha8Rng) -> DpdSettings {
    let modes = [DpdMode::OnDemand, DpdMode::Periodic];
    DpdSettings {
        mode: modes[rng.random_range(0..modes.len())],
        interval: secs(rng.random_range(10..=20)),
        retry: secs(rng.random_range(2..=5)),
        retries: 2,
    }
}

fn nats(rng: &mut ChaCha8Rng, peers: u16) -> Vec<NatPlan> {
    let filterings = [
        Filtering::EndpointIndependent,
        Filtering::AddressDependent,
        Filtering::AddressAndPortDependent,
    ];
    let one = |n: u16, rng: &mut ChaCha8Rng| {
        let [high, low] = n.to_be_bytes();
        NatPlan {
            outside: Ipv4Addr::new(198, 18, high, low).into(),
            kind: NatKind {
                filtering: filterings[rng.random_range(0..3)],
                ports: if rng.random_bool(0.5) {
                    Ports::Lowest
                } else {
                    Ports::Random
                },
                lifetime: secs(rng.random_range(30..300)),
            },
        }
    };
    // The first is a CGNAT: about a third of the branches are behind it.
    (0..=peers).map(|n| one(n, rng)).collect()
}

fn seat(
    rng: &mut ChaCha8Rng,
    number: u16,
    tenants: u16,
    shared_identity: bool,
    nats: &[NatPlan],
) -> Seat {
    let tenant = number % tenants;
    let nat = match rng.random_range(0..10) {
        0 => None,
        1..=3 => Some(0),
        _ => Some((usize::from(number) + 1).min(nats.len() - 1)),
    };
    let [high, low] = number.to_be_bytes();
    let address = match nat {
        None => Ipv4Addr::new(203, 0, high, low),
        Some(_) => Ipv4Addr::new(192, 168, high, low),
    };
    let identity = if shared_identity {
        "test".to_owned()
    } else {
        format!("branch{number}.example")
    };
    Seat {
        plan: BranchPlan {
            number,
            tenant,
            identity,
            // Two tenants use the same networks.
            lan: number / tenants,
            suites: SUITES[rng.random_range(0..SUITES.len())],
            habits: habits(rng),
            address: address.into(),
        },
        nat,
        latency: Duration::from_millis(rng.random_range(2..120)),
        asked_every: rng.random_bool(0.7).then(|| secs(rng.random_range(10..60))),
        present: true,
    }
}

fn habits(rng: &mut ChaCha8Rng) -> Habits {
    let age = secs(rng.random_range(300..5400));
    let base = match rng.random_range(0..10) {
        0..=2 => Habits::strongswan(),
        3..=5 => Habits::of_the_case(age),
        6 => Habits {
            reauthentication: Some((Reauthentication::MakeBeforeBreak, age)),
            ike_life: None,
            ..Habits::strongswan()
        },
        7 => Habits {
            kind: Kind::Slow,
            slowness: Duration::from_millis(rng.random_range(200..2500)),
            ..Habits::strongswan()
        },
        _ => Habits::comware(),
    };
    let returns = match (base.returns, rng.random_range(0..3)) {
        (Return::Restart, 0) => Return::Trap,
        (other, _) => other,
    };
    Habits {
        returns,
        initial_contact: base.initial_contact && rng.random_bool(0.5),
        ike_life: base.ike_life.map(|_| secs(rng.random_range(900..9000))),
        child_life: secs(rng.random_range(400..3600)),
        talks_every: rng.random_bool(0.8).then(|| secs(rng.random_range(5..40))),
        ..base
    }
}

/// The last one wants what the one before it (of the same tenant) has.
fn add_grabber(seats: &mut [Seat]) {
    let Some((last, others)) = seats.split_last_mut() else {
        return;
    };
    let same = |s: &&Seat| s.plan.tenant == last.plan.tenant;
    if let Some(victim) = others.iter().find(same) {
        last.plan.lan = victim.plan.lan;
        last.plan.habits = Habits {
            kind: Kind::Grabber,
            ..Habits::strongswan()
        };
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let h = &self.headquarters;
        writeln!(
            f,
            "seed {}: {} shards, {} tenants, IKE {} s, Child {} s, DPD {:?}, {} rounds",
            self.seed,
            self.shards,
            h.tenants,
            h.ike_life.as_secs(),
            h.child_life.as_secs(),
            h.dpd,
            self.rounds
        )?;
        for seat in self.seats.iter().filter(|s| s.present) {
            let nat = seat.nat.map(|n| (n, &self.nats[n].kind));
            writeln!(
                f,
                "  branch {} `{}` lan {} tenant {} nat {nat:?} asked {:?}: {:?}",
                seat.plan.number,
                seat.plan.identity,
                seat.plan.lan,
                seat.plan.tenant,
                seat.asked_every,
                seat.plan.habits
            )?;
        }
        let present = self.seats.iter().filter(|s| s.present);
        let present: Vec<u16> = present.map(|s| s.plan.number).collect();
        let begin: Vec<u64> = self.faults.iter().map(|f| f.at.as_secs()).collect();
        writeln!(f, "  only({}, &{present:?}, &{begin:?})", self.rounds)?;
        self.faults.iter().try_for_each(|fault| {
            let (from, to) = (fault.at.as_secs(), fault.until().as_secs());
            writeln!(f, "  {from} to {to} s: {:?}", fault.what)
        })
    }
}
