//! `hawser plugin test FILE --scenario SCENARIO`.

use super::bench::Bench;
use super::logged;
use super::scenario::{Asked, Scenario, seconds};
use crate::cli::Health;
use crate::cli::client::print;
use anyhow::{anyhow, bail, ensure};
use clap::Args;
use hawser_plugin::dpd::Evidence;
use hawser_plugin::{Hook, Verdict, sample_request};
use serde_json::Value;
use std::fmt::Write as _;

/// The plugin that decides as the gateway does without one.
const BUILT_IN: &str = "dpd-case";

/// Plays a scenario against a plugin and prints each decision, or line, beside the built-in one.
#[derive(Debug, Args)]
pub(in crate::cli) struct Test {
    /// A component's file, or the name of a plugin that ships.
    plugin: String,
    /// dpd-policy: silent, answers, idle, one-way, nat-move, or a file of evidence as JSON lines;
    /// log-format: sample, or a file of events as JSON lines (as plugins get them, or as `hawser events --json` prints them);
    /// peer-authorization: sample.
    /// In place of these files, an archive that `hawser bugreport` made, or the folder of a run of the simulator.
    #[arg(long)]
    scenario: String,
    /// Its settings: a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = super::object)]
    settings: Value,
}

impl Test {
    pub(in crate::cli) fn perform(self) -> anyhow::Result<Health> {
        let bench = Bench::load(&self.plugin, None, self.settings.clone())?;
        match bench.checked.inspection.hook {
            Hook::DpdPolicy => self.devices(&bench),
            Hook::LogFormat => {
                print(&logged::play(&bench, &self.scenario)?)?;
                Ok(Health::Healthy)
            }
            Hook::PeerAuthorization => self.peers(&bench),
        }
    }

    fn devices(&self, bench: &Bench) -> anyhow::Result<Health> {
        let scenario = Scenario::find(&self.scenario)?;
        let own = play(bench, &scenario)?;
        let built_in = play(&Bench::load(BUILT_IN, None, Value::Null)?, &scenario)?;
        let (name, all) = (&bench.checked.description.name, beside(&own, &built_in));
        // Which device, where there are several.
        let several = all.iter().any(|(a, ..)| a.device != all[0].0.device);
        let of = |device: String| {
            if several {
                format!("{device:>20} ")
            } else {
                String::new()
            }
        };
        let device = of("device".into());
        let mut text = format!(
            "{:>9} {device} {:<13}{:<44}built-in\n",
            "time", "asked", name
        );
        for (asked, own, built_in) in all {
            let mark = if own == built_in { ' ' } else { '*' };
            let trigger = format!("{:?}", asked.trigger);
            let (at, device) = (seconds(asked.at_ms), of(asked.device.to_string()));
            writeln!(
                text,
                "{at:>8.1}s {device}{mark}{trigger:<13}{own:<44}{built_in}"
            )?;
        }
        print(&text)?;
        Ok(Health::Healthy)
    }

    fn peers(&self, bench: &Bench) -> anyhow::Result<Health> {
        ensure!(
            self.scenario == "sample",
            "peer-authorization has the scenario `sample` alone"
        );
        let request = sample_request();
        let Some(answer) = bench.authorization()(&request) else {
            bail!("it did not decide");
        };
        let verdict = match answer.map_err(|failure| anyhow!("{failure}"))?.verdict {
            Verdict::Allow(grant) => {
                format!("allow {} - {}", join(&grant.remote), join(&grant.local))
            }
            Verdict::Deny { code, detail } => format!("deny {code}: {detail}"),
        };
        print(&format!(
            "{} at {}/{} asks for {} - {}\n  {}: {verdict}\n  built-in: allow\n",
            request.identity,
            request.address,
            request.port,
            join(&request.remote),
            join(&request.local),
            bench.checked.description.name,
        ))?;
        Ok(Health::Healthy)
    }
}

fn join(selectors: &[impl ToString]) -> String {
    let texts: Vec<_> = selectors.iter().map(ToString::to_string).collect();
    texts.join(" ")
}

fn play(bench: &Bench, scenario: &Scenario) -> anyhow::Result<Vec<Asked>> {
    let mut decide = bench.dpd();
    scenario.play(&mut |piece: &Evidence| {
        let decisions = decide(std::slice::from_ref(piece));
        let mut decisions = decisions.map_err(|failure| anyhow!("{failure}"))?;
        decisions.pop().ok_or_else(|| anyhow!("it did not decide"))
    })
}

fn same(a: &Asked, b: &Asked) -> bool {
    (a.at_ms, a.device, a.trigger) == (b.at_ms, b.device, b.trigger)
}

/// Both lists as one, in the order of time; where only one was asked the other's place is a dash.
fn beside<'a>(own: &'a [Asked], other: &'a [Asked]) -> Vec<(&'a Asked, &'a str, &'a str)> {
    let (mut own, mut other) = (own.iter().peekable(), other.iter().peekable());
    let mut all = Vec::new();
    loop {
        let next = match (own.peek(), other.peek()) {
            (Some(a), Some(b)) if same(a, b) => (own.next(), other.next()),
            (Some(a), Some(b)) if a.at_ms <= b.at_ms => (own.next(), None),
            (Some(_), None) => (own.next(), None),
            (_, Some(_)) => (None, other.next()),
            (None, None) => return all,
        };
        let action = |asked: Option<&'a Asked>| asked.map_or("-", |asked| asked.action.as_str());
        if let Some(asked) = next.0.or(next.1) {
            all.push((asked, action(next.0), action(next.1)));
        }
    }
}
