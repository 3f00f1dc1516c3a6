//! Dead peer detection as the case documents it, and as the gateway does it without a plugin.
//!
//! - *On demand*: a packet is about to be sent, and nothing has come from the device for more than
//!   the interval: a probe precedes it.
//! - *Periodic*: a probe each interval, counted from when the device was established, whatever it
//!   sends.
//! - In both, a probe is sent again each retry time, and after the last retransmission and one
//!   more retry time the device is given up.
//!
//! Mode, interval, retry and retries are the template's; settings replace single ones of them. The
//! memo holds when the next periodic probe is due, so that the beat survives answers and swaps.

use hawser_sdk::dpd::{Decision, DpdPolicy, Evidence, Mode, Trigger};
use hawser_sdk::{About, Plugin, SettingsError};
use serde::Deserialize;

/// What replaces the template's settings.
#[derive(Deserialize, Default, Debug)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    interval_ms: Option<u64>,
    retry_ms: Option<u64>,
    retries: Option<u8>,
}

/// The policy.
#[derive(Debug)]
pub struct Case {
    settings: Settings,
}

impl Plugin for Case {
    type Settings = Settings;
    const ABOUT: About = hawser_sdk::about!(include_str!("../settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, SettingsError> {
        within("/interval-ms", settings.interval_ms, 10_000, 3_600_000)?;
        within("/retry-ms", settings.retry_ms, 2_000, 60_000)?;
        Ok(Self { settings })
    }
}

fn within(path: &str, value: Option<u64>, least: u64, most: u64) -> Result<(), SettingsError> {
    match value {
        Some(v) if !(least..=most).contains(&v) => Err(SettingsError::new(
            path,
            format_args!("{v} is not within {least} and {most}"),
        )),
        _ => Ok(()),
    }
}

impl DpdPolicy for Case {
    fn decide(&mut self, evidence: &Evidence<'_>) -> Decision {
        let retry = self.retry_ms(evidence);
        match (evidence.template_settings.mode, evidence.trigger) {
            (_, Trigger::Unanswered) => {
                let retries = self.settings.retries;
                let retries = retries.unwrap_or(evidence.template_settings.retries);
                if evidence.transmissions > retries {
                    let sent = evidence.transmissions;
                    Decision::give_up(format!("no answer to a probe that was sent {sent} times"))
                } else {
                    Decision::probe(retry)
                }
            }
            (Mode::OnDemand, Trigger::BeforeSend)
                if evidence.quiet_ms() > self.interval_ms(evidence) && !evidence.is_probing() =>
            {
                Decision::probe(retry)
            }
            (Mode::Periodic, trigger) => self.periodic(evidence, trigger, retry),
            _ => Decision::wait(),
        }
    }
}

impl Case {
    fn interval_ms(&self, evidence: &Evidence<'_>) -> u64 {
        let interval = self.settings.interval_ms;
        interval.unwrap_or(evidence.template_settings.interval_ms)
    }

    fn retry_ms(&self, evidence: &Evidence<'_>) -> u64 {
        let retry = self.settings.retry_ms;
        retry.unwrap_or(evidence.template_settings.retry_ms)
    }

    fn periodic(&self, evidence: &Evidence<'_>, trigger: Trigger, retry: u64) -> Decision {
        let (now, interval) = (evidence.now_ms, self.interval_ms(evidence).max(1));
        let due = match <[u8; 8]>::try_from(evidence.memo) {
            Ok(memo) if trigger != Trigger::Established => u64::from_le_bytes(memo),
            // Another policy's memo, or a new IKE SA: the beat begins now.
            _ => now + interval,
        };
        if due > now {
            return Decision::wait_until(due).with_memo(due.to_le_bytes());
        }
        // Beats that fell into a probe under way are skipped: that one was the probe.
        let next = due + interval * ((now - due) / interval + 1);
        let decision = if evidence.is_probing() || trigger != Trigger::Timer {
            Decision::wait_until(next)
        } else {
            Decision::probe(retry)
        };
        decision.with_memo(next.to_le_bytes())
    }
}

hawser_sdk::export_dpd_policy!(Case);

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_sdk::testing::dpd::{Drive, evidence};
    use hawser_sdk::{configure, testing};

    fn on_demand() -> Drive<Case> {
        Drive::new(configure("{}").expect("defaults"))
    }

    fn periodic() -> Drive<Case> {
        let mut device = evidence();
        device.template_settings.mode = Mode::Periodic;
        Drive::with(configure("{}").expect("defaults"), device)
    }

    #[test]
    fn it_is_what_it_says() {
        testing::check::<Case>();
        let path = |text| configure::<Case>(text).expect_err("refused").path;
        assert_eq!(path(r#"{"interval-ms": 9999}"#), "/interval-ms");
        assert_eq!(path(r#"{"retry-ms": 60001}"#), "/retry-ms");
        assert_eq!(path(r#"{"retries": 256}"#), "/retries");
    }

    #[test]
    fn on_demand_probes_only_before_a_packet_and_after_more_than_the_interval() {
        let drive = on_demand().advance(3_600_000);
        assert!(
            drive.probes().is_empty(),
            "nothing is sent to a device without packets for it"
        );
        let drive = on_demand().advance(20_000).esp_out();
        assert!(drive.probes().is_empty(), "20 s is not more than 20 s");
        assert_eq!(drive.advance(1).esp_out().probes(), [20_001]);
    }

    #[test]
    fn esp_in_counts_as_alive() {
        let drive = on_demand().advance(15_000).esp_in().advance(20_000);
        assert!(drive.esp_out().probes().is_empty());
    }

    #[test]
    fn five_retransmissions_each_five_seconds_then_it_is_dead() {
        let drive = on_demand().advance(21_000).esp_out();
        // Packets that go out meanwhile begin no second probe.
        let drive = drive.advance(7_000).esp_out().advance(100_000);
        assert_eq!(
            drive.probes(),
            [21_000, 26_000, 31_000, 36_000, 41_000, 46_000]
        );
        let (at, reason) = drive.given_up().expect("it is dead");
        assert_eq!(
            (at, reason),
            (51_000, "no answer to a probe that was sent 6 times")
        );
    }

    #[test]
    fn an_answer_ends_the_probe() {
        let drive = on_demand().advance(21_000).esp_out().advance(12_000);
        let drive = drive.answer().advance(3_600_000);
        assert_eq!(drive.probes(), [21_000, 26_000, 31_000]);
        assert_eq!(drive.given_up(), None);
    }

    #[test]
    fn periodic_keeps_its_beat_whatever_comes_in() {
        let drive = periodic().advance(20_100).answer();
        let drive = drive.advance(10_000).esp_in().esp_out().advance(10_000);
        assert_eq!(drive.probes(), [20_000, 40_000]);
        // The second answer comes after the beat of 60 s: that beat is skipped.
        let drive = drive.advance(21_000).answer().advance(19_000);
        assert_eq!(
            drive.probes()[1..],
            [40_000, 45_000, 50_000, 55_000, 60_000, 80_000]
        );
    }

    #[test]
    fn the_beat_survives_a_swap_and_begins_anew_with_a_new_ike_sa() {
        let other = || configure("{}").expect("defaults");
        let drive = periodic().advance(20_100).answer().swap(other());
        assert_eq!(drive.advance(20_000).probes(), [20_000, 40_000]);
    }

    #[test]
    fn settings_replace_those_of_the_template() {
        let settings = r#"{"interval-ms": 60000, "retry-ms": 2000, "retries": 0}"#;
        let drive = Drive::new(configure::<Case>(settings).expect("good"));
        let drive = drive.advance(60_001).esp_out().advance(60_000);
        assert_eq!(drive.probes(), [60_001]);
        assert_eq!(drive.given_up().map(|(at, _)| at), Some(62_001));
    }

    #[test]
    fn a_template_without_dpd_is_left_alone() {
        let mut device = evidence();
        device.template_settings.mode = Mode::Off;
        let drive = Drive::with(configure::<Case>("{}").expect("defaults"), device);
        assert!(drive.advance(99_000).esp_out().probes().is_empty());
    }
}
