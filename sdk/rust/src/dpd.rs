//! The hook `dpd-policy`: whether a device is alive, and when to ask it.

use crate::plugin::Plugin;

pub use crate::bindings::exports::hawser::plugin::dpd::{
    Action, Decision, Evidence, TemplateSettings,
};

/// A policy of dead peer detection. The gateway sends the probes and counts them; the policy says
/// when, and when it is enough.
pub trait DpdPolicy: Plugin {
    /// What to do about this device now.
    ///
    /// What the policy has to remember of a device belongs into the memo of its decision: the next
    /// question may go to another instance, or to the plugin's next version.
    fn decide(&mut self, evidence: &Evidence) -> Decision;
}

/// Why the policy is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger<'a> {
    /// The device has a new IKE SA.
    Established,
    /// The time has come that the last decision named.
    Timer,
    /// An ESP packet is about to go out to the device.
    BeforeSend,
    /// A probe was answered.
    Answered,
    /// A probe was not answered within the duration that the last decision named.
    Unanswered,
    /// The device's outer endpoint changed.
    Moved,
    /// A reason that later gateways may have.
    Other(&'a str),
}

impl<'a> Trigger<'a> {
    fn of(word: &'a str) -> Self {
        match word {
            "established" => Self::Established,
            "timer" => Self::Timer,
            "before-send" => Self::BeforeSend,
            "answered" => Self::Answered,
            "unanswered" => Self::Unanswered,
            "moved" => Self::Moved,
            other => Self::Other(other),
        }
    }

    /// The word of the evidence.
    pub fn word(self) -> &'a str {
        match self {
            Self::Established => "established",
            Self::Timer => "timer",
            Self::BeforeSend => "before-send",
            Self::Answered => "answered",
            Self::Unanswered => "unanswered",
            Self::Moved => "moved",
            Self::Other(other) => other,
        }
    }
}

/// How the template wants it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// No probes.
    Off,
    /// A probe before a packet is sent, when nothing has come for the interval.
    OnDemand,
    /// A probe each interval.
    Periodic,
}

impl TemplateSettings {
    /// The mode; a word that this version does not know counts as [`Mode::Off`].
    pub fn mode(&self) -> Mode {
        match self.mode.as_str() {
            "on-demand" => Mode::OnDemand,
            "periodic" => Mode::Periodic,
            _ => Mode::Off,
        }
    }
}

impl Evidence {
    /// Why the question is asked.
    pub fn trigger(&self) -> Trigger<'_> {
        Trigger::of(&self.trigger)
    }

    /// When the device last proved that it lives: an authentic packet of IKE or ESP.
    pub fn heard_ms(&self) -> u64 {
        let ike = self.ike_in_ms.unwrap_or(0);
        let esp = self.esp_in_ms.unwrap_or(0);
        self.established_ms.max(ike).max(esp)
    }

    /// For how long nothing has come from the device.
    pub fn quiet_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.heard_ms())
    }

    /// Whether a probe is under way.
    pub fn is_probing(&self) -> bool {
        self.transmissions > 0
    }

    /// Whether something came from the device after this time.
    pub fn heard_after(&self, ms: u64) -> bool {
        self.heard_ms() > ms
    }
}

impl Decision {
    fn of(action: Action) -> Self {
        Self {
            action,
            memo: None,
            ext: Vec::new(),
        }
    }

    /// Ask again only when something happens.
    pub fn wait() -> Self {
        Self::of(Action::Wait)
    }

    /// Ask again at this time, or when something happens.
    pub fn wait_until(ms: u64) -> Self {
        Self::of(Action::WaitUntil(ms))
    }

    /// Send the probe, or send it again; ask again after this duration without an answer.
    pub fn probe(answer_within_ms: u64) -> Self {
        Self::of(Action::Probe(answer_within_ms))
    }

    /// The device is dead, for this reason.
    pub fn give_up(reason: impl Into<String>) -> Self {
        Self::of(Action::GiveUp(reason.into()))
    }

    /// The same decision with a new memo, at most 256 octets.
    #[must_use]
    pub fn with_memo(mut self, memo: impl Into<Vec<u8>>) -> Self {
        self.memo = Some(memo.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::dpd::evidence;

    #[test]
    fn every_trigger_has_a_word_that_leads_back() {
        for word in [
            "established",
            "timer",
            "before-send",
            "answered",
            "unanswered",
            "moved",
            "a later one",
        ] {
            assert_eq!(Trigger::of(word).word(), word);
        }
        assert_eq!(Trigger::of("a later one"), Trigger::Other("a later one"));
    }

    #[test]
    fn the_last_sign_of_life_is_the_latest_of_all() {
        let mut evidence = evidence();
        evidence.now_ms = 50_000;
        evidence.established_ms = 10_000;
        assert_eq!(evidence.quiet_ms(), 40_000);
        evidence.ike_in_ms = Some(12_000);
        evidence.esp_in_ms = Some(45_000);
        assert_eq!(evidence.quiet_ms(), 5_000);
        evidence.ike_in_ms = Some(50_001);
        assert_eq!(
            evidence.quiet_ms(),
            0,
            "clocks of shards may differ by a little"
        );
    }
}
