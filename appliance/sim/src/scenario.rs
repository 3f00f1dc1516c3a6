//! A run as a scenario of `hawser plugin test`: what a DPD policy was asked, and what happened.
//!
//! The shards ask here as they do where a plugin is loaded, and the case's rule answers, as the
//! built-in does.

use hawser_flight::{Event, PeerLabel, Record};
use hawser_policy::{DpdMode, DpdSettings};
use hawser_shard::hooks::{DecidedBy, DpdAction, DpdDecided, DpdEvidence, Trigger};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The file of evidence in a scenario's folder, a piece a line.
pub const DPD: &str = "dpd.jsonl";
/// The file of events, a record a line as `hawser events --json` prints them.
pub const EVENTS: &str = "events.jsonl";

/// Where virtual time begins on the clock of the world, in milliseconds since 1970.
const BEGIN_MS: u64 = 1_700_000_000_000;

/// What is written of a run.
#[derive(Debug)]
pub struct Scenario {
    start: Instant,
    evidence: Vec<String>,
    events: Vec<String>,
}

impl Scenario {
    /// An empty one of a run that starts.
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            evidence: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Writes both files into a folder, which is made where it is missing.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        for (name, lines) in [(DPD, &self.evidence), (EVENTS, &self.events)] {
            let mut file = BufWriter::new(File::create(folder.join(name))?);
            for line in lines {
                writeln!(file, "{line}")?;
            }
            file.flush()?;
        }
        Ok(())
    }

    /// Something happened; what stands for the policy itself is left out.
    pub(crate) fn happened(&mut self, now: Instant, peer: Option<Arc<PeerLabel>>, event: &Event) {
        if matches!(event, Event::PluginDecided { .. }) {
            return;
        }
        let record = Record {
            unix_ms: BEGIN_MS + self.ms(now),
            shard: 0,
            peer,
            event: event.clone(),
        };
        // An event is JSON by its own definition.
        if let Ok(line) = serde_json::to_string(&record) {
            self.events.push(line);
        }
    }

    /// The policy is asked.
    pub(crate) fn decide(&mut self, evidence: &DpdEvidence) -> DpdDecided {
        self.evidence.push(self.piece(evidence).to_string());
        let (action, memo) = self.by_the_case(evidence);
        DpdDecided::Decided {
            action,
            memo,
            by: DecidedBy {
                plugin: "built-in".into(),
                version: "0".into(),
                generation: 0,
            },
        }
    }

    fn ms(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn instant(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms.saturating_sub(1))
    }

    /// What the case's rules say, as `plugins/dpd-case` says it.
    fn by_the_case(&self, e: &DpdEvidence) -> (DpdAction, Option<Vec<u8>>) {
        let Some(dpd) = e.settings else {
            return (DpdAction::Wait, None);
        };
        let sent = e.under_way.map_or(0, |(sent, _)| sent);
        if e.trigger == Trigger::Unanswered {
            let action = match sent > dpd.retries {
                true => {
                    DpdAction::GiveUp(format!("no answer to a probe that was sent {sent} times"))
                }
                false => DpdAction::Probe(dpd.retry),
            };
            return (action, None);
        }
        if dpd.mode == DpdMode::Periodic {
            return self.beat(e, dpd);
        }
        let heard = e.ike_in.max(e.esp_in).max(Some(e.established));
        let heard = self.ms(heard.unwrap_or(e.established));
        let quiet = self.ms(e.now).saturating_sub(heard);
        let due = e.trigger == Trigger::BeforeSend && quiet > ms(dpd.interval) && sent == 0;
        let action = match due {
            true => DpdAction::Probe(dpd.retry),
            false => DpdAction::Wait,
        };
        (action, None)
    }

    /// The memo holds when the next beat is due.
    fn beat(&self, e: &DpdEvidence, dpd: DpdSettings) -> (DpdAction, Option<Vec<u8>>) {
        let (now, interval) = (self.ms(e.now), ms(dpd.interval).max(1));
        let due = match <[u8; 8]>::try_from(e.memo.as_slice()) {
            Ok(memo) if e.trigger != Trigger::Established => u64::from_le_bytes(memo),
            _ => now + interval,
        };
        let next = match due > now {
            true => due,
            false => due + interval * ((now - due) / interval + 1),
        };
        let probes = due <= now && e.under_way.is_none() && e.trigger == Trigger::Timer;
        let action = match probes {
            true => DpdAction::Probe(dpd.retry),
            false => DpdAction::WaitUntil(self.instant(next)),
        };
        (action, Some(next.to_le_bytes().to_vec()))
    }

    fn piece(&self, e: &DpdEvidence) -> Value {
        let at = |at: Option<Instant>| at.map(|at| self.ms(at));
        json!({
            "device": e.device,
            "identity": &*e.identity,
            "endpoint": format!("{}/{}", e.endpoint.ip(), e.endpoint.port()),
            "trigger": match e.trigger {
                Trigger::Established => "established",
                Trigger::Timer => "timer",
                Trigger::BeforeSend => "before-send",
                Trigger::Answered => "answered",
                Trigger::Unanswered => "unanswered",
                Trigger::Moved => "moved",
            },
            "now_ms": self.ms(e.now),
            "established_ms": self.ms(e.established),
            "ike_in_ms": at(e.ike_in),
            "esp_in_ms": at(e.esp_in),
            "esp_out_ms": at(e.esp_out),
            "transmissions": e.under_way.map_or(0, |(sent, _)| sent),
            "transmitted_ms": at(e.under_way.map(|(_, at)| at)),
            "rtt_us": e.rtt.map(|rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX)),
            "behind_nat": e.behind_nat,
            "moves": e.moves,
            "probes": e.probes,
            "losses": e.losses,
            "ike_sas": e.ike_sas,
            "child_sas": e.child_sas,
            "template_settings": settings(e.settings),
        })
    }
}

fn settings(dpd: Option<DpdSettings>) -> Value {
    let mode = match dpd.map(|dpd| dpd.mode) {
        None => "off",
        Some(DpdMode::OnDemand) => "on-demand",
        Some(DpdMode::Periodic) => "periodic",
    };
    let numbers = dpd.map_or((10_000, 5_000, 2), |d| {
        (ms(d.interval), ms(d.retry), d.retries)
    });
    json!({ "mode": mode, "interval_ms": numbers.0, "retry_ms": numbers.1, "retries": numbers.2 })
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
