//! The hook of dead peer detection.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde::{Deserialize, Serialize};

use crate::batch::Octets;
use crate::fault::{Decided, Failure, PluginFault};
use crate::generation::Reused;
use crate::hooks::Plugins;
use crate::instance::Live;
use crate::meter::Meter;
use crate::text::clean;
use crate::wire::{self, Span, Wired};
use crate::world::Dpd;

pub use crate::bindings::dpd_policy::exports::hawser::plugin::dpd::{Action, Decision};

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

/// Why a plugin is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
}

/// How a template wants dead peer detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// No probes.
    Off,
    /// A probe before a packet is sent, when nothing has come for the interval.
    OnDemand,
    /// A probe each interval.
    Periodic,
}

/// What the device's template says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateSettings {
    /// When it is probed.
    pub mode: Mode,
    /// 10,000 to 3,600,000.
    pub interval_ms: u32,
    /// 2,000 to 60,000.
    pub retry_ms: u32,
    /// Retransmissions of a probe before the device is given up.
    pub retries: u8,
}

/// What is known of a device. Times are milliseconds on a monotonic clock that starts at 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Number of the device in this run of the gateway.
    pub device: u64,
    /// Authenticated identity.
    pub identity: String,
    /// Outer address and port as `192.0.2.7/4500`.
    pub endpoint: String,
    /// Why the question is asked.
    pub trigger: Trigger,
    /// When it is asked.
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
    /// Round-trip time of the last answered probe in microseconds.
    pub rtt_us: Option<u32>,
    /// Whether the device is behind NAT.
    pub behind_nat: bool,
    /// Changes of the endpoint since it was established.
    pub moves: u32,
    /// Probes sent in this run.
    pub probes: u32,
    /// Probes given up in this run.
    pub losses: u32,
    /// IKE SAs that it has now.
    pub ike_sas: u32,
    /// Pairs of Child SAs that it has now.
    pub child_sas: u32,
    /// What the device's template says.
    pub template_settings: TemplateSettings,
    /// What the last decision for this device left; empty: nothing. What is longer than [`MEMO`]
    /// octets is left out.
    #[serde(default)]
    pub memo: Vec<u8>,
}

/// The DPD plugins as one worker sees them: an instance for each plugin and tenant, reused from
/// call to call. It is not shared; every worker makes its own. Of the gateway's instances it keeps
/// at most a quarter: with more tenants, those asked last.
pub struct DpdHost {
    plugins: Arc<Plugins>,
    revision: u64,
    by_tenant: HashMap<String, HashMap<String, Option<usize>>>,
    /// Tenant and template of the last call, and where their instance is: most calls are like it.
    last: Option<(String, String, usize)>,
    instances: Vec<OfTenant>,
    /// Counts calls.
    calls: u64,
    batch: Batch,
}

/// The instance of a plugin for a tenant.
struct OfTenant {
    tenant: String,
    reused: Reused<Dpd>,
    /// The call that used it last.
    used: u64,
}

impl DpdHost {
    /// A worker's view of `plugins`.
    pub fn new(plugins: Arc<Plugins>) -> Self {
        Self {
            plugins,
            revision: 0,
            by_tenant: HashMap::new(),
            last: None,
            instances: Vec::new(),
            calls: 0,
            batch: Batch::default(),
        }
    }

    /// One decision for each piece of evidence, in order and from one generation; `None`: no
    /// plugin decides for this tenant and template, so its settings do.
    ///
    /// Every piece must be of this tenant and template. Memos are at most [`MEMO`] octets (`None` keeps the old
    /// one), the text of `give-up` is cut to 256 octets, `wait-until` lies at least 10 ms ahead and
    /// `probe` within 100 ms to an hour. On a failure the template's settings decide.
    pub fn decide(
        &mut self,
        tenant: &str,
        template: &str,
        evidence: &[Evidence],
    ) -> Option<Result<Decided<Vec<Decision>>, Failure>> {
        let index = self.instance(tenant, template)?;
        self.make_room(index);
        let instance = &mut self.instances[index];
        instance.used = self.calls;
        let batch = &mut self.batch;
        Some(instance.reused.call(|live| {
            let mut decisions = Vec::new();
            live.put(evidence, BATCH, |live, chunk| {
                let decided = batch.decide(live, tenant, template, chunk)?;
                if decisions.is_empty() {
                    decisions = decided;
                } else {
                    decisions.extend(decided);
                }
                Ok(())
            })?;
            count(live.meter(), &decisions);
            Ok(decisions)
        }))
    }

    /// Lets the instance go that was not used for longest, where one is to be made and there are
    /// as many as this worker may keep.
    fn make_room(&mut self, index: usize) {
        self.calls += 1;
        if self.instances[index].reused.is_live() {
            return;
        }
        let most = (self.plugins.limits().instances / 4).max(1) as usize;
        let live = || self.instances.iter().filter(|of| of.reused.is_live());
        if live().count() < most {
            return;
        }
        let oldest = live().map(|of| of.used).min();
        let oldest = self
            .instances
            .iter_mut()
            .filter(|of| of.reused.is_live())
            .find(|of| Some(of.used) == oldest);
        if let Some(oldest) = oldest {
            oldest.reused.let_go();
        }
    }

    /// Where the instance for this tenant and template is.
    fn instance(&mut self, tenant: &str, template: &str) -> Option<usize> {
        let revision = self.plugins.revision();
        if revision != self.revision {
            self.by_tenant.clear();
            self.last = None;
            self.instances.clear();
            self.revision = revision;
        }
        match &self.last {
            Some((t, p, index)) if t == tenant && p == template => return Some(*index),
            _ => {}
        }
        let known = self.by_tenant.get(tenant).and_then(|t| t.get(template));
        if let Some(known) = known {
            let index = (*known)?;
            self.last = Some((tenant.to_owned(), template.to_owned(), index));
            return Some(index);
        }
        let index = self.plugins.dpd(tenant, template).map(|slot| {
            let same = |of: &OfTenant| of.tenant == tenant && of.reused.is_of(&slot);
            self.instances.iter().position(same).unwrap_or_else(|| {
                self.instances.push(OfTenant {
                    tenant: tenant.to_owned(),
                    reused: Reused::new(Arc::clone(&slot)),
                    used: 0,
                });
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

/// The evidence of one call as the contract carries it; kept for its room.
#[derive(Default)]
struct Batch {
    octets: Octets,
    evidence: Vec<Wired<wire::Evidence>>,
}

impl Batch {
    fn decide(
        &mut self,
        live: &mut Live<Dpd>,
        tenant: &str,
        template: &str,
        evidence: &[Evidence],
    ) -> Result<Vec<Decision>, PluginFault> {
        self.octets.clear();
        self.evidence.clear();
        let tenant = self.octets.put(tenant.as_bytes());
        let template = self.octets.put(template.as_bytes());
        for piece in evidence {
            let flat = flat(&mut self.octets, piece, tenant, template);
            self.evidence.push(Wired(flat));
        }
        let (octets, flat) = (self.octets.as_slice(), self.evidence.as_slice());
        let mut decisions = live.enter(DECISION * evidence.len(), |bindings, store| {
            bindings.hook.call(store, octets, flat)
        })?;
        if decisions.len() != evidence.len() {
            return Err(PluginFault::BadAnswer(format!(
                "{} decisions for {} devices",
                decisions.len(),
                evidence.len()
            )));
        }
        for (decision, piece) in decisions.iter_mut().zip(evidence) {
            settle(decision, piece.now_ms)?;
        }
        Ok(decisions)
    }
}

fn flat(octets: &mut Octets, piece: &Evidence, tenant: Span, template: Span) -> wire::Evidence {
    let memo = Some(piece.memo.as_slice()).filter(|memo| memo.len() <= MEMO);
    wire::Evidence {
        device: piece.device,
        now_ms: piece.now_ms,
        established_ms: piece.established_ms,
        ike_in_ms: piece.ike_in_ms.unwrap_or(0),
        esp_in_ms: piece.esp_in_ms.unwrap_or(0),
        esp_out_ms: piece.esp_out_ms.unwrap_or(0),
        transmitted_ms: piece.transmitted_ms.unwrap_or(0),
        rtt_us: piece.rtt_us.unwrap_or(0),
        interval_ms: piece.template_settings.interval_ms,
        retry_ms: piece.template_settings.retry_ms,
        retries: piece.template_settings.retries,
        mode: piece.template_settings.mode as u8,
        trigger: piece.trigger as u8,
        transmissions: piece.transmissions,
        behind_nat: piece.behind_nat,
        moves: piece.moves,
        probes: piece.probes,
        losses: piece.losses,
        ike_sas: piece.ike_sas,
        child_sas: piece.child_sas,
        tenant,
        template,
        identity: octets.put(piece.identity.as_bytes()),
        endpoint: octets.put(piece.endpoint.as_bytes()),
        memo: octets.put(memo.unwrap_or_default()),
        ext: Span::default(),
        padding: [0; 3],
    }
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
    let device = |device, trigger, transmissions| Evidence {
        device,
        identity: "self-test".into(),
        endpoint: "192.0.2.7/4500".into(),
        trigger,
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
            mode: Mode::OnDemand,
            interval_ms: 10_000,
            retry_ms: 5_000,
            retries: 2,
        },
        memo: Vec::new(),
    };
    vec![
        device(1, Trigger::Established, 0),
        device(2, Trigger::Timer, 0),
        device(3, Trigger::Unanswered, 3),
    ]
}

pub(crate) fn canary(live: &mut Live<Dpd>) -> Result<(), PluginFault> {
    let mut batch = Batch::default();
    let answer = batch.decide(live, "self-test", "self-test", &sample_evidence());
    answer.map(drop)
}
