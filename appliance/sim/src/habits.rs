//! What foreign peers are in the habit of doing.

use hawser_ike::window::Schedule;
use hawser_policy::Retransmission;
use std::time::Duration;

/// Whose ways it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// strongSwan's.
    StrongSwan,
    /// Comware's: two retries, then everything is deleted.
    Comware,
    /// It takes seconds to answer.
    Slow,
    /// It authenticates as itself and asks for the network of its neighbour.
    Grabber,
}

/// How it authenticates anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reauthentication {
    /// It deletes the IKE SA, then makes another (strongSwan 5's default).
    BreakBeforeMake,
    /// It makes another, then deletes the old one.
    MakeBeforeBreak,
}

/// What it does when its tunnel is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Return {
    /// It begins again at once, and goes on for ever (`keyingtries = 0`, `close_action = start`).
    Restart,
    /// It begins again when it has a packet to send (`start_action = trap`).
    Trap,
    /// It stays down until somebody else begins (`close_action = none`).
    Passive,
}

/// The ways of one peer.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Whose.
    pub kind: Kind,
    /// Authenticates anew at this age, and how; else it rekeys.
    pub reauthentication: Option<(Reauthentication, Duration)>,
    /// A reauthentication that is due outlives a rekey: the new IKE SA is not authenticated anew
    /// but deleted [`OVER_TIME`] later (`ike_sa.c`, `inherit_post`: the case).
    pub inherits_timers: bool,
    /// Says INITIAL_CONTACT when it has no other IKE SA.
    pub initial_contact: bool,
    /// When its tunnel is gone.
    pub returns: Return,
    /// Asks whether headquarters lives when nothing, ESP included, has come for so long.
    pub dpd: Option<Duration>,
    /// How it retransmits those questions.
    pub dpd_schedule: Schedule,
    /// How it retransmits its other requests.
    pub retransmission: Retransmission,
    /// How long it takes to take in a datagram.
    pub slowness: Duration,
    /// Hard lifetime of its IKE SAs where it rekeys.
    pub ike_life: Option<Duration>,
    /// Hard lifetime of its Child SAs.
    pub child_life: Duration,
    /// It has something to send so often; else only when asked.
    pub talks_every: Option<Duration>,
    /// When an IKE SA of its has been rekeyed, it no longer knows the Child SAs.
    pub forgets_children: bool,
}

/// How long strongSwan leaves an IKE SA whose reauthentication did not happen (the case: 120 s).
pub const OVER_TIME: Duration = Duration::from_secs(120);

/// strongSwan's retransmissions: after 4, 7.2, 13, 23, 42 s; given up 76 s after the last.
pub const STRONGSWAN: Retransmission = Retransmission {
    initial: Duration::from_secs(4),
    backoff_percent: 180,
    max: Duration::from_secs(120),
    tries: 5,
};

/// Comware's DPD with its default of 5 s: two retries.
pub const COMWARE: Schedule = Schedule::Fixed {
    interval: Duration::from_secs(5),
    retries: 2,
};

impl Habits {
    /// strongSwan that restarts its tunnel, rekeys, and talks every 10 s.
    pub fn strongswan() -> Self {
        Self {
            kind: Kind::StrongSwan,
            reauthentication: None,
            inherits_timers: false,
            initial_contact: true,
            returns: Return::Restart,
            dpd: Some(Duration::from_secs(30)),
            dpd_schedule: Schedule::Backoff(STRONGSWAN),
            retransmission: STRONGSWAN,
            slowness: Duration::ZERO,
            ike_life: Some(Duration::from_secs(4 * 3600)),
            child_life: Duration::from_secs(3600),
            talks_every: Some(Duration::from_secs(10)),
            forgets_children: false,
        }
    }

    /// The branch of the case: it authenticates anew after `age`, and stays down where it fails.
    pub fn of_the_case(age: Duration) -> Self {
        Self {
            reauthentication: Some((Reauthentication::BreakBeforeMake, age)),
            inherits_timers: true,
            returns: Return::Passive,
            ike_life: None,
            ..Self::strongswan()
        }
    }

    /// Comware as a branch.
    pub fn comware() -> Self {
        Self {
            kind: Kind::Comware,
            initial_contact: false,
            returns: Return::Trap,
            dpd: Some(Duration::from_secs(20)),
            dpd_schedule: COMWARE,
            ..Self::strongswan()
        }
    }
}
