//! The hook `dpd-policy`: whether a device is alive, and when to ask it.

use crate::plugin::Plugin;

/// What is known of a device. Times are milliseconds on a clock of the gateway that never jumps
/// and starts at 1; `sdk/README.md` has more on each field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Evidence<'a> {
    /// Number of the device in this run of the gateway.
    pub device: u64,
    /// Its tenant.
    pub tenant: &'a str,
    /// Its template.
    pub template: &'a str,
    /// Its authenticated identity.
    pub identity: &'a str,
    /// Outer address and port as `192.0.2.7/4500`.
    pub endpoint: &'a str,
    /// Why the policy is asked.
    pub trigger: Trigger,
    /// When.
    pub now_ms: u64,
    /// When the device's first SA was established.
    pub established_ms: u64,
    /// When the last authentic IKE message came.
    pub ike_in_ms: Option<u64>,
    /// When the last authentic ESP packet came.
    pub esp_in_ms: Option<u64>,
    /// When the last ESP packet went out.
    pub esp_out_ms: Option<u64>,
    /// Transmissions of the probe that is under way; 0: none is.
    pub transmissions: u8,
    /// When the last of them went out.
    pub transmitted_ms: Option<u64>,
    /// Round-trip time of the last answered probe, in microseconds.
    pub rtt_us: Option<u32>,
    /// Whether the device is behind NAT.
    pub behind_nat: bool,
    /// Changes of the endpoint since it was established.
    pub moves: u32,
    /// Probes sent in this run.
    pub probes: u32,
    /// Probes given up in this run.
    pub losses: u32,
    /// IKE SAs that it has.
    pub ike_sas: u32,
    /// Pairs of Child SAs that it has.
    pub child_sas: u32,
    /// What its template says.
    pub template_settings: TemplateSettings,
    /// What the last decision for this device left, at most 256 octets.
    pub memo: &'a [u8],
    /// Lines of `name=value` that later gateways fill.
    pub ext: &'a str,
}

/// What the device's template says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TemplateSettings {
    /// When it is probed.
    pub mode: Mode,
    /// 10,000 to 3,600,000.
    pub interval_ms: u64,
    /// 2,000 to 60,000.
    pub retry_ms: u64,
    /// Retransmissions of a probe before the device is given up.
    pub retries: u8,
}

/// What the gateway shall do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Ask again at this time, or when something happens. A probe that is under way stays so.
    WaitUntil(u64),
    /// Ask again only when something happens. A probe that is under way stays so.
    Wait,
    /// Send the probe, or send it again; ask again after this duration without an answer.
    Probe(u64),
    /// The device is dead; the text goes into the evidence.
    GiveUp(String),
}

/// What a policy answers; made with [`Decision::wait`] and its like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// A new memo, at most 256 octets; none keeps the old one.
    pub memo: Option<Vec<u8>>,
}

/// A policy of dead peer detection. The gateway sends the probes and counts them; the policy says
/// when, and when it is enough.
pub trait DpdPolicy: Plugin {
    /// What to do about this device now.
    ///
    /// What the policy has to remember of a device belongs into the memo of its decision: the next
    /// question may go to another instance, or to the plugin's next version.
    fn decide(&mut self, evidence: &Evidence<'_>) -> Decision;
}

/// Why the policy is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
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
    Other(u8),
}

impl Trigger {
    pub(crate) fn of(number: u8) -> Self {
        match number {
            0 => Self::Established,
            1 => Self::Timer,
            2 => Self::BeforeSend,
            3 => Self::Answered,
            4 => Self::Unanswered,
            5 => Self::Moved,
            other => Self::Other(other),
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

impl Mode {
    /// One that this version does not know counts as [`Mode::Off`].
    pub(crate) fn of(number: u8) -> Self {
        match number {
            1 => Self::OnDemand,
            2 => Self::Periodic,
            _ => Self::Off,
        }
    }
}

impl Evidence<'_> {
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
        Self { action, memo: None }
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
    use crate::testing::dpd::evidence;

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
