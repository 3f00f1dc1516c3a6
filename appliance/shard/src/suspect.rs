//! A device whose traffic breaks off while we send to it: tested at once, and where it does not
//! answer a handshake is made ready.
//!
//! DPD is as patient as configured, and a branch that has given up in silence is gone all that time.
//! So beside DPD the IKE SA is tested, which ends nothing, and an IKE_SA_INIT goes where the device
//! was: if that is answered and the test is not, the branch has lost the SA. Anything authentic on the
//! old SA ends it all.

use crate::Shard;
use crate::revive::{Held, is_believed};
use hawser_flight::RevivalOutcome;
use hawser_ike::IkeSa;
use hawser_ike::io::{KeAnswer, Token};
use hawser_ike::window::Schedule;
use hawser_policy::Revive;
use std::time::{Duration, Instant};

/// ESP at least so often, for so long, is steady.
const GAP: Duration = Duration::from_millis(1900);
const STEADY: Duration = Duration::from_secs(5);

/// How long it may stop: half as long again as it lately did, within these; and how long a device may have stopped that is
/// suspected.
const SILENCE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1200)..=Duration::from_secs(2);
const STALE: Duration = Duration::from_secs(10);

/// How long a request may be unanswered, and nothing have come, before the IKE SA is doubted.
const UNANSWERED: Duration = Duration::from_secs(2);
const DOUBT: Duration = Duration::from_secs(5);

/// So long is "lately", and as long again.
const LATELY: Duration = Duration::from_secs(10);

/// How long the test may take before a handshake is begun, and before that is gone on with. Where it is known how fast
/// the device answers, that is some round trips.
const ANSWER: Duration = Duration::from_millis(500);
const SOONEST: Duration = Duration::from_millis(200);
const ROUND_TRIPS: u32 = 5;
const LAST_CHANCE: Duration = Duration::from_millis(300);
const LONGEST_CHANCE: Duration = Duration::from_secs(3);

const TEST: Schedule = Schedule::Fixed {
    interval: Duration::from_secs(2),
    retries: 60,
};

/// How steadily ESP comes.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Flow {
    since: Option<Instant>,
    last: Option<Instant>,
    /// How long it stopped at most: lately, and before that.
    gaps: [Duration; 2],
    /// When "lately" began.
    lately: Option<Instant>,
    /// The silence after this packet was suspected already.
    suspected: Option<Instant>,
}

impl Flow {
    /// ESP has come.
    pub(crate) fn hear(&mut self, now: Instant) {
        let gap = self.last.map(|last| now.saturating_duration_since(last));
        let Some(gap) = gap.filter(|gap| *gap <= GAP) else {
            *self = Self {
                since: Some(now),
                last: Some(now),
                gaps: [Duration::ZERO; 2],
                lately: Some(now),
                suspected: self.suspected,
            };
            return;
        };
        if self.lately.is_none_or(|at| at + LATELY <= now) {
            self.gaps = [Duration::ZERO, self.gaps[0]];
            self.lately = Some(now);
        }
        self.gaps[0] = self.gaps[0].max(gap);
        self.last = Some(now);
    }

    /// How long it may stop.
    fn patience(&self) -> Duration {
        let usual = self.gaps[0].max(self.gaps[1]);
        (usual * 3 / 2).clamp(*SILENCE.start(), *SILENCE.end())
    }

    /// When it last came.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.last
    }

    /// Whether it came steadily until it broke off just now.
    fn has_broken_off(&self, now: Instant, heard: Instant) -> bool {
        let (Some(since), Some(last)) = (self.since, self.last) else {
            return false;
        };
        let silent = now.saturating_duration_since(heard.max(last));
        last.saturating_duration_since(since) >= STEADY
            && (self.patience()..STALE).contains(&silent)
            && self.suspected != Some(last)
    }
}

impl Shard {
    /// A packet is about to be sent to the device.
    pub(crate) fn suspect(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if !peer.flow.has_broken_off(now, peer.heard) {
            return;
        }
        peer.flow.suspected = peer.flow.last;
        let revives = peer.template.upkeep.revive == Revive::On;
        let usual = peer.probing.rtt.map(|rtt| rtt * ROUND_TRIPS);
        let answer = usual.map_or(ANSWER, |usual| usual.clamp(SOONEST, ANSWER));
        let Some(sa) = peer.newest().filter(|_| revives) else {
            return;
        };
        if let Some(sa) = peer.ike_sa(sa) {
            sa.audit(&mut crate::env!(self, now), TEST);
        }
        self.begin_early_revival(now, key, sa, now + answer);
        self.drive(now, key);
    }

    /// A request to the device has been sent again: where nothing has come for a while the device may
    /// have lost the IKE SA.
    pub(crate) fn doubt(&mut self, now: Instant, key: usize, spi: u64) {
        let Some(peer) = self.peers.get(key).filter(|p| p.newest() == Some(spi)) else {
            return;
        };
        let Some(asked) = peer.find_ike_sa(spi).and_then(IkeSa::waiting_since) else {
            return;
        };
        let silent = peer.heard + DOUBT <= now && asked + UNANSWERED <= now;
        if silent && is_believed(peer, asked) {
            self.begin_early_revival(now, key, spi, now);
        }
    }

    /// Something authentic has come from the device: it has not lost its SA.
    pub(crate) fn trust(&mut self, key: usize) {
        let revival = self.peers.get(key).and_then(|p| p.revival.as_ref());
        if revival.is_some_and(|r| r.early) {
            self.end_revival(key, RevivalOutcome::CameBack);
        }
    }

    /// The keys of an IKE SA that may be wanted are made: the test has a last chance. Gives the keys
    /// back where nothing is to be waited for.
    pub(crate) fn hold_back(
        &mut self,
        now: Instant,
        handshake: usize,
        token: Token,
        answer: KeAnswer,
    ) -> Option<KeAnswer> {
        let device = self.revives(handshake);
        let took = self.has_taken(now, handshake);
        let key = device.and_then(|device| self.devices.get(&device).copied());
        let Some((key, peer)) = key.and_then(|key| Some((key, self.peers.get_mut(key)?))) else {
            return Some(answer);
        };
        let early = |r: &&mut crate::revive::Revival| r.early && r.held.is_none();
        let Some(revival) = peer.revival.as_mut().filter(early) else {
            return Some(answer);
        };
        if !matches!(answer, KeAnswer::Agreed(Ok(_))) {
            return Some(answer);
        }
        revival.held = Some(Held { token, answer });
        // As long as the answer to our IKE_SA_INIT took, and as long again.
        revival.at = Some(now + (2 * took).clamp(LAST_CHANCE, LONGEST_CHANCE));
        let spi = revival.spi;
        if let Some(sa) = peer.ike_sa(spi) {
            sa.test_again(&mut crate::env!(self, now), TEST);
        }
        self.drive(now, key);
        None
    }
}
