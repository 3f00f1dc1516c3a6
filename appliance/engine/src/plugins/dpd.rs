//! Asking the DPD plugins, in batches.

use super::authorization::decided_by;
use super::clock::Clock;
use hawser_plugin::DpdHost;
use hawser_plugin::dpd::{Action, Decision, Evidence, Mode, TemplateSettings, Trigger};
use hawser_policy::{DpdMode, DpdSettings};
use hawser_shard::hooks::{self, DpdAction, DpdDecided, DpdEvidence};
use std::time::Duration;

/// Devices of a call.
pub(super) const BATCH: usize = hawser_plugin::dpd::BATCH;

/// An answer for each piece of evidence, in order and from one generation.
pub(super) fn decide(
    clock: Clock,
    host: &mut DpdHost,
    tenant: &str,
    template: &str,
    evidence: &[&DpdEvidence],
) -> Vec<DpdDecided> {
    let asked: Vec<Evidence> = evidence.iter().map(|e| of(clock, e)).collect();
    let undecided = |reason: String| vec![DpdDecided::Undecided(reason); asked.len()];
    match host.decide(tenant, template, &asked) {
        None => undecided("no plugin decides any more".to_owned()),
        Some(Err(failure)) => undecided(failure.to_string()),
        Some(Ok(decided)) => {
            let by = decided_by(&decided.origin);
            let decided = decided.value.into_iter().map(|decision| {
                let Decision { action, memo, .. } = decision;
                let action = action_of(clock, action);
                let by = by.clone();
                DpdDecided::Decided { action, memo, by }
            });
            decided.collect()
        }
    }
}

fn action_of(clock: Clock, action: Action) -> DpdAction {
    match action {
        Action::WaitUntil(ms) => DpdAction::WaitUntil(clock.instant(ms)),
        Action::Wait => DpdAction::Wait,
        Action::Probe(ms) => DpdAction::Probe(Duration::from_millis(ms)),
        Action::GiveUp(reason) => DpdAction::GiveUp(reason),
    }
}

fn of(clock: Clock, evidence: &DpdEvidence) -> Evidence {
    let ms = |at| clock.ms(at);
    let endpoint = evidence.endpoint;
    Evidence {
        device: evidence.device,
        identity: evidence.identity.to_string(),
        endpoint: format!("{}/{}", endpoint.ip(), endpoint.port()),
        trigger: trigger(evidence.trigger),
        now_ms: ms(evidence.now),
        established_ms: ms(evidence.established),
        ike_in_ms: evidence.ike_in.map(ms),
        esp_in_ms: evidence.esp_in.map(ms),
        esp_out_ms: evidence.esp_out.map(ms),
        transmissions: evidence.under_way.map_or(0, |(sent, _)| sent),
        transmitted_ms: evidence.under_way.map(|(_, at)| ms(at)),
        rtt_us: evidence
            .rtt
            .map(|rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX)),
        behind_nat: evidence.behind_nat,
        moves: evidence.moves,
        probes: evidence.probes,
        losses: evidence.losses,
        ike_sas: evidence.ike_sas,
        child_sas: evidence.child_sas,
        template_settings: dpd_settings(evidence.settings),
        memo: evidence.memo.clone(),
    }
}

fn trigger(trigger: hooks::Trigger) -> Trigger {
    match trigger {
        hooks::Trigger::Established => Trigger::Established,
        hooks::Trigger::Timer => Trigger::Timer,
        hooks::Trigger::BeforeSend => Trigger::BeforeSend,
        hooks::Trigger::Answered => Trigger::Answered,
        hooks::Trigger::Unanswered => Trigger::Unanswered,
        hooks::Trigger::Moved => Trigger::Moved,
    }
}

/// What a DPD plugin is told of a template. Without DPD the numbers are Comware's defaults: a plugin may use them all the same.
pub fn dpd_settings(dpd: Option<DpdSettings>) -> TemplateSettings {
    let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    match dpd {
        None => TemplateSettings {
            mode: Mode::Off,
            interval_ms: 10_000,
            retry_ms: 5_000,
            retries: 2,
        },
        Some(dpd) => TemplateSettings {
            mode: match dpd.mode {
                DpdMode::OnDemand => Mode::OnDemand,
                DpdMode::Periodic => Mode::Periodic,
            },
            interval_ms: ms(dpd.interval),
            retry_ms: ms(dpd.retry),
            retries: dpd.retries,
        },
    }
}

#[cfg(test)]
mod tests;
