//! Evidence for DPD policies, and a device in virtual time.

use crate::dpd::{Action, DpdPolicy, Evidence, Mode, TemplateSettings, Trigger};

/// A device behind a NAT that was established just now, at time 0, under the case's template: on
/// demand after 20 s, retries each 5 s, 5 retransmissions.
pub fn evidence() -> Evidence<'static> {
    Evidence {
        device: 7,
        tenant: "default",
        template: "branches",
        identity: "test",
        endpoint: "120.208.142.17/8192",
        trigger: Trigger::Established,
        now_ms: 0,
        established_ms: 0,
        ike_in_ms: Some(0),
        esp_in_ms: None,
        esp_out_ms: None,
        transmissions: 0,
        transmitted_ms: None,
        rtt_us: None,
        behind_nat: true,
        moves: 0,
        probes: 0,
        losses: 0,
        ike_sas: 1,
        child_sas: 1,
        template_settings: TemplateSettings {
            mode: Mode::OnDemand,
            interval_ms: 20_000,
            retry_ms: 5_000,
            retries: 5,
        },
        memo: &[],
        ext: "",
    }
}

/// One answer of the policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// When it was asked.
    pub at_ms: u64,
    /// Why it was asked.
    pub trigger: Trigger,
    /// What it said.
    pub action: Action,
}

/// Plays a device against a policy in virtual time: the policy is asked where the gateway would
/// ask, and its answers are carried out.
///
/// ```
/// # use hawser_sdk::dpd::{Action, Decision, DpdPolicy, Evidence, Trigger};
/// # use hawser_sdk::{About, Plugin, SettingsError, testing::dpd::Drive};
/// # struct Policy;
/// # impl Plugin for Policy {
/// #     type Settings = ();
/// #     const ABOUT: About = hawser_sdk::about!("{}");
/// #     fn new(_: ()) -> Result<Self, SettingsError> { Ok(Self) }
/// # }
/// # impl DpdPolicy for Policy {
/// #     fn decide(&mut self, e: &Evidence<'_>) -> Decision {
/// #         if e.trigger == Trigger::Established { Decision::wait_until(60_000) } else { Decision::probe(5_000) }
/// #     }
/// # }
/// let drive = Drive::new(Policy).advance(60_000);
/// assert_eq!(drive.probes(), [60_000]);
/// ```
#[derive(Debug)]
pub struct Drive<P> {
    policy: P,
    device: Evidence<'static>,
    memo: Vec<u8>,
    /// When the last decision wants to be asked again.
    timer: Option<u64>,
    /// When the probe that is under way counts as unanswered.
    unanswered: Option<u64>,
    dead: bool,
    steps: Vec<Step>,
}

impl<P: DpdPolicy> Drive<P> {
    /// The device of [`evidence`].
    pub fn new(policy: P) -> Self {
        Self::with(policy, evidence())
    }

    /// A device of which this is known; the policy is told that it was established.
    pub fn with(policy: P, device: Evidence<'static>) -> Self {
        let mut drive = Self {
            policy,
            memo: device.memo.to_vec(),
            device,
            timer: None,
            unanswered: None,
            dead: false,
            steps: Vec::new(),
        };
        drive.ask(Trigger::Established);
        drive
    }

    /// Time passes; timers that come due meanwhile are asked in their order.
    #[must_use]
    pub fn advance(mut self, ms: u64) -> Self {
        let end = self.device.now_ms + ms;
        loop {
            let next = match (self.unanswered, self.timer) {
                (Some(u), Some(t)) if t < u => (t, Trigger::Timer),
                (Some(u), _) => (u, Trigger::Unanswered),
                (None, Some(t)) => (t, Trigger::Timer),
                (None, None) => break,
            };
            let (at, trigger) = next;
            if at > end {
                break;
            }
            self.device.now_ms = at;
            if trigger == Trigger::Timer {
                self.timer = None;
            } else {
                self.unanswered = None;
            }
            self.ask(trigger);
        }
        self.device.now_ms = end;
        self
    }

    /// An ESP packet goes out to the device.
    #[must_use]
    pub fn esp_out(mut self) -> Self {
        self.ask(Trigger::BeforeSend);
        self.device.esp_out_ms = Some(self.device.now_ms);
        self
    }

    /// An authentic ESP packet comes from the device.
    #[must_use]
    pub fn esp_in(mut self) -> Self {
        self.device.esp_in_ms = Some(self.device.now_ms);
        self
    }

    /// An authentic IKE message comes from the device, but not the answer to a probe.
    #[must_use]
    pub fn ike_in(mut self) -> Self {
        self.device.ike_in_ms = Some(self.device.now_ms);
        self
    }

    /// The device answers the probe that is under way.
    ///
    /// # Panics
    /// Where none is.
    #[must_use]
    pub fn answer(mut self) -> Self {
        let sent = self
            .device
            .transmitted_ms
            .filter(|_| self.device.is_probing());
        let rtt = self.device.now_ms - sent.expect("a probe is under way");
        self.device.rtt_us = Some(u32::try_from(1000 * rtt).unwrap_or(u32::MAX));
        self.device.ike_in_ms = Some(self.device.now_ms);
        self.device.transmissions = 0;
        self.unanswered = None;
        self.ask(Trigger::Answered);
        self
    }

    /// An authentic packet comes from the device from another endpoint.
    #[must_use]
    pub fn moved(mut self, endpoint: &'static str) -> Self {
        self.device.endpoint = endpoint;
        self.device.moves += 1;
        self.device.esp_in_ms = Some(self.device.now_ms);
        self.ask(Trigger::Moved);
        self
    }

    /// Another instance of the policy takes over, as in a swap: only the memo remains.
    #[must_use]
    pub fn swap(mut self, policy: P) -> Self {
        self.policy = policy;
        self
    }

    /// What is known of the device now.
    pub fn device(&self) -> &Evidence<'static> {
        &self.device
    }

    /// Every answer of the policy so far.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// When probes were transmitted, retransmissions among them.
    pub fn probes(&self) -> Vec<u64> {
        let probes = |s: &&Step| matches!(s.action, Action::Probe(_));
        self.steps.iter().filter(probes).map(|s| s.at_ms).collect()
    }

    /// When and why the device was given up, if it was.
    pub fn given_up(&self) -> Option<(u64, &str)> {
        self.steps.iter().find_map(|s| match &s.action {
            Action::GiveUp(reason) => Some((s.at_ms, reason.as_str())),
            _ => None,
        })
    }

    fn ask(&mut self, trigger: Trigger) {
        if self.dead {
            return;
        }
        self.device.trigger = trigger;
        let now = self.device.now_ms;
        let decision = self.policy.decide(&Evidence {
            memo: &self.memo,
            ..self.device
        });
        if let Some(memo) = decision.memo {
            assert!(
                memo.len() <= 256,
                "a memo of {} octets at {now} ms",
                memo.len()
            );
            self.memo = memo;
        }
        match &decision.action {
            Action::Wait => self.timer = None,
            Action::WaitUntil(at) => {
                assert!(
                    *at > now,
                    "at {now} ms it waits for {at} ms, which is no later"
                );
                self.timer = Some(*at);
            }
            Action::Probe(within) => {
                assert!(
                    *within > 0,
                    "a probe at {now} ms leaves no time for an answer"
                );
                self.device.probes += u32::from(!self.device.is_probing());
                self.device.transmissions = self.device.transmissions.saturating_add(1);
                self.device.transmitted_ms = Some(now);
                self.unanswered = Some(now + within);
                self.timer = None;
            }
            Action::GiveUp(_) => {
                self.device.losses += 1;
                self.timer = None;
                self.unanswered = None;
                self.dead = true;
            }
        }
        self.steps.push(Step {
            at_ms: now,
            trigger,
            action: decision.action,
        });
    }
}
