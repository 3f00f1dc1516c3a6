//! DPD as a plugin decides it: the shard asks, and carries out what it is told.
//!
//! A device has one question open at most; what happens meanwhile is asked about afterwards. An
//! answer that is overtaken by a sign of life gives nobody up. Without an answer in time the
//! template's settings decide, as they do where there is no plugin.

use crate::Shard;
use crate::asks::Asker;
use crate::hooks::{DecidedBy, DpdAction, DpdDecided, DpdEvidence, Trigger};
use crate::io::{AskId, DeviceId, Question};
use crate::peer::Peer;
use hawser_flight::Event;
use hawser_ike::IkeSa;
use hawser_ike::window::Schedule;
use hawser_policy::DpdMode;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an answer may take before the template's settings decide.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// A device's packets ask at most this often, and once more when the template's rule is met.
const BEFORE_SEND: Duration = Duration::from_secs(1);
/// A probe under way is asked about at least this often.
const PROBE_HELD: Duration = Duration::from_secs(60);
/// A time that has come or nearly so is put off by this much.
const SOONEST: Duration = Duration::from_millis(10);
/// Until a policy that failed is asked again where the template has no DPD, and within which a new
/// one is first asked about devices that there are.
const ASK_ANEW: Duration = Duration::from_secs(60);

const HOOK: &str = "dpd-policy";

/// A device's dealings with its DPD policy.
#[derive(Default)]
pub(crate) struct Policed {
    /// What the last decision left; it survives a swap.
    memo: Vec<u8>,
    /// The open question, when it was asked, and why.
    open: Option<(AskId, Instant, Trigger)>,
    /// Why it is to be asked next.
    waiting: BTreeSet<Trigger>,
    /// When the policy wants to be asked again.
    pub(crate) at: Option<Instant>,
    /// When a packet asked last, and whether the template's rule was met then.
    packet: Option<(Instant, bool)>,
    /// What was recorded last: decisions that only repeat it are counted by the host.
    told: Option<Told>,
}

/// What was decided, by which generation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Waits(u64),
    Acts,
    Undecided,
}

impl Shard {
    /// Takes the device under a policy, or out of it; says whether that has changed anything.
    pub(crate) fn police(&mut self, now: Instant, key: usize) -> bool {
        let Some(peer) = self.peers.get_mut(key) else {
            return false;
        };
        let wanted = self.hooks.polices(&peer.label.tenant, &peer.template.name);
        if wanted == peer.policed.is_some() {
            return false;
        }
        peer.policed = wanted.then(Box::default);
        if !wanted {
            self.unasked_probes(now, key);
        }
        true
    }

    /// Plugins have come or gone: devices that there are come under a policy, little by little, or
    /// out of it.
    pub(crate) fn police_everybody(&mut self, now: Instant) {
        let keys: Vec<usize> = self.peers.iter().map(|(key, _)| key).collect();
        for key in keys {
            if !self.police(now, key) {
                continue;
            }
            let Some(peer) = self.peers.get_mut(key) else {
                continue;
            };
            // The number of a device begins with its shard: it is large.
            let most = ASK_ANEW.as_millis() as u64;
            let spread = Duration::from_millis(peer.device.0 % most * 997 % most);
            match &mut peer.policed {
                Some(policed) if !peer.ike_sas.is_empty() => {
                    policed.at = peer.dpd_at.take().or(Some(now + spread));
                }
                Some(_) => {}
                None => self.start_dpd(now, key),
            }
            self.drive(now, key);
        }
    }

    /// Something happened that the device's policy is asked about, if it has one.
    pub(crate) fn ask_dpd(&mut self, now: Instant, key: usize, trigger: Trigger) -> bool {
        let Some(policed) = self.peers.get_mut(key).and_then(|p| p.policed.as_mut()) else {
            return false;
        };
        // A time that has come at the same moment comes first: it is not to be passed over.
        let due = policed.at.take_if(|at| *at <= now);
        let first = due.map_or(trigger, |_| Trigger::Timer);
        policed.waiting.extend([trigger, first]);
        if policed.open.is_some() {
            return true;
        }
        policed.waiting.remove(&first);
        let trigger = first;
        let Some((device, evidence)) = self.evidence(now, key, trigger) else {
            return false;
        };
        let question = Question::DpdPolicy(Box::new(evidence));
        let id = self.ask(now, Asker::Dpd(device), question);
        if let Some(policed) = self.peers.get_mut(key).and_then(|p| p.policed.as_mut()) {
            policed.open = Some((id, now, trigger));
        }
        true
    }

    /// A packet is about to go out; says whether the device has a policy.
    pub(crate) fn ask_before_send(&mut self, now: Instant, key: usize) -> bool {
        let Some(peer) = self.peers.get_mut(key) else {
            return false;
        };
        let Some(policed) = &mut peer.policed else {
            return false;
        };
        if policed.open.is_some() {
            return true;
        }
        let quiet = now.saturating_duration_since(peer.heard);
        let due = peer.template.dpd.is_some_and(|dpd| quiet > dpd.interval);
        let asked_already = policed.packet.is_some_and(|(at, was_due)| {
            now.saturating_duration_since(at) < BEFORE_SEND && (was_due || !due)
        });
        if !asked_already {
            policed.packet = Some((now, due));
            self.ask_dpd(now, key, Trigger::BeforeSend);
        }
        true
    }

    /// The time that the policy named has come.
    pub(crate) fn policed_due(&mut self, now: Instant, key: usize) {
        let policed = self.peers.get_mut(key).and_then(|p| p.policed.as_mut());
        if policed.is_some_and(|p| p.at.is_some_and(|at| at <= now)) {
            self.ask_dpd(now, key, Trigger::Timer);
        }
    }

    /// The retry interval of a probe has passed without an answer.
    pub(crate) fn probe_unanswered(&mut self, now: Instant, key: usize) {
        if !self.ask_dpd(now, key, Trigger::Unanswered) {
            self.unasked_probes(now, key);
        }
    }

    /// An answer, or (after [`PATIENCE`]) that there is none.
    pub(crate) fn dpd_decided(
        &mut self,
        now: Instant,
        device: DeviceId,
        id: AskId,
        answer: DpdDecided,
    ) {
        let Some(key) = self.devices.get(&device).copied() else {
            return;
        };
        let policed = self.peers.get_mut(key).and_then(|p| p.policed.as_mut());
        let open = policed.and_then(|p| p.open.take_if(|(open, ..)| *open == id));
        let Some((_, asked, trigger)) = open else {
            return;
        };
        match answer {
            DpdDecided::Decided { action, memo, by } => {
                self.record_dpd(key, &action, &by);
                self.carry_out(now, key, (asked, trigger), &action, memo);
            }
            DpdDecided::Undecided(reason) => self.dpd_undecided(now, key, trigger, reason),
        }
        let policed = self.peers.get_mut(key).and_then(|p| p.policed.as_mut());
        if let Some(next) = policed.and_then(|p| p.waiting.pop_first()) {
            self.ask_dpd(now, key, next);
        }
        self.drive(now, key);
    }

    /// Records a decision; of those that only wait, the first in a row.
    fn record_dpd(&mut self, key: usize, action: &DpdAction, by: &DecidedBy) {
        let (told, decision) = match action {
            DpdAction::Wait | DpdAction::WaitUntil(_) => {
                (Told::Waits(by.generation), "wait".to_owned())
            }
            DpdAction::Probe(again) => {
                let text = format!("probe, again after {} ms", again.as_millis());
                (Told::Acts, text)
            }
            DpdAction::GiveUp(reason) => (Told::Acts, format!("give up: {reason}")),
        };
        let event = Event::PluginDecided {
            hook: HOOK,
            plugin: Arc::clone(&by.plugin),
            version: Arc::clone(&by.version),
            generation: by.generation,
            decision,
        };
        self.tell_dpd(key, told, event);
    }

    fn tell_dpd(&mut self, key: usize, told: Told, event: Event) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let label = Arc::clone(&peer.label);
        let last = peer.policed.as_mut().and_then(|p| p.told.replace(told));
        if told == Told::Acts || last != Some(told) {
            self.event(Some(label), event);
        }
    }

    fn carry_out(
        &mut self,
        now: Instant,
        key: usize,
        (asked, trigger): (Instant, Trigger),
        action: &DpdAction,
        memo: Option<Vec<u8>>,
    ) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let heard = peer.heard;
        let Some(policed) = &mut peer.policed else {
            return;
        };
        if matches!(action, DpdAction::GiveUp(_)) && heard > asked {
            // A sign of life has overtaken the answer: the question is another one now.
            self.counters.hooks_overtaken += 1;
            policed.waiting.insert(trigger);
            return;
        }
        if let Some(memo) = memo {
            policed.memo = memo;
        }
        match action {
            DpdAction::WaitUntil(at) => {
                let at = (*at).max(now + SOONEST);
                policed.at = Some(at);
                peer.hold_probe(trigger, at.min(now + PROBE_HELD));
            }
            DpdAction::Wait => peer.hold_probe(trigger, now + PROBE_HELD),
            DpdAction::Probe(interval) => self.probe_as_decided(now, key, *interval),
            DpdAction::GiveUp(_) => self.presume_dead(now, key),
        }
    }

    /// Sends the probe that is under way again, or a new one. Another request that is under way is
    /// the probe: the policy is asked again after the interval.
    fn probe_as_decided(&mut self, now: Instant, key: usize, interval: Duration) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if let Some(sa) = peer.ike_sas.iter_mut().find(|sa| sa.is_asking()) {
            return sa.probe_again(&mut crate::env!(self, now), interval);
        }
        let newest = peer.newest();
        let begun =
            newest.is_some_and(|spi| self.probe(now, key, spi, Schedule::Asked { interval }));
        let policed = self.peers.get_mut(key).and_then(|p| p.policed.as_mut());
        if let Some(policed) = policed {
            policed.at = (!begun && newest.is_some()).then(|| now + interval);
        }
    }

    /// The IKE SA whose probe was asked about is given up; without one, all that are in use.
    fn presume_dead(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let probed = peer.ike_sas.iter().any(IkeSa::is_asking);
        let dead = |sa: &&mut IkeSa| !probed || sa.is_asking();
        for sa in peer.ike_sas.iter_mut().filter(dead) {
            sa.presume_dead(&mut crate::env!(self, now));
        }
    }

    /// Nobody decided: the template's settings do.
    fn dpd_undecided(&mut self, now: Instant, key: usize, trigger: Trigger, reason: String) {
        self.counters.hooks_undecided += 1;
        let event = Event::PluginUndecided {
            hook: HOOK,
            fallback: "template",
            reason,
        };
        self.tell_dpd(key, Told::Undecided, event);
        let Some(dpd) = self.peers.get(key).map(|p| p.template.dpd) else {
            return;
        };
        match trigger {
            Trigger::Unanswered => self.unasked_probes(now, key),
            Trigger::BeforeSend => self.probe_on_demand(now, key),
            Trigger::Timer if dpd.is_some_and(|d| d.mode == DpdMode::Periodic) => {
                self.probe_device(now, key);
            }
            Trigger::Timer | Trigger::Established | Trigger::Moved | Trigger::Answered => {}
        }
        let policed = self.peers.get_mut(key).and_then(|p| p.policed.as_mut());
        if let Some(policed) = policed {
            let next = now + dpd.map_or(ASK_ANEW, |d| d.interval);
            policed.at.get_or_insert(next);
        }
    }

    /// Probes that would ask go on as the template has it.
    fn unasked_probes(&mut self, now: Instant, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let patient = Schedule::Backoff(peer.template.retransmission);
        let schedule = peer.template_schedule().unwrap_or(patient);
        for sa in &mut peer.ike_sas {
            sa.probe_unasked(&mut crate::env!(self, now), schedule);
        }
    }

    fn evidence(
        &self,
        now: Instant,
        key: usize,
        trigger: Trigger,
    ) -> Option<(DeviceId, DpdEvidence)> {
        let peer = self.peers.get(key)?;
        let newest = peer.newest().and_then(|spi| peer.find_ike_sa(spi));
        let asking = peer.ike_sas.iter().find(|sa| sa.is_asking());
        let waiting = || peer.ike_sas.iter().find_map(IkeSa::under_way);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let evidence = DpdEvidence {
            device: peer.device.0,
            tenant: Arc::clone(&peer.label.tenant),
            template: Arc::clone(&peer.template.name),
            identity: Arc::clone(&peer.label.identity),
            endpoint: peer.path.remote,
            trigger,
            now,
            established: peer.since,
            ike_in: peer.recorder.ike_in,
            esp_in: self.esp_in(peer),
            esp_out: peer.recorder.esp_out,
            under_way: asking.and_then(IkeSa::under_way).or_else(waiting),
            rtt: peer.probing.rtt,
            behind_nat: newest.is_some_and(|sa| sa.nat().peer),
            moves: peer.probing.moves,
            probes: peer.probing.sent,
            losses: peer.probing.lost,
            ike_sas: count(peer.ike_sas.len()),
            child_sas: count(peer.pairs.len()),
            settings: peer.template.dpd,
            memo: peer.policed.as_ref()?.memo.clone(),
        };
        Some((peer.device, evidence))
    }
}

impl Peer {
    /// A probe that nothing is done about is asked about again at `at`. One whose time has not
    /// come keeps it, whatever else was asked meanwhile.
    fn hold_probe(&mut self, trigger: Trigger, at: Instant) {
        if trigger == Trigger::Unanswered {
            self.ike_sas.iter_mut().for_each(|sa| sa.probe_later(at));
        }
    }
}
