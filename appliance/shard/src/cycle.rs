//! When a device renews its IKE SA by itself: observed, kept while SAs come and go, and kept clear of.
//!
//! Some branches go down when headquarters rekeys the IKE SA in the second in which they are to
//! reauthenticate (the case: both ends at 24 hours). The branch leads; our own rekey, which comes near
//! our hard lifetime, is moved out of the time in which the branch is expected to act: behind it, where
//! the hard lifetime lets us, else before it.

use crate::Shard;
use crate::peer::Peer;
use hawser_ike::IkeSa;
use std::time::{Duration, Instant};

/// Intervals remembered of a habit.
const REMEMBERED: usize = 4;

/// How far our rekey stays away from what is expected, at most; of a short cycle a twentieth.
const DISTANCE: Duration = Duration::from_secs(60);

/// How soon after its own DELETE a device that authenticates again has reauthenticated
/// (break-before-make), and not just returned.
const BREAK: Duration = Duration::from_secs(10);

/// Something that a device does again and again.
#[derive(Clone, Copy, Default, Debug)]
struct Habit {
    /// The last intervals, the latest first.
    intervals: [Option<Duration>; REMEMBERED],
}

impl Habit {
    fn observe(&mut self, interval: Duration) {
        self.intervals.rotate_right(1);
        self.intervals[0] = Some(interval);
    }

    /// The shortest and the longest interval to expect: those that are like the latest, with room for
    /// jitter that has not been seen yet.
    fn expected(&self) -> Option<(Duration, Duration)> {
        let latest = self.intervals[0]?;
        let like = |i: &Duration| i.abs_diff(latest) * 7 <= latest;
        let alike = || self.intervals.iter().flatten().copied().filter(like);
        let (shortest, longest) = (alike().min()?, alike().max()?);
        let slack = (longest - shortest) / 2 + latest / 50;
        let distance = DISTANCE.min(latest / 20);
        let early = shortest.saturating_sub(slack + distance);
        Some((early, longest + slack + distance))
    }
}

/// What is known of when a device acts.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Cycle {
    /// When it last authenticated.
    authenticated: Option<Instant>,
    /// Between its authentications.
    reauthentication: Habit,
    /// Age of an IKE SA when it rekeys it.
    rekey: Habit,
}

/// The life of an IKE SA.
#[derive(Clone, Copy)]
struct Life {
    created: Instant,
    /// Its hard lifetime's.
    end: Instant,
    /// By when the device has said that it renews it.
    told: Option<Instant>,
}

impl Cycle {
    /// The device has authenticated; `again`: to replace an SA that it still had.
    fn authenticated(&mut self, now: Instant, again: bool) {
        if let Some(before) = self.authenticated.replace(now).filter(|_| again) {
            self.reauthentication.observe(now - before);
        }
    }

    /// When the device is expected to renew an IKE SA made at `created`: from, until. `told`: by when
    /// it said that it would (AUTH_LIFETIME).
    fn expected(
        &self,
        created: Instant,
        told: Option<Instant>,
    ) -> impl Iterator<Item = (Instant, Instant)> {
        let reauthentication = self.authenticated.zip(self.reauthentication.expected());
        let rekey = self.rekey.expected().map(|expected| (created, expected));
        let times = reauthentication.into_iter().chain(rekey);
        let observed = times.map(|(since, (early, late))| (since + early, since + late));
        let about = |told: Instant| {
            let distance = DISTANCE.min(told.saturating_duration_since(created) / 20);
            (told.checked_sub(distance).unwrap_or(told), told + distance)
        };
        observed.chain(told.map(about))
    }

    /// A time for our rekey near `at` in which the device is not expected to act: up to `jitter` after
    /// or before.
    fn clear_of(&self, life: &Life, at: Instant, jitter: Duration) -> Instant {
        let Life { created, end, told } = *life;
        let mut clear = at;
        for (from, until) in self.expected(created, told) {
            if clear < from || until < clear {
                continue;
            }
            let (after, before) = (until + jitter, from.checked_sub(jitter));
            // Behind it there must be time left for the rekey and its retransmissions.
            if after + (end - at) / 2 <= end {
                clear = after;
            } else if let Some(before) = before.filter(|b| *b > created + (at - created) / 2) {
                clear = before;
            }
        }
        clear
    }
}

impl Shard {
    /// A device has authenticated with a new IKE SA, which is not among its own yet.
    pub(crate) fn observe_authentication(&mut self, now: Instant, key: usize, forgot: bool) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let just_left = peer
            .gone
            .is_some_and(|at| now.saturating_duration_since(at) <= BREAK);
        let again = !forgot && (just_left || !peer.ike_sas.is_empty());
        peer.cycle.authenticated(now, again);
    }

    /// A device has rekeyed this IKE SA by itself.
    pub(crate) fn observe_rekey(&mut self, now: Instant, key: usize, old: u64) {
        if let Some(peer) = self.peers.get_mut(key)
            && let Some(age) = peer.find_ike_sa(old).map(|sa| now - sa.created())
        {
            peer.cycle.rekey.observe(age);
        }
    }

    /// Our rekey of this IKE SA keeps clear of what the device is expected to do.
    pub(crate) fn keep_clear(&mut self, now: Instant, key: usize, spi: u64) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let cycle = peer.cycle;
        let Some(sa) = peer.ike_sa(spi) else {
            return;
        };
        if let (Some(at), Some(end)) = (sa.rekey_at(), sa.expires_at()) {
            let jitter = crate::env!(self, now).up_to(DISTANCE.min((end - at) / 4));
            let life = Life {
                created: sa.created(),
                end,
                told: sa.reauthenticate_by(),
            };
            let clear = cycle.clear_of(&life, at, jitter);
            sa.rekey_ike_at(clear);
        }
    }
}

impl Peer {
    /// When the device is expected to renew this IKE SA by itself: from, until.
    pub(crate) fn expected_renewal(&self, sa: &IkeSa) -> Option<(Instant, Instant)> {
        self.cycle
            .expected(sa.created(), sa.reauthenticate_by())
            .min()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    fn cycle(start: Instant, authentications: &[Duration]) -> Cycle {
        let mut cycle = Cycle::default();
        for (n, after) in authentications.iter().enumerate() {
            cycle.authenticated(start + *after, n > 0);
        }
        cycle
    }

    fn day(created: Instant) -> Life {
        Life {
            created,
            end: created + 24 * HOUR,
            told: None,
        }
    }

    #[test]
    fn what_it_has_told_is_kept_clear_of() {
        let start = Instant::now();
        let told = Some(start + 23 * HOUR + 57 * MINUTE);
        let life = Life { told, ..day(start) };
        let clear = Cycle::default().clear_of(&life, start + 24 * HOUR - 3 * MINUTE, MINUTE);
        assert!(clear < start + 23 * HOUR + 56 * MINUTE);
    }

    /// When we rekey an SA that a device with these habits made last; both ends at 24 hours.
    fn rekeyed_after(authentications: &[Duration]) -> Duration {
        let start = Instant::now();
        let cycle = cycle(start, authentications);
        let made = start + *authentications.last().unwrap();
        let at = made + 24 * HOUR - 3 * MINUTE;
        cycle.clear_of(&day(made), at, MINUTE / 2) - made
    }

    #[test]
    fn near_the_hard_lifetime_where_nothing_is_known_or_in_the_way() {
        let usual = 24 * HOUR - 3 * MINUTE;
        assert_eq!(rekeyed_after(&[Duration::ZERO]), usual);
        let daily = [Duration::ZERO, 12 * HOUR, 24 * HOUR];
        assert_eq!(rekeyed_after(&daily), usual);
    }

    #[test]
    fn before_a_reauthentication_that_is_due_at_the_same_time() {
        let daily = [
            Duration::ZERO,
            24 * HOUR - 4 * MINUTE,
            48 * HOUR - 9 * MINUTE,
        ];
        let after = rekeyed_after(&daily);
        assert!(
            after < 23 * HOUR + 30 * MINUTE && after > 22 * HOUR,
            "{after:?}"
        );
    }

    #[test]
    fn behind_it_where_there_is_time() {
        let start = Instant::now();
        let cycle = cycle(start, &[Duration::ZERO, 20 * HOUR]);
        let made = start + 20 * HOUR;
        let clear = cycle.clear_of(&day(made), made + 20 * HOUR, MINUTE) - made;
        assert!(
            clear > 20 * HOUR + 20 * MINUTE && clear < 23 * HOUR,
            "{clear:?}"
        );
    }

    #[test]
    fn what_happened_once_and_otherwise_does_not_blur_a_habit() {
        let crash = [0, 24, 48, 49, 73].map(|h| h * HOUR);
        let after = rekeyed_after(&crash);
        assert!(
            after < 23 * HOUR + 40 * MINUTE && after > 22 * HOUR,
            "{after:?}"
        );
    }

    #[test]
    fn its_own_rekey_is_kept_clear_of_as_well() {
        let start = Instant::now();
        let mut cycle = Cycle::default();
        cycle.rekey.observe(10 * HOUR);
        let clear = cycle.clear_of(&day(start), start + 10 * HOUR, MINUTE) - start;
        assert!(clear > 10 * HOUR + 10 * MINUTE, "{clear:?}");
    }
}
