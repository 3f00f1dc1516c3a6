//! `dpd.decide`.

use super::plugin::Instance;
use super::{List, Span};
use crate::dpd;
use crate::{DpdPolicy, dpd::TemplateSettings};

/// `evidence`.
#[repr(C)]
struct Evidence {
    device: u64,
    now_ms: u64,
    established_ms: u64,
    ike_in_ms: u64,
    esp_in_ms: u64,
    esp_out_ms: u64,
    transmitted_ms: u64,
    rtt_us: u32,
    interval_ms: u32,
    retry_ms: u32,
    retries: u8,
    mode: u8,
    trigger: u8,
    transmissions: u8,
    behind_nat: bool,
    moves: u32,
    probes: u32,
    losses: u32,
    ike_sas: u32,
    child_sas: u32,
    tenant: Span,
    template: Span,
    identity: Span,
    endpoint: Span,
    memo: Span,
    ext: Span,
}

impl Evidence {
    /// # Safety
    /// The host put the texts into `octets`.
    unsafe fn typed<'a>(&self, octets: &'a [u8]) -> dpd::Evidence<'a> {
        let time = |ms| (ms != 0).then_some(ms);
        // SAFETY: see above.
        let text = |span: Span| unsafe { span.text(octets) };
        dpd::Evidence {
            device: self.device,
            tenant: text(self.tenant),
            template: text(self.template),
            identity: text(self.identity),
            endpoint: text(self.endpoint),
            trigger: dpd::Trigger::of(self.trigger),
            now_ms: self.now_ms,
            established_ms: self.established_ms,
            ike_in_ms: time(self.ike_in_ms),
            esp_in_ms: time(self.esp_in_ms),
            esp_out_ms: time(self.esp_out_ms),
            transmissions: self.transmissions,
            transmitted_ms: time(self.transmitted_ms),
            rtt_us: (self.rtt_us != 0).then_some(self.rtt_us),
            behind_nat: self.behind_nat,
            moves: self.moves,
            probes: self.probes,
            losses: self.losses,
            ike_sas: self.ike_sas,
            child_sas: self.child_sas,
            template_settings: TemplateSettings {
                mode: dpd::Mode::of(self.mode),
                interval_ms: self.interval_ms.into(),
                retry_ms: self.retry_ms.into(),
                retries: self.retries,
            },
            memo: self.memo.octets(octets),
            ext: text(self.ext),
        }
    }
}

/// `decision`: its action is a case and a time or a text.
#[repr(C)]
struct Decision {
    case: u8,
    value: Value,
    new_memo: bool,
    memo: List<u8>,
    ext: List<u8>,
}

#[repr(C)]
union Value {
    ms: u64,
    text: List<u8>,
}

impl Decision {
    fn of(decision: &dpd::Decision) -> Self {
        let (case, value) = match &decision.action {
            dpd::Action::WaitUntil(ms) => (0, Value { ms: *ms }),
            dpd::Action::Wait => (1, Value { ms: 0 }),
            dpd::Action::Probe(ms) => (2, Value { ms: *ms }),
            dpd::Action::GiveUp(reason) => (
                3,
                Value {
                    text: List::of(reason.as_bytes()),
                },
            ),
        };
        Self {
            case,
            value,
            new_memo: decision.memo.is_some(),
            memo: List::of(decision.memo.as_deref().unwrap_or_default()),
            ext: List::NONE,
        }
    }
}

/// What was decided, and the list of it.
pub struct Answer {
    typed: Vec<dpd::Decision>,
    decisions: Vec<Decision>,
    list: List<Decision>,
}

impl Answer {
    pub const fn new() -> Self {
        Self {
            typed: Vec::new(),
            decisions: Vec::new(),
            list: List::NONE,
        }
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self::new()
    }
}

/// # Safety
/// The host calls with the octets and the evidence that it lowered.
pub unsafe fn decide<P: DpdPolicy>(
    instance: &mut Instance<P, Answer>,
    octets: (*const u8, usize),
    evidence: (*const u8, usize),
) -> *const u8 {
    let list = |(at, length)| List { at, length };
    // SAFETY: see above; both end with this call.
    let octets = unsafe { list(octets).get() };
    let evidence = List {
        at: evidence.0.cast::<Evidence>(),
        length: evidence.1,
    };
    // SAFETY: as above.
    let evidence = unsafe { evidence.get() };
    let answer = instance.ask(|policy, answer| {
        answer.typed.clear();
        answer.decisions.clear();
        for piece in evidence {
            // SAFETY: the host fills the texts.
            let decision = policy.decide(&unsafe { piece.typed(octets) });
            // Texts and memos stay where they are when `typed` grows: they are on the heap.
            answer.decisions.push(Decision::of(&decision));
            answer.typed.push(decision);
        }
        answer.list = List::of(&answer.decisions);
    });
    (&raw const answer.list).cast()
}
