//! Dead peer detection that learns each device's NAT timeout, round-trip time and habits.
//!
//! - A probe is sent when ESP goes out and none comes in. A device that answers such probes only
//!   receives; it is asked ever less.
//! - A device without traffic is probed rarely, but before its NAT forgets it. What the NAT
//!   survives is learned from answers after a silence, what it does not from moves after one.
//! - The wait for an answer follows the measured round-trip time and doubles with each
//!   retransmission.
//! - A device is given up only if nothing at all came from it since the probe was first sent. Any
//!   of its SAs proves it alive, by IKE or ESP.
//! - Probes of idle devices are spread by the device's number, so that thousands that came up
//!   together are not asked together.
//!
//! The template says only whether there is DPD at all (`off`).

mod memo;

use hawser_sdk::dpd::{Decision, DpdPolicy, Evidence, Mode, Trigger};
use hawser_sdk::{About, Plugin, SettingsError};
use memo::Memo;
use serde::Deserialize;

/// A silence shorter than this says nothing about a NAT.
const SILENCE_MS: u64 = 5_000;
/// The least time between probes of a device without traffic.
const LEAST_IDLE_MS: u64 = 5_000;
/// Doublings of `quiet-ms` at most.
const MOST_PATIENCE: u8 = 4;
/// While something comes from a device that does not answer, its probe is sent again this seldom:
/// an IKE request has to be answered some time.
const ALIVE_RETRY_MS: u64 = 30_000;

/// What the policy does not learn.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    quiet_ms: u64,
    idle_ms: u64,
    retries: u8,
    least_wait_ms: u64,
    longest_wait_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quiet_ms: 10_000,
            idle_ms: 120_000,
            retries: 6,
            least_wait_ms: 1_000,
            longest_wait_ms: 10_000,
        }
    }
}

/// The policy.
#[derive(Debug)]
pub struct Adaptive {
    settings: Settings,
}

impl Plugin for Adaptive {
    type Settings = Settings;
    const ABOUT: About = hawser_sdk::about!(include_str!("../settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, SettingsError> {
        let s = &settings;
        let bounds = [
            ("/quiet-ms", s.quiet_ms, 1_000, 3_600_000),
            ("/idle-ms", s.idle_ms, 10_000, 3_600_000),
            ("/retries", s.retries.into(), 1, 60),
            ("/least-wait-ms", s.least_wait_ms, 100, 60_000),
            (
                "/longest-wait-ms",
                s.longest_wait_ms,
                s.least_wait_ms,
                60_000,
            ),
        ];
        for (path, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                let message = format!("{value} is not within {least} and {most}");
                return Err(SettingsError::new(path, message));
            }
        }
        Ok(Self { settings })
    }
}

impl DpdPolicy for Adaptive {
    fn decide(&mut self, evidence: &Evidence<'_>) -> Decision {
        if evidence.template_settings.mode == Mode::Off {
            return Decision::wait();
        }
        let mut memo = Memo::read(evidence.memo).unwrap_or_else(|| Memo {
            active_ms: active_ms(evidence),
            ..Memo::default()
        });
        self.learn(evidence, &mut memo);
        let decision = match evidence.trigger {
            Trigger::Unanswered => self.again(evidence, &memo),
            _ if evidence.is_probing() => Decision::wait(),
            Trigger::BeforeSend if evidence.quiet_ms() > self.quiet_ms(&memo) => {
                self.probe(evidence, &mut memo)
            }
            Trigger::Timer if self.idle_at(evidence, &memo) <= evidence.now_ms => {
                self.probe(evidence, &mut memo)
            }
            _ => {
                let at = self.idle_at(evidence, &memo);
                Decision::wait_until(at.max(evidence.now_ms + LEAST_IDLE_MS))
            }
        };
        memo.active_ms = active_ms(evidence);
        decision.with_memo(memo.write())
    }
}

/// When something last went out or came in.
fn active_ms(evidence: &Evidence<'_>) -> u64 {
    let out = evidence.esp_out_ms.max(evidence.transmitted_ms);
    evidence.heard_ms().max(out.unwrap_or(0))
}

impl Adaptive {
    fn learn(&self, evidence: &Evidence<'_>, memo: &mut Memo) {
        let now = evidence.now_ms;
        match evidence.trigger {
            Trigger::Established => {
                // Round trips and the NAT are still the same; what was under way is not.
                memo.probing_since_ms = 0;
            }
            Trigger::Answered => {
                memo.round_trip(evidence.rtt_us.unwrap_or(0));
                let silence = memo.probing_since_ms.saturating_sub(memo.active_ms);
                if silence >= SILENCE_MS && evidence.behind_nat {
                    memo.survived(silence);
                }
                let asked_for_esp = evidence.esp_out_ms > evidence.esp_in_ms;
                if asked_for_esp && memo.patience < MOST_PATIENCE {
                    memo.patience += 1;
                }
            }
            Trigger::Moved if evidence.behind_nat => {
                let silence = now.saturating_sub(memo.active_ms);
                if silence >= SILENCE_MS {
                    memo.forgot(silence);
                }
            }
            _ => {}
        }
        let recent = evidence
            .esp_in_ms
            .is_some_and(|at| now.saturating_sub(at) < self.settings.quiet_ms);
        if recent {
            memo.patience = 0;
        }
    }

    /// For how long a device may be silent while ESP goes out to it.
    fn quiet_ms(&self, memo: &Memo) -> u64 {
        self.settings.quiet_ms << memo.patience.min(MOST_PATIENCE)
    }

    /// When a device without traffic is probed: spread over the last fifth of the time.
    fn idle_at(&self, evidence: &Evidence<'_>, memo: &Memo) -> u64 {
        let mut idle = self.settings.idle_ms;
        if evidence.behind_nat && memo.forgot_ms != 0 {
            idle = idle.min(u64::from(memo.forgot_ms) * 3 / 4);
        }
        let idle = idle.max(LEAST_IDLE_MS);
        // Multiplied with an odd constant, numbers in a row land far from each other.
        let place = (evidence.device.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) & 0xffff;
        // An hour at most: 32 bits, of which a fifth is a multiplication.
        let fifth = u64::from(u32::try_from(idle).unwrap_or(u32::MAX) / 5);
        let earlier = (fifth * place) >> 16;
        active_ms(evidence) + idle - earlier
    }

    fn wait_ms(&self, memo: &Memo, transmissions: u8) -> u64 {
        let s = &self.settings;
        let expected = match memo.rtt_us {
            // Nothing is known of it.
            0 => 2 * s.least_wait_ms,
            rtt => (u64::from(rtt) + 4 * u64::from(memo.deviation_us)).div_ceil(1000),
        };
        let wait = expected.max(s.least_wait_ms) << transmissions.min(10);
        wait.min(s.longest_wait_ms)
    }

    fn probe(&self, evidence: &Evidence<'_>, memo: &mut Memo) -> Decision {
        memo.probing_since_ms = evidence.now_ms;
        memo.active_ms = active_ms(evidence);
        Decision::probe(self.wait_ms(memo, 0))
    }

    fn again(&self, evidence: &Evidence<'_>, memo: &Memo) -> Decision {
        if evidence.heard_after(memo.probing_since_ms) {
            return Decision::probe(ALIVE_RETRY_MS);
        }
        let sent = evidence.transmissions;
        if sent > self.settings.retries {
            let quiet = evidence.quiet_ms() / 1000;
            let reason = format!("nothing came for {quiet} s, {sent} probes among it");
            return Decision::give_up(reason);
        }
        Decision::probe(self.wait_ms(memo, sent))
    }
}

hawser_sdk::export_dpd_policy!(Adaptive);

#[cfg(test)]
mod tests;
