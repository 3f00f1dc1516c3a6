//! Probes a device when a packet goes out to it and it has been quiet.

use hawser_sdk::dpd::{Decision, DpdPolicy, Evidence, Trigger};
use hawser_sdk::{About, Plugin, SettingsError};
use serde::Deserialize;

/// What the operator may set: settings.schema.json says the same.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    quiet_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { quiet_ms: 20_000 }
    }
}

/// The policy.
pub struct Policy {
    settings: Settings,
}

impl Plugin for Policy {
    type Settings = Settings;
    const ABOUT: About = hawser_sdk::about!(include_str!("../settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, SettingsError> {
        Ok(Self { settings })
    }
}

impl DpdPolicy for Policy {
    fn decide(&mut self, evidence: &Evidence<'_>) -> Decision {
        let template = &evidence.template_settings;
        match evidence.trigger {
            Trigger::BeforeSend if evidence.is_probing() => Decision::wait(),
            Trigger::BeforeSend if evidence.quiet_ms() > self.settings.quiet_ms => {
                Decision::probe(template.retry_ms)
            }
            Trigger::Unanswered if evidence.transmissions > template.retries => {
                Decision::give_up("no probe was answered")
            }
            Trigger::Unanswered => Decision::probe(template.retry_ms),
            _ => Decision::wait(),
        }
    }
}

hawser_sdk::export_dpd_policy!(Policy);

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_sdk::testing::dpd::Drive;
    use hawser_sdk::{configure, testing};

    #[test]
    fn the_host_would_load_it() {
        testing::check::<Policy>();
    }

    #[test]
    fn a_quiet_device_is_probed_and_given_up() {
        let policy = configure::<Policy>(r#"{"quiet-ms": 30000}"#).unwrap();
        let drive = Drive::new(policy).advance(30_001).esp_out();
        assert_eq!(drive.probes(), [30_001]);
        assert_eq!(drive.advance(60_000).given_up().unwrap().0, 60_001);
    }
}
