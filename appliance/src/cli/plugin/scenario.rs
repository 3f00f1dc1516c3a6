//! A device played against a DPD policy in virtual time.

use crate::report;
use anyhow::{Context as _, bail};
use hawser_plugin::dpd::{Action, Decision, Evidence, Trigger, sample_evidence};
use std::collections::HashMap;
use std::path::Path;

/// One thing that happens to the device.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Time passes, in milliseconds.
    Pass(u64),
    /// ESP goes out to it.
    EspOut,
    /// ESP comes from it.
    EspIn,
    /// It answers the probe that is under way, if one is.
    Answer,
    /// It comes from another port.
    Move,
}

/// Names and stories; each begins with a device that was just established.
const STORIES: &[(&str, &[Step])] = &[
    (
        "silent",
        &[Step::Pass(30_000), Step::EspOut, Step::Pass(120_000)],
    ),
    (
        "answers",
        &[
            Step::Pass(30_000),
            Step::EspOut,
            Step::Pass(40),
            Step::Answer,
            Step::Pass(30_000),
            Step::EspOut,
            Step::Pass(7_000),
            Step::Answer,
            Step::Pass(60_000),
        ],
    ),
    ("idle", &[Step::Pass(600_000)]),
    (
        "one-way",
        &[
            Step::Pass(15_000),
            Step::EspIn,
            Step::Pass(15_000),
            Step::EspOut,
            Step::Pass(15_000),
            Step::EspOut,
            Step::Pass(10_000),
            Step::EspIn,
            Step::Pass(60_000),
        ],
    ),
    (
        "nat-move",
        &[
            Step::Pass(60_000),
            Step::Move,
            Step::Pass(60_000),
            Step::EspOut,
            Step::Pass(60_000),
        ],
    ),
];

/// A question and its answer.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Asked {
    pub(super) at_ms: u64,
    pub(super) device: u64,
    pub(super) trigger: Trigger,
    pub(super) action: String,
}

/// Whoever decides.
pub(super) type Decide<'a> = &'a mut dyn FnMut(&Evidence) -> anyhow::Result<Decision>;

/// What a scenario is made of.
pub(super) enum Scenario {
    Story(&'static [Step]),
    Recorded(Vec<Evidence>),
}

impl Scenario {
    /// A story by its name, or evidence from a file of JSON lines, a bug report, or a run of the simulator.
    pub(super) fn find(name: &str) -> anyhow::Result<Self> {
        if let Some((_, steps)) = STORIES.iter().find(|(n, _)| *n == name) {
            return Ok(Self::Story(steps));
        }
        if !Path::new(name).exists() {
            let names: Vec<_> = STORIES.iter().map(|(n, _)| *n).collect();
            bail!("`{name}` is neither a file nor one of {}", names.join(", "));
        }
        Ok(Self::Recorded(lines(name, report::DPD)?))
    }

    /// Every question of it with the answer of this policy.
    pub(super) fn play(&self, decide: Decide<'_>) -> anyhow::Result<Vec<Asked>> {
        match self {
            Self::Story(steps) => Device::new(decide).play(steps),
            Self::Recorded(pieces) => recorded(pieces, decide),
        }
    }
}

/// What was recorded is asked again; of each device the policy has the memo that it left itself.
fn recorded(pieces: &[Evidence], decide: Decide<'_>) -> anyhow::Result<Vec<Asked>> {
    let mut memos: HashMap<u64, Vec<u8>> = HashMap::new();
    let mut all = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let mut piece = piece.clone();
        if let Some(memo) = memos.get(&piece.device) {
            piece.memo.clone_from(memo);
        }
        let decision = decide(&piece)?;
        if let Some(memo) = decision.memo {
            memos.insert(piece.device, memo);
        }
        all.push(Asked {
            at_ms: piece.now_ms,
            device: piece.device,
            trigger: piece.trigger,
            action: words(&decision.action),
        });
    }
    Ok(all)
}

/// One JSON value a line, of a file or of a member of a bug report or folder.
pub(super) fn lines<T: serde::de::DeserializeOwned>(
    path: &str,
    member: &str,
) -> anyhow::Result<Vec<T>> {
    let text = report::read(path, member)?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(n, line)| {
            serde_json::from_str(line).with_context(|| format!("{path}, line {}", n + 1))
        })
        .collect()
}

struct Device<'a> {
    decide: Decide<'a>,
    evidence: Evidence,
    timer: Option<u64>,
    unanswered: Option<u64>,
    dead: bool,
    asked: Vec<Asked>,
}

impl<'a> Device<'a> {
    /// Established at 1 s under the case's template.
    fn new(decide: Decide<'a>) -> Self {
        let mut evidence = sample_evidence().swap_remove(0);
        (evidence.now_ms, evidence.established_ms) = (1_000, 1_000);
        (evidence.ike_in_ms, evidence.esp_in_ms, evidence.esp_out_ms) = (Some(1_000), None, None);
        (evidence.rtt_us, evidence.moves, evidence.probes) = (None, 0, 0);
        evidence.template_settings.interval_ms = 20_000;
        evidence.template_settings.retries = 5;
        Self {
            decide,
            evidence,
            timer: None,
            unanswered: None,
            dead: false,
            asked: Vec::new(),
        }
    }

    fn play(mut self, steps: &[Step]) -> anyhow::Result<Vec<Asked>> {
        self.ask(Trigger::Established)?;
        for step in steps {
            let now = self.evidence.now_ms;
            match step {
                Step::Pass(ms) => self.pass(now + ms)?,
                Step::EspOut => {
                    self.ask(Trigger::BeforeSend)?;
                    self.evidence.esp_out_ms = Some(now);
                }
                Step::EspIn => self.evidence.esp_in_ms = Some(now),
                Step::Answer => self.answer(now)?,
                Step::Move => {
                    self.evidence.endpoint = "192.0.2.7/61000".into();
                    self.evidence.moves += 1;
                    self.evidence.esp_in_ms = Some(now);
                    self.ask(Trigger::Moved)?;
                }
            }
        }
        Ok(self.asked)
    }

    fn pass(&mut self, end: u64) -> anyhow::Result<()> {
        while !self.dead {
            let timer = self.timer.map(|at| (at, Trigger::Timer));
            let unanswered = self.unanswered.map(|at| (at, Trigger::Unanswered));
            let next = timer
                .into_iter()
                .chain(unanswered)
                .min_by_key(|(at, _)| *at);
            let Some((at, trigger)) = next.filter(|(at, _)| *at <= end) else {
                break;
            };
            self.evidence.now_ms = at;
            if trigger == Trigger::Timer {
                self.timer = None;
            } else {
                self.unanswered = None;
            }
            self.ask(trigger)?;
        }
        self.evidence.now_ms = end;
        Ok(())
    }

    fn answer(&mut self, now: u64) -> anyhow::Result<()> {
        let Some(sent) = self.evidence.transmitted_ms.take() else {
            return Ok(());
        };
        self.evidence.rtt_us = u32::try_from(1_000 * (now - sent)).ok();
        self.evidence.ike_in_ms = Some(now);
        self.evidence.transmissions = 0;
        self.unanswered = None;
        self.ask(Trigger::Answered)
    }

    fn ask(&mut self, trigger: Trigger) -> anyhow::Result<()> {
        if self.dead {
            return Ok(());
        }
        self.evidence.trigger = trigger;
        let decision = (self.decide)(&self.evidence)?;
        let now = self.evidence.now_ms;
        self.asked.push(Asked {
            at_ms: now,
            device: self.evidence.device,
            trigger,
            action: words(&decision.action),
        });
        if let Some(memo) = decision.memo {
            self.evidence.memo = memo;
        }
        match decision.action {
            Action::Wait => self.timer = None,
            Action::WaitUntil(at) => self.timer = Some(at),
            Action::Probe(within) => {
                let piece = &mut self.evidence;
                piece.probes += u32::from(piece.transmissions == 0);
                piece.transmissions = piece.transmissions.saturating_add(1);
                piece.transmitted_ms = Some(now);
                self.unanswered = Some(now + within);
                self.timer = None;
            }
            Action::GiveUp(_) => self.dead = true,
        }
        Ok(())
    }
}

fn words(action: &Action) -> String {
    match action {
        Action::Wait => "wait".into(),
        Action::WaitUntil(at) => format!("wait until {:.1} s", seconds(*at)),
        Action::Probe(within) => format!("probe, {:.1} s for an answer", seconds(*within)),
        Action::GiveUp(reason) => format!("give up: {reason}"),
    }
}

/// For people.
pub(super) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_finds_its_own_memo_again_and_nobody_elses() -> anyhow::Result<()> {
        let piece = |device| Evidence {
            device,
            ..sample_evidence().swap_remove(0)
        };
        let mut seen = Vec::new();
        let mut policy = |piece: &Evidence| {
            seen.push(piece.memo.clone());
            let memo = Some([&piece.memo[..], &[piece.device as u8]].concat());
            let (action, ext) = (Action::Wait, Vec::new());
            Ok(Decision { action, memo, ext })
        };
        Scenario::Recorded([1, 2, 1, 2].map(piece).to_vec()).play(&mut policy)?;
        assert_eq!(seen, [vec![], vec![], vec![1], vec![2]]);
        Ok(())
    }

    #[test]
    fn a_silent_device_is_given_up_by_a_policy_that_does() -> anyhow::Result<()> {
        let mut policy = |piece: &Evidence| {
            let action = match piece.trigger {
                Trigger::BeforeSend => Action::Probe(5_000),
                Trigger::Unanswered if piece.transmissions > 2 => Action::GiveUp("dead".into()),
                Trigger::Unanswered => Action::Probe(5_000),
                _ => Action::Wait,
            };
            let (memo, ext) = (None, Vec::new());
            Ok(Decision { action, memo, ext })
        };
        let asked = Scenario::find("silent")?.play(&mut policy)?;
        let at: Vec<_> = asked.iter().map(|asked| asked.at_ms).collect();
        assert_eq!(at, [1_000, 31_000, 36_000, 41_000, 46_000]);
        assert_eq!(asked[4].action, "give up: dead");
        Ok(())
    }
}
