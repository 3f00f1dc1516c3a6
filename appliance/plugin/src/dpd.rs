//! The hook of dead peer detection.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::bindings::dpd_policy::exports::hawser::plugin::dpd as wit;
use crate::fault::{Decided, Failure, PluginFault};
use crate::generation::Reused;
use crate::hooks::Plugins;
use crate::instance::Live;
use crate::meter::Meter;
use crate::text::clean;
use crate::world::Dpd;

pub use wit::{Action, Decision, Evidence, TemplateSettings};

/// Evidence of one call; longer batches are split.
pub const BATCH: usize = 256;
/// Octets of a memo.
pub const MEMO: usize = 256;
/// Octets of the text of `give-up`; the rest is cut.
const REASON: usize = 256;
/// Octets that a decision may take in all.
const DECISION: usize = 16 << 10;
/// A decision that would ask again at once is put off by this much.
const SOONEST_MS: u64 = 10;
/// Durations of `probe` are kept within these.
const PROBE_MS: (u64, u64) = (100, 3_600_000);

/// The DPD plugins as one worker sees them: an instance for each plugin and tenant, reused from
/// call to call. It is not shared; every worker makes its own.
pub struct DpdHost {
    plugins: Arc<Plugins>,
    revision: u64,
    by_tenant: HashMap<String, HashMap<String, Option<usize>>>,
    instances: Vec<(String, Reused<Dpd>)>,
}

impl DpdHost {
    /// A worker's view of `plugins`.
    pub fn new(plugins: Arc<Plugins>) -> Self {
        Self {
            plugins,
            revision: 0,
            by_tenant: HashMap::new(),
            instances: Vec::new(),
        }
    }

    /// One decision for each piece of evidence, in order and from one generation; `None`: no
    /// plugin decides for this tenant and template, so its settings do.
    ///
    /// Every piece must be of this tenant. Memos are at most [`MEMO`] octets (`None` keeps the old
    /// one), the text of `give-up` is cut to 256 octets, `wait-until` lies at least 10 ms ahead and
    /// `probe` within 100 ms to an hour. On a failure the template's settings decide.
    pub fn decide(
        &mut self,
        tenant: &str,
        template: &str,
        evidence: &[Evidence],
    ) -> Option<Result<Decided<Vec<Decision>>, Failure>> {
        let index = self.instance(tenant, template)?;
        let (_, reused) = &mut self.instances[index];
        Some(reused.call(|live| {
            let mut decisions = Vec::with_capacity(evidence.len());
            for batch in evidence.chunks(BATCH) {
                let answer = decide(live, batch)?;
                count(live.meter(), &answer);
                decisions.extend(answer);
            }
            Ok(decisions)
        }))
    }

    /// Where the instance for this tenant and template is.
    fn instance(&mut self, tenant: &str, template: &str) -> Option<usize> {
        let revision = self.plugins.revision();
        if revision != self.revision {
            self.by_tenant.clear();
            self.instances.clear();
            self.revision = revision;
        }
        let known = self.by_tenant.get(tenant).and_then(|t| t.get(template));
        if let Some(known) = known {
            return *known;
        }
        let index = self.plugins.dpd(tenant, template).map(|slot| {
            let same = |(of, reused): &(String, Reused<Dpd>)| of == tenant && reused.is_of(&slot);
            self.instances.iter().position(same).unwrap_or_else(|| {
                self.instances
                    .push((tenant.to_owned(), Reused::new(Arc::clone(&slot))));
                self.instances.len() - 1
            })
        });
        self.by_tenant
            .entry(tenant.to_owned())
            .or_default()
            .insert(template.to_owned(), index);
        index
    }
}

fn decide(live: &mut Live<Dpd>, batch: &[Evidence]) -> Result<Vec<Decision>, PluginFault> {
    let mut decisions = live.enter(DECISION * batch.len(), |bindings, store| {
        bindings.hawser_plugin_dpd().call_decide(store, batch)
    })?;
    if decisions.len() != batch.len() {
        return Err(PluginFault::BadAnswer(format!(
            "{} decisions for {} devices",
            decisions.len(),
            batch.len()
        )));
    }
    for (decision, evidence) in decisions.iter_mut().zip(batch) {
        settle(decision, evidence.now_ms)?;
    }
    Ok(decisions)
}

/// Brings a decision within its bounds.
fn settle(decision: &mut Decision, now_ms: u64) -> Result<(), PluginFault> {
    if let Some(memo) = decision.memo.as_ref().filter(|memo| memo.len() > MEMO) {
        return Err(PluginFault::TooMuchOutput(format!(
            "a memo of {} octets, at most {MEMO} are kept",
            memo.len()
        )));
    }
    match &mut decision.action {
        Action::WaitUntil(time) => *time = (*time).max(now_ms.saturating_add(SOONEST_MS)),
        Action::Probe(duration) => *duration = (*duration).clamp(PROBE_MS.0, PROBE_MS.1),
        Action::GiveUp(reason) => *reason = clean(reason, REASON),
        Action::Wait => {}
    }
    decision.ext.clear();
    Ok(())
}

fn count(meter: &Meter, decisions: &[Decision]) {
    let mut counts = [0u64; 4];
    for decision in decisions {
        counts[match decision.action {
            Action::WaitUntil(_) => 0,
            Action::Wait => 1,
            Action::Probe(_) => 2,
            Action::GiveUp(_) => 3,
        }] += 1;
    }
    meter.answers.fetch_add(decisions.len() as u64, Relaxed);
    for (counter, count) in meter.outcomes.iter().zip(counts) {
        counter.fetch_add(count, Relaxed);
    }
}

/// Evidence as a self-test shows it: a device behind NAT that answers, and one that does not.
pub fn sample_evidence() -> Vec<Evidence> {
    let device = |device, trigger: &str, transmissions| Evidence {
        device,
        tenant: "self-test".into(),
        template: "self-test".into(),
        identity: "self-test".into(),
        endpoint: "192.0.2.7/4500".into(),
        trigger: trigger.into(),
        now_ms: 100_000,
        established_ms: 10_000,
        ike_in_ms: Some(90_000),
        esp_in_ms: Some(80_000),
        esp_out_ms: Some(95_000),
        transmissions,
        transmitted_ms: (transmissions > 0).then_some(95_000),
        rtt_us: Some(30_000),
        behind_nat: true,
        moves: 1,
        probes: 3,
        losses: 0,
        ike_sas: 1,
        child_sas: 1,
        template_settings: TemplateSettings {
            mode: "on-demand".into(),
            interval_ms: 10_000,
            retry_ms: 5_000,
            retries: 2,
        },
        memo: Vec::new(),
        ext: Vec::new(),
    };
    vec![
        device(1, "established", 0),
        device(2, "timer", 0),
        device(3, "unanswered", 3),
    ]
}

pub(crate) fn canary(live: &mut Live<Dpd>) -> Result<(), PluginFault> {
    decide(live, &sample_evidence()).map(drop)
}
