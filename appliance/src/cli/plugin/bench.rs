//! A plugin alone under a gateway's limits, for `check` and `test`.

use crate::plugins::source;
use anyhow::Context as _;
use hawser_plugin::dpd::{Decision, Evidence, Mode, Trigger, sample_evidence};
use hawser_plugin::log::{Event, Value as Field, sample_events};
use hawser_plugin::{
    AuthorizationHost, AuthorizationRequest, Authorized, Cache, Checked, DpdHost, Failure, Hook,
    LogHost, Options, Plugins, Scope, sample_request,
};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rounds of questions of [`Bench::strain`].
const ROUNDS: usize = 200;

/// A plugin that decides alone.
pub(super) struct Bench {
    pub(super) checked: Checked,
    /// Of its file.
    pub(super) octets: usize,
    /// What loading took.
    pub(super) loading: Duration,
    plugins: Arc<Plugins>,
}

/// What came out of many calls.
pub(super) struct Strain {
    pub(super) calls: usize,
    pub(super) median: Duration,
    pub(super) longest: Duration,
    pub(super) faults: Vec<String>,
}

impl Bench {
    /// Loads and tests a plugin by file or name; an error is what a gateway would say.
    pub(super) fn load(plugin: &str, hook: Option<Hook>, settings: Value) -> anyhow::Result<Self> {
        let source = source(plugin, settings)?;
        let mut options = Options::default();
        // A fault shall show, not disable.
        options.limits.strikes = usize::MAX;
        // Checking and loading compile once.
        let folder = tempfile::tempdir()?;
        options.cache = Some(Cache::open(folder.path().join("cache"))?);
        let plugins = Plugins::new(options)?;
        let begun = Instant::now();
        let refused = || format!("{plugin} is refused");
        let checked = plugins.check(hook, &source).with_context(refused)?;
        let loading = begun.elapsed();
        let hook = checked.inspection.hook;
        let load = plugins.load(hook, &Scope::global(), &source);
        load.with_context(refused)?;
        Ok(Self {
            checked,
            octets: source.bytes.len(),
            loading,
            plugins,
        })
    }

    /// Octets of an instance.
    pub(super) fn memory(&self) -> u64 {
        self.plugins.list().first().map_or(0, |info| info.memory)
    }

    /// What a call may take.
    pub(super) fn deadline(&self) -> Duration {
        self.plugins.limits().deadline
    }

    /// Decides about devices.
    pub(super) fn dpd(&self) -> impl FnMut(&[Evidence]) -> Result<Vec<Decision>, Failure> + use<> {
        let mut host = DpdHost::new(Arc::clone(&self.plugins));
        move |evidence| {
            let decided = host.decide("default", "branches", evidence);
            decided.map_or(Ok(Vec::new()), |d| d.map(|d| d.value))
        }
    }

    /// Decides about peers.
    pub(super) fn authorization(
        &self,
    ) -> impl Fn(&AuthorizationRequest) -> Option<Result<Authorized, Failure>> + use<> {
        let host = AuthorizationHost::new(Arc::clone(&self.plugins));
        move |request| host.authorize(request)
    }

    /// Formats events.
    pub(super) fn log(&self) -> impl FnMut(&[Event]) -> Result<Vec<u8>, Failure> + use<> {
        let mut host = LogHost::new(Arc::clone(&self.plugins));
        move |events| {
            let mut lines = Vec::new();
            host.format(events, &mut lines).transpose()?;
            Ok(lines)
        }
    }

    /// Many calls, some at the edges of what a question may hold.
    pub(super) fn strain(&self) -> Strain {
        match self.checked.inspection.hook {
            Hook::DpdPolicy => {
                let (mut decide, pieces) = (self.dpd(), odd_evidence());
                rounds(&pieces.chunks(64).chain(pieces.chunks(1)), |part| {
                    decide(part).map(drop)
                })
            }
            Hook::PeerAuthorization => {
                let (authorize, requests) = (self.authorization(), odd_requests());
                rounds(&requests.iter(), |request| {
                    authorize(request).map_or(Ok(()), |done| done.map(drop))
                })
            }
            Hook::LogFormat => {
                let (mut format, events) = (self.log(), odd_events());
                rounds(&events.chunks(64).chain(events.chunks(1)), |part| {
                    format(part).map(drop)
                })
            }
        }
    }
}

fn rounds<T>(
    questions: &(impl Iterator<Item = T> + Clone),
    mut ask: impl FnMut(T) -> Result<(), Failure>,
) -> Strain {
    let mut times = Vec::new();
    let mut faults = Vec::new();
    for question in (0..ROUNDS).flat_map(|_| questions.clone()) {
        let begun = Instant::now();
        let answer = ask(question);
        times.push(begun.elapsed());
        if let Err(failure) = answer {
            faults.push(failure.to_string());
        }
    }
    times.sort_unstable();
    Strain {
        calls: times.len(),
        median: times.get(times.len() / 2).copied().unwrap_or_default(),
        longest: times.last().copied().unwrap_or_default(),
        faults,
    }
}

/// Devices in every state, with the smallest and the largest numbers.
fn odd_evidence() -> Vec<Evidence> {
    let triggers = [
        Trigger::Established,
        Trigger::Timer,
        Trigger::BeforeSend,
        Trigger::Answered,
        Trigger::Unanswered,
        Trigger::Moved,
    ];
    let modes = [Mode::Off, Mode::OnDemand, Mode::Periodic];
    let mut all = sample_evidence();
    let usual = all.remove(0);
    for trigger in triggers {
        for mode in modes {
            let mut piece = usual.clone();
            piece.trigger = trigger;
            piece.template_settings.mode = mode;
            let mut young = piece.clone();
            (young.now_ms, young.established_ms) = (1, 1);
            (young.ike_in_ms, young.esp_in_ms, young.esp_out_ms) = (None, None, None);
            (young.rtt_us, young.memo) = (None, vec![0xff; 256]);
            let mut old = piece.clone();
            // A clock of 64 bits is nowhere near its end; hundreds of years are enough.
            (old.now_ms, old.transmissions) = (1 << 45, 255);
            (old.transmitted_ms, old.rtt_us) = (Some(1), Some(u32::MAX));
            (old.moves, old.probes, old.losses) = (u32::MAX, u32::MAX, u32::MAX);
            old.identity = "\u{e4}".repeat(255);
            all.extend([piece, young, old]);
        }
    }
    all
}

fn odd_requests() -> Vec<AuthorizationRequest> {
    let usual = sample_request();
    let mut busy = usual.clone();
    (busy.identity_devices, busy.tenant_devices) = (u32::MAX, u32::MAX);
    (busy.ups, busy.downs, busy.now_unix_s) = (u32::MAX, u32::MAX, 1 << 40);
    let mut strange = usual.clone();
    strange.identity = "\n*?[\u{e4}".repeat(60);
    strange.address = std::net::Ipv6Addr::LOCALHOST.into();
    strange.remote = vec![usual.remote[0]; 64];
    vec![usual, busy, strange]
}

fn odd_events() -> Vec<Event> {
    let mut all = sample_events();
    let mut strange = all[1].clone();
    strange.identity = Some("\n\"\u{e4}\u{85}".repeat(60));
    strange.fields = vec![("x".into(), Field::Number(f64::NAN)); 32];
    (strange.time_unix_ns, strange.sequence) = (u64::MAX, u64::MAX);
    all.push(strange);
    all
}
