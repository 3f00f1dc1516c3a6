//! The world of a run: virtual time, headquarters, branches, and the network between them.

mod network;

use crate::branch::{Branch, Doing};
use crate::drops::Drops;
use crate::fault::What;
use crate::gateway::{Effect, Gateway};
use crate::ledger::Ledger;
use crate::nat::Nat;
use crate::packet::{self, Kind, Probe};
use crate::plan::{HEAL, PATIENCE, Plan, ROUND};
use crate::queue::{Happening, Queue};
use crate::trace::Trace;
use crate::weather::Weather;
use hawser_policy::TenantId;
use hawser_shard::io::{Command, Reply};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How many datagrams of a branch an attacker remembers.
const OVERHEARD: usize = 64;

/// How often the invariants are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Where an outer address leads.
#[derive(Clone, Copy)]
enum Place {
    Nat(usize),
    Branch(usize),
}

/// A run.
pub struct World {
    /// What it follows.
    pub plan: Plan,
    /// Virtual time.
    pub now: Instant,
    pub(crate) start: Instant,
    /// Headquarters.
    pub gateway: Gateway,
    pub(crate) branches: Vec<Option<Branch>>,
    pub(crate) nats: Vec<Nat>,
    places: HashMap<IpAddr, Place>,
    weather: Vec<Weather>,
    rngs: Vec<ChaCha8Rng>,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) queue: Queue,
    armed: Vec<Option<Instant>>,
    gateway_armed: Option<Instant>,
    pub(crate) stalled_until: Instant,
    pub(crate) work_takes: Duration,
    pub(crate) work_lost: f64,
    pub(crate) plugins_take: Duration,
    pub(crate) plugins_silent: bool,
    pub(crate) mail_takes: Duration,
    mail_at: Instant,
    pub(crate) active: Vec<usize>,
    pub(crate) overheard: Vec<VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>>,
    /// What is known of each branch from outside.
    pub ledger: Vec<Ledger>,
    /// What happened.
    pub trace: Trace,
    /// What dropped, and why, where that is wanted.
    pub drops: Drops,
    /// What must not happen, and did: the first of it ends the run.
    pub failure: Option<String>,
    wakes: (Instant, u32),
    /// What is done to single IKE messages: for scenarios.
    pub tampers: Vec<Tamper>,
}

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// A branch.
    Branch,
    /// Headquarters.
    Gateway,
}

/// One IKE message is delayed or lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tamper {
    /// Of whom.
    pub from: Side,
    /// How many of his come before it.
    pub skip: u8,
    /// So much later; `None`: never.
    pub delay: Option<Duration>,
}

impl World {
    /// A run that has not begun; `verbose` keeps the lines of its trace.
    pub fn new(plan: Plan, verbose: bool) -> Self {
        let start = Instant::now();
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed ^ 0x5eed_0fa1);
        let policy = plan.headquarters.policy();
        let gateway = Gateway::new(
            policy,
            plan.headquarters.hooks(),
            plan.shards,
            rng.random(),
            start,
        );
        let nats: Vec<Nat> = plan
            .nats
            .iter()
            .map(|n| Nat::new(n.outside, n.kind))
            .collect();
        let mut places: HashMap<IpAddr, Place> = HashMap::new();
        for (number, nat) in nats.iter().enumerate() {
            places.insert(nat.outside, Place::Nat(number));
        }
        let count = plan.seats.len();
        let mut world = Self {
            now: start,
            start,
            gateway,
            branches: Vec::new(),
            nats,
            places,
            weather: vec![Weather::default(); count],
            rngs: Vec::new(),
            rng,
            queue: Queue::default(),
            armed: vec![None; count],
            gateway_armed: None,
            stalled_until: start,
            work_takes: Duration::ZERO,
            work_lost: 0.0,
            plugins_take: Duration::ZERO,
            plugins_silent: false,
            mail_takes: Duration::ZERO,
            mail_at: start,
            active: Vec::new(),
            overheard: vec![VecDeque::new(); count],
            ledger: vec![Ledger::new(start); count],
            trace: Trace::new(start, verbose),
            drops: Drops::default(),
            failure: None,
            wakes: (start, 0),
            tampers: Vec::new(),
            plan,
        };
        world.seat_branches();
        world.schedule();
        world
    }

    fn seat_branches(&mut self) {
        for (at, seat) in self.plan.seats.iter().enumerate() {
            let mut rng =
                ChaCha8Rng::seed_from_u64(self.plan.seed.wrapping_mul(65_537) + at as u64);
            let begins = self.start + Duration::from_millis(rng.random_range(0..10_000));
            if seat.nat.is_none() {
                self.places.insert(seat.plan.address, Place::Branch(at));
            }
            let branch = || Branch::new(seat.plan.clone(), rng.random(), begins);
            let branch = seat.present.then(branch);
            self.branches.push(branch);
            if seat.present {
                if let Some(every) = seat.plan.habits.talks_every {
                    self.queue.push(begins + every, Happening::Talk(at));
                }
                if let Some(every) = seat.asked_every {
                    self.queue.push(begins + every, Happening::Ask(at, true));
                }
            }
            self.rngs.push(rng);
        }
        for at in 0..self.branches.len() {
            self.rearm_branch(at);
        }
    }

    fn schedule(&mut self) {
        for (at, fault) in self.plan.faults.iter().enumerate() {
            self.queue.push(self.start + fault.at, Happening::Begin(at));
            self.queue
                .push(self.start + fault.until(), Happening::End(at));
        }
        for round in 0..self.plan.rounds {
            let begin = self.start + ROUND * round;
            self.queue.push(begin + HEAL, Happening::Heal);
            let calm = begin + ROUND - Duration::from_secs(100);
            self.queue.push(calm, Happening::Calm(0));
        }
        self.queue.push(self.start + LOOK_EVERY, Happening::Look);
    }

    /// Lets time pass until `end` or the first failure.
    pub fn run_until(&mut self, end: Instant) {
        while self.failure.is_none() {
            let Some((at, what)) = self.queue.pop(end) else {
                self.now = end;
                return;
            };
            self.now = at.max(self.now);
            self.count_wakes();
            self.happen(what);
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Time that does not pass is a timer that fires for ever.
    fn count_wakes(&mut self) {
        if self.wakes.0 == self.now {
            self.wakes.1 += 1;
        } else {
            self.wakes = (self.now, 0);
        }
        if self.wakes.1 > 100_000 {
            self.fail("a timer that fires for ever");
        }
    }

    /// The run has failed.
    pub(crate) fn fail(&mut self, why: impl std::fmt::Display) {
        let since = (self.now - self.start).as_secs_f64();
        self.trace.note(self.now, format_args!("FAILED: {why}"));
        self.failure
            .get_or_insert_with(|| format!("{since:.3} s: {why}"));
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::AtGateway(branch, from, to, bytes) => {
                self.at_gateway(branch, from, to, bytes);
            }
            Happening::AtBranch(to, from, bytes) => self.at_branch(to, from, bytes),
            Happening::TakenIn(at, port, from, bytes) => {
                self.with_branch(at, |branch, now| branch.datagram(now, port, from, bytes));
            }
            Happening::WakeBranch(at) => self.wake_branch(at),
            Happening::WakeGateway => self.wake_gateway(),
            Happening::Worked(shard, id, work) => {
                self.gateway.worked(self.now, shard, id, *work);
                self.after_gateway();
            }
            Happening::Decided(shard, id, answer) => {
                self.gateway.decided(self.now, shard, id, *answer);
                self.after_gateway();
            }
            Happening::Mail(to, message) => {
                self.gateway.message(self.now, to, *message);
                self.after_gateway();
            }
            Happening::Talk(at) => self.talk(at),
            Happening::Ask(at, again) => self.ask(at, again),
            Happening::Begin(fault) => self.begin_fault(fault),
            Happening::End(fault) => self.end_fault(fault),
            Happening::Attack(fault) => self.attack(fault),
            Happening::Heal => self.heal(),
            Happening::Judge(at) => self.judge(at),
            Happening::Look => {
                self.look();
                self.queue.push(self.now + LOOK_EVERY, Happening::Look);
            }
            Happening::Calm(times) => self.calm(times),
        }
    }

    /// Calls a branch and takes what it does.
    pub fn with_branch(&mut self, at: usize, call: impl FnOnce(&mut Branch, Instant)) {
        let Some(branch) = &mut self.branches[at] else {
            return;
        };
        call(branch, self.now);
        loop {
            let Some(branch) = &mut self.branches[at] else {
                return;
            };
            let done = branch.done();
            if done.is_empty() {
                break;
            }
            for doing in done {
                match doing {
                    Doing::Send(port, to, bytes) => self.branch_sends(at, port, to, bytes),
                    Doing::Inner(packet) => self.inner_at_branch(at, &packet),
                    Doing::Log(line) => self
                        .trace
                        .note(self.now, format_args!("branch {at} {line}")),
                }
            }
        }
        self.rearm_branch(at);
    }

    fn rearm_branch(&mut self, at: usize) {
        let next = self.branches[at].as_ref().and_then(Branch::next_timeout);
        let Some(next) = next else {
            self.armed[at] = None;
            return;
        };
        if self.armed[at].is_none_or(|armed| next < armed || armed < self.now) {
            self.armed[at] = Some(next);
            self.queue.push(next, Happening::WakeBranch(at));
        }
    }

    fn wake_branch(&mut self, at: usize) {
        if self.armed[at] != Some(self.now) {
            return;
        }
        self.armed[at] = None;
        self.with_branch(at, Branch::timeout);
    }

    fn wake_gateway(&mut self) {
        if self.gateway_armed != Some(self.now) {
            return;
        }
        self.gateway_armed = None;
        self.gateway.timeout(self.now);
        self.after_gateway();
    }

    /// Takes what headquarters does.
    pub(crate) fn after_gateway(&mut self) {
        loop {
            let effects = self.gateway.done();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.effect(effect);
            }
        }
        if let Some(wrong) = self.gateway.wrongs.pop() {
            self.fail(wrong);
        }
        let next = self.gateway.next_timeout();
        if let Some(next) = next.map(|at| at.max(self.stalled_until))
            && self
                .gateway_armed
                .is_none_or(|armed| next < armed || armed < self.now)
        {
            self.gateway_armed = Some(next.max(self.now));
            self.queue.push(next.max(self.now), Happening::WakeGateway);
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send(path, bytes) => self.gateway_sends(&path, bytes),
            Effect::Inner(tenant, packet) => self.inner_at_gateway(tenant, &packet),
            Effect::Work(shard, id, work) => {
                if self.work_lost > 0.0 && self.rng.random_bool(self.work_lost) {
                    return;
                }
                let takes = self.work_takes.mul_f64(self.rng.random_range(0.1..1.0));
                self.queue.push(
                    self.now + takes,
                    Happening::Worked(shard, id, Box::new(work)),
                );
            }
            Effect::Decided(shard, id, answer) => {
                if self.plugins_silent {
                    return;
                }
                let takes = self.plugins_take;
                let happening = Happening::Decided(shard, id, Box::new(answer));
                self.queue.push(self.now + takes, happening);
            }
            Effect::Mail(to, message) => {
                // In order, whatever it takes.
                self.mail_at = self.mail_at.max(self.now + self.mail_takes);
                self.queue
                    .push(self.mail_at, Happening::Mail(to, Box::new(message)));
            }
            Effect::Event(label, event) => {
                if let Some(scenario) = &mut self.gateway.scenario {
                    scenario.happened(self.now, label.clone(), &event);
                }
                let who = label.map(|l| format!("{}@{}", l.identity, l.path.remote));
                let who = who.unwrap_or_default();
                self.trace
                    .note(self.now, format_args!("headquarters {who}: {event:?}"));
            }
            Effect::Traced(traced) => {
                let way = if traced.inbound { "<-" } else { "->" };
                let kind = if traced.response {
                    "response"
                } else {
                    "request"
                };
                self.trace.tell(
                    self.now,
                    format_args!(
                        "  {way} {} {} {kind} {} {:?}",
                        traced.path.remote, traced.exchange, traced.message_id, traced.payloads
                    ),
                );
            }
            Effect::Incident(incident) => self.drops.told(*incident),
        }
    }

    /// The weather of a branch is made anew.
    pub(crate) fn change_weather(&mut self) {
        for (at, weather) in self.weather.iter_mut().enumerate() {
            let faults = self.active.iter().map(|f| &self.plan.faults[*f]);
            *weather = Weather::of(at as u16, faults);
        }
    }

    fn milliseconds(&self) -> u32 {
        u32::try_from((self.now - self.start).as_millis()).unwrap_or(u32::MAX)
    }

    fn probe(&self, at: usize, kind: Kind) -> Probe {
        Probe {
            tenant: self.plan.seats[at].plan.tenant,
            branch: at as u16,
            kind,
            asked_ms: self.milliseconds(),
        }
    }

    /// A branch has something to send, and again as often as is its habit.
    pub fn talk(&mut self, at: usize) {
        let probe = self.probe(at, Kind::BranchAsks);
        self.with_branch(at, |branch, now| branch.send(now, &probe));
        if let Some(every) = self.plan.seats[at].plan.habits.talks_every {
            self.queue.push(self.now + every, Happening::Talk(at));
        }
    }

    /// Headquarters' host asks a branch, and `again` as often as the plan says.
    pub fn ask(&mut self, at: usize, again: bool) {
        if self.branches[at].is_some() && self.now >= self.stalled_until {
            let probe = self.probe(at, Kind::HostAsks);
            self.ledger[at].asked(self.now);
            self.host_sends(&probe);
        }
        if let Some(every) = self.plan.seats[at].asked_every.filter(|_| again) {
            self.queue.push(self.now + every, Happening::Ask(at, true));
        }
    }

    fn host_sends(&mut self, probe: &Probe) {
        let lan = self.plan.seats[usize::from(probe.branch)].plan.lan;
        let (packet, tenant) = (probe.packet(lan), TenantId(probe.tenant));
        let to = packet::inside(lan).into();
        self.gateway.inner(self.now, tenant, to, packet);
        self.after_gateway();
    }

    /// Something comes out of a tunnel of this tenant at headquarters.
    fn inner_at_gateway(&mut self, tenant: TenantId, packet: &[u8]) {
        let Some(probe) = Probe::parse(packet) else {
            return self.fail("an inner packet that nobody sent");
        };
        if probe.tenant != tenant.0 || probe.kind.is_for_branch() {
            return self.fail(format!("{probe:?} came out at {tenant:?}"));
        }
        let at = usize::from(probe.branch);
        match probe.kind.answer() {
            Some(kind) => self.host_sends(&Probe { kind, ..probe }),
            None => self.ledger[at].answered(self.now),
        }
    }

    /// Something comes out of the tunnel of a branch.
    fn inner_at_branch(&mut self, at: usize, packet: &[u8]) {
        let Some(probe) = Probe::parse(packet) else {
            return self.fail("an inner packet that nobody sent");
        };
        if !self.may_be_given(at, &probe) {
            return self.fail(format!("branch {at} was given {probe:?}"));
        }
        if usize::from(probe.branch) != at {
            // It answers as the network's host: that proves nothing for the branch that was meant.
            return;
        }
        match probe.kind.answer() {
            Some(kind) => {
                let answer = Probe { kind, ..probe };
                if let Some(branch) = &mut self.branches[at] {
                    branch.send(self.now, &answer);
                }
            }
            None => self.ledger[at].heard = self.now,
        }
    }

    /// What is for a branch, or for a network that two of them claim: who holds it, `look` judges.
    fn may_be_given(&self, at: usize, probe: &Probe) -> bool {
        let (own, meant) = (
            &self.plan.seats[at].plan,
            &self.plan.seats[usize::from(probe.branch)].plan,
        );
        probe.kind.is_for_branch() && (own.tenant, own.lan) == (meant.tenant, meant.lan)
    }

    fn heal(&mut self) {
        self.trace.note(self.now, format_args!("everything heals"));
        for at in 0..self.branches.len() {
            self.ledger[at].healed(self.now);
            let mut ask = self.now;
            while ask < self.now + 2 * PATIENCE {
                ask += Duration::from_secs(5);
                self.queue.push(ask, Happening::Ask(at, false));
            }
            self.queue.push(self.now + PATIENCE, Happening::Judge(at));
        }
    }

    /// The IKE messages of a branch, as headquarters decodes them, are in the lines of the trace.
    pub fn watch(&mut self, at: usize) {
        let seat = &self.plan.seats[at];
        let address = seat.nat.map(|nat| self.nats[nat].outside);
        let until = self.start + self.plan.length() + ROUND;
        self.gateway
            .watch(self.now, address.unwrap_or(seat.plan.address), until);
    }

    /// Tells how many questions each branch answered in calm, where not all.
    pub(crate) fn tell_calm(&mut self) {
        for (at, ledger) in self.ledger.iter().enumerate() {
            let (asked, answered) = ledger.calm;
            if answered < asked {
                let kind = self.plan.seats[at].plan.habits.kind;
                let line =
                    format_args!("branch {at} ({kind:?}) answered {answered} of {asked} in calm");
                self.trace.tell(self.now, line);
            }
        }
    }

    /// A branch, if it takes part.
    pub fn branch(&self, at: usize) -> Option<&Branch> {
        self.branches[at].as_ref()
    }

    /// An operator's command.
    pub fn command(&mut self, command: &Command) -> Vec<Reply> {
        let replies = self.gateway.command(self.now, command);
        self.after_gateway();
        replies
    }

    /// Asks a branch from headquarters until it answers: how long that took, if it did in time.
    pub fn answers_within(&mut self, at: usize, patience: Duration) -> Option<Duration> {
        let begun = self.now;
        while self.now < begun + patience {
            self.ask(at, false);
            self.run(Duration::from_secs(1));
            if self.ledger[at].answered > begun {
                return Some(self.ledger[at].answered - begun);
            }
        }
        None
    }

    /// A fault of the plan.
    pub(crate) fn fault(&self, at: usize) -> What {
        self.plan.faults[at].what
    }
}
