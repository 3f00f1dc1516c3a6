//! Message IDs, retransmission and cached responses, with a window of one (RFC 7296 2.1 to 2.3).

use crate::fragment::Reassembly;
use crate::io::Env;
use hawser_flight::Path;
use hawser_policy::Retransmission;
use std::time::{Duration, Instant};

/// When a request is sent again, and how often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Schedule {
    /// Exponential back-off, jittered.
    Backoff(Retransmission),
    /// Every `interval`, `retries` times: DPD probes.
    Fixed {
        /// Between transmissions.
        interval: Duration,
        /// Retransmissions.
        retries: u8,
    },
    /// After `interval` without an answer somebody is asked ([`Due::Ask`]) what is to be done.
    Asked {
        /// Since the last transmission.
        interval: Duration,
    },
}

/// How long an answer to [`Due::Ask`] may take before it is asked for again.
const UNDECIDED: Duration = Duration::from_secs(60);

impl Schedule {
    /// How long to wait after transmission `attempt` (0: the first).
    fn interval(&self, attempt: u8, env: &mut Env<'_>) -> Duration {
        match self {
            Self::Fixed { interval, .. } | Self::Asked { interval } => *interval,
            Self::Backoff(r) => {
                let factor = (f64::from(r.backoff_percent) / 100.0).powi(i32::from(attempt));
                let plain = r.initial.mul_f64(factor).min(r.max);
                plain.mul_f64(0.9) + env.up_to(plain.mul_f64(0.2))
            }
        }
    }

    fn retries(&self) -> u8 {
        match self {
            Self::Fixed { retries, .. } => *retries,
            // Its end is decided, not counted.
            Self::Asked { .. } => u8::MAX,
            Self::Backoff(r) => r.tries,
        }
    }
}

/// A request that waits for its response.
#[derive(Debug)]
pub struct Outstanding {
    /// Its Message ID.
    pub message_id: u32,
    /// Its exchange type (IANA number), for the record.
    pub exchange: u8,
    /// The datagrams it went out as.
    pub datagrams: Vec<Vec<u8>>,
    /// When it was first transmitted.
    pub first_at: Instant,
    /// When it was first transmitted, or began anew.
    pub begun_at: Instant,
    /// When it was last transmitted.
    pub sent_at: Instant,
    /// Retransmissions so far.
    pub attempt: u8,
    /// When it is due again.
    pub next_at: Instant,
    schedule: Schedule,
    persistent: bool,
}

/// What is to be done for a request whose time has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Not yet.
    NotYet,
    /// Send it again.
    Again,
    /// Give it up.
    GiveUp,
    /// Ask what is to be done.
    Ask,
}

impl Outstanding {
    /// A request that is transmitted now.
    pub fn new(
        message_id: u32,
        exchange: u8,
        datagrams: Vec<Vec<u8>>,
        schedule: Schedule,
        env: &mut Env<'_>,
    ) -> Self {
        let next_at = env.now + schedule.interval(0, env);
        let sent_at = env.now;
        Self {
            message_id,
            exchange,
            datagrams,
            first_at: env.now,
            begun_at: env.now,
            sent_at,
            attempt: 0,
            next_at,
            schedule,
            persistent: false,
        }
    }

    /// It is transmitted now as if for the first time, and from then on by this schedule.
    pub fn begin_anew(&mut self, env: &mut Env<'_>, schedule: Schedule) {
        self.sent_at = env.now;
        self.persist(env, schedule);
        self.persistent = false;
    }

    /// It is not given up: it goes on by this schedule, and counts as unanswered.
    pub fn persist(&mut self, env: &mut Env<'_>, schedule: Schedule) {
        (self.attempt, self.schedule) = (0, schedule);
        self.begun_at = env.now;
        self.next_at = env.now + schedule.interval(0, env);
        self.persistent = true;
    }

    /// Whether it was to be given up, and goes on all the same.
    pub fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// What is due now; counts the retransmission that it asks for.
    pub fn due(&mut self, env: &mut Env<'_>) -> Due {
        if env.now < self.next_at {
            return Due::NotYet;
        }
        if self.is_asked() {
            self.next_at = env.now + UNDECIDED;
            return Due::Ask;
        }
        if self.attempt >= self.schedule.retries() {
            return Due::GiveUp;
        }
        self.again(self.schedule, env);
        Due::Again
    }

    /// Whether somebody is asked what is to be done when it is due.
    pub fn is_asked(&self) -> bool {
        matches!(self.schedule, Schedule::Asked { .. })
    }

    /// Counts a retransmission, by a schedule from now on.
    pub fn again(&mut self, schedule: Schedule, env: &mut Env<'_>) {
        self.schedule = schedule;
        self.attempt = self.attempt.saturating_add(1);
        self.sent_at = env.now;
        self.next_at = env.now + schedule.interval(self.attempt, env);
    }

    /// Goes on by another schedule, as if the last transmission had been by it.
    pub fn follow(&mut self, schedule: Schedule, env: &mut Env<'_>) {
        self.schedule = schedule;
        self.next_at = self.sent_at + schedule.interval(self.attempt, env);
    }
}

/// The peer's side of the window: which request comes next, and the answer to the last one.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Message ID of the next request.
    pub next_id: u32,
    /// The answer to request `next_id - 1`, as datagrams, to be sent again when it is retransmitted.
    pub last_response: Vec<Vec<u8>>,
    /// Where the request that is being answered came from; set while its answer is being made.
    pub answering: Option<Path>,
    /// Fragments of the next request.
    pub requests: Reassembly,
    /// Fragments of the outstanding response.
    pub responses: Reassembly,
}

/// What a request's Message ID says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// The next request.
    New,
    /// The last request again; its answer is at hand.
    Retransmitted,
    /// The request that is being answered, again.
    Pending,
    /// Outside of the window.
    Outside,
}

impl Inbox {
    /// Sorts a request by its Message ID.
    pub fn arrival(&self, message_id: u32) -> Arrival {
        if message_id == self.next_id {
            return match self.answering {
                Some(_) => Arrival::Pending,
                None => Arrival::New,
            };
        }
        if self.next_id.checked_sub(1) == Some(message_id) && !self.last_response.is_empty() {
            return Arrival::Retransmitted;
        }
        Arrival::Outside
    }

    /// The request with `next_id` is answered.
    pub fn answered(&mut self, datagrams: Vec<Vec<u8>>) {
        self.last_response = datagrams;
        self.next_id = self.next_id.wrapping_add(1);
        self.answering = None;
    }
}
