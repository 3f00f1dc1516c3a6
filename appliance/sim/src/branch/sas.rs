//! The IKE SAs of a branch, and the timers that its habits hang on them.

use super::{Branch, RESTART_WAIT, env, worked};
use crate::habits::{Kind, OVER_TIME, Reauthentication, Return};
use hawser_flight::CloseCause;
use hawser_ike::IkeSa;
use hawser_ike::ike_sa::SaState;
use hawser_ike::io::{Inheritance, Output};
use std::time::{Duration, Instant};

/// An IKE SA with strongSwan's timers: jobs beside it, that know it only by its name.
pub(super) struct Held {
    pub(super) sa: IkeSa,
    reauthenticate_at: Option<Instant>,
    delete_at: Option<Instant>,
    /// It is being replaced by another authentication.
    replaced: bool,
    /// Break before make: the next is made when it is gone.
    followed: bool,
    /// Inbound SPIs of pairs that stay until its DELETE is answered, as in strongSwan.
    leaving: Vec<u32>,
    /// When anything came on it, ESP of its Child SAs included, or it was last probed.
    pub(super) heard: Instant,
}

impl Held {
    pub(super) fn is_usable(&self) -> bool {
        self.sa.state() == SaState::Established && !self.replaced
    }

    fn is_deleting(&self) -> bool {
        matches!(self.sa.state(), SaState::Deleting(_))
    }

    fn is_idle(&self) -> bool {
        self.sa.state() == SaState::Established && !self.sa.is_waiting()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let own = self.sa.next_timeout().map(|(at, _)| at);
        own.into_iter()
            .chain(self.reauthenticate_at)
            .chain(self.delete_at)
            .min()
    }
}

/// What a scenario has a branch do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// It rekeys its Child SA.
    RekeyChild,
    /// It rekeys its IKE SA.
    RekeyIke,
    /// It deletes its Child SA.
    DeleteChild,
    /// It deletes the older of its Child SAs.
    DeleteOldChild,
    /// It deletes its IKE SA.
    DeleteIke,
    /// It authenticates anew, as is its habit.
    Reauthenticate,
    /// It is about to authenticate anew: in this time.
    ReauthenticateIn(Duration),
    /// It asks whether headquarters lives.
    Probe,
}

impl Branch {
    /// It does something on its newest IKE SA.
    pub fn act(&mut self, now: Instant, act: Act) {
        let Some(at) = self.sas.iter().rposition(Held::is_usable) else {
            return;
        };
        let schedule = self.plan.habits.dpd_schedule;
        let held = &mut self.sas[at];
        let children = held.sa.children();
        let child = match act {
            Act::DeleteOldChild => children.first(),
            _ => children.last(),
        };
        let child = child.map(|c| c.spi_in);
        let mut env = env!(self, now);
        match (act, child) {
            (Act::RekeyChild, Some(spi)) => held.sa.rekey_child(&mut env, spi),
            (Act::DeleteChild | Act::DeleteOldChild, Some(spi)) => {
                held.sa.delete_child(&mut env, spi, CloseCause::Admin);
            }
            (Act::RekeyIke, _) => held.sa.rekey(&mut env),
            (Act::DeleteIke, _) => held.sa.delete(&mut env, CloseCause::Admin),
            (Act::Reauthenticate, _) => self.reauthenticate(now, at),
            (Act::ReauthenticateIn(time), _) => held.reauthenticate_at = Some(now + time),
            (Act::Probe, _) => {
                held.sa.probe(&mut env, schedule);
            }
            (Act::RekeyChild | Act::DeleteChild | Act::DeleteOldChild, None) => {}
        }
        self.drive(now);
    }

    pub(super) fn hold(&mut self, now: Instant, sa: IkeSa) {
        let age = self.plan.habits.reauthentication.map(|(_, age)| age);
        let jitter = |age: Duration, branch: &mut Self| {
            age.mul_f64(0.9) + branch.env(now).up_to(age.mul_f64(0.1))
        };
        let reauthenticate_at = age.map(|age| now + jitter(age, self));
        self.sas.push(Held {
            sa,
            reauthenticate_at,
            delete_at: None,
            replaced: false,
            followed: false,
            leaving: Vec::new(),
            heard: now,
        });
    }

    /// The older ones are deleted at `at`: another has come from the same peer.
    pub(super) fn supersede(&mut self, at: Instant) {
        for held in &mut self.sas {
            held.delete_at = Some(held.delete_at.map_or(at, |due| due.min(at)));
            held.reauthenticate_at = None;
        }
    }

    /// Make before break: the new one is there.
    pub(super) fn delete_reauthenticated(&mut self, now: Instant) {
        for held in self.sas.iter_mut().filter(|h| h.replaced) {
            held.sa.delete(&mut env!(self, now), CloseCause::Superseded);
        }
    }

    pub(super) fn sas_timeout(&mut self, now: Instant) {
        for at in 0..self.sas.len() {
            let held = &mut self.sas[at];
            if held.sa.next_timeout().is_some_and(|(due, _)| due <= now) {
                held.sa.timeout(&mut env!(self, now));
            }
            if held.delete_at.is_some_and(|due| due <= now) {
                held.delete_at = None;
                held.sa.delete(&mut env!(self, now), CloseCause::Expired);
            }
            if held.reauthenticate_at.is_some_and(|due| due <= now) {
                held.reauthenticate_at = None;
                self.reauthenticate(now, at);
            }
        }
    }

    fn reauthenticate(&mut self, now: Instant, at: usize) {
        let held = &mut self.sas[at];
        if held.sa.state() != SaState::Established {
            // "unable to reauthenticate in REKEYED state"
            return;
        }
        held.replaced = true;
        match self.plan.habits.reauthentication {
            Some((Reauthentication::BreakBeforeMake, _)) => {
                held.followed = true;
                held.sa.delete(&mut env!(self, now), CloseCause::Superseded);
                self.log("reauthenticates: breaks");
            }
            Some((Reauthentication::MakeBeforeBreak, _)) => {
                held.delete_at = Some(now + 2 * OVER_TIME);
                self.log("reauthenticates: makes");
                self.begin(now);
            }
            None => {}
        }
    }

    /// When it asks whether headquarters lives, on any IKE SA. ESP that comes puts it off.
    pub(super) fn dpd_at(&self) -> Option<Instant> {
        let delay = self.plan.habits.dpd?;
        let idle = self.sas.iter().filter(|h| h.is_idle());
        idle.map(|h| h.heard + delay).min()
    }

    pub(super) fn dpd(&mut self, now: Instant) {
        let Some(delay) = self.plan.habits.dpd else {
            return;
        };
        let schedule = self.plan.habits.dpd_schedule;
        let due = |h: &&mut Held| h.is_idle() && h.heard + delay <= now;
        for held in self.sas.iter_mut().filter(due) {
            held.heard = now;
            held.sa.probe(&mut env!(self, now), schedule);
        }
    }

    /// ESP has come on a Child SA.
    pub(super) fn esp_heard(&mut self, now: Instant, spi_in: u32) {
        let has = |h: &&mut Held| h.sa.children().iter().any(|c| c.spi_in == spi_in);
        if let Some(held) = self.sas.iter_mut().find(has) {
            held.heard = now;
            held.sa.inbound_seen(spi_in);
        }
    }

    /// Does what its IKE SAs want done.
    pub(super) fn drive(&mut self, now: Instant) {
        while let Some((spi, output)) = self.next_output() {
            self.handle(now, spi, output);
        }
    }

    fn next_output(&mut self) -> Option<(u64, Output)> {
        let mut sas = self.sas.iter_mut().map(|h| &mut h.sa);
        sas.find_map(|sa| sa.poll_output().map(|out| (sa.local_spi(), out)))
    }

    fn held(&mut self, spi: u64) -> Option<&mut Held> {
        self.sas.iter_mut().find(|h| h.sa.local_spi() == spi)
    }

    fn handle(&mut self, now: Instant, spi: u64, output: Output) {
        match output {
            Output::Transmit { path, message } => self.transmit(&path, &message),
            Output::Keepalive(path) => {
                let keepalive = super::Doing::Send(path.local.port(), path.remote, vec![0xff]);
                self.out.push(keepalive);
            }
            Output::Ask(token, work) => {
                let answer = worked(&mut self.rng, work);
                if let Some(held) = self.sas.iter_mut().find(|h| h.sa.local_spi() == spi) {
                    held.sa.key_exchanged(&mut env!(self, now), token, answer);
                }
            }
            Output::Authorize(request) => {
                if let Some(held) = self.sas.iter_mut().find(|h| h.sa.local_spi() == spi) {
                    let (local, remote) = (request.local, request.remote);
                    held.sa.grant(&mut env!(self, now), local, remote);
                }
            }
            Output::Authentic(_) => {
                if let Some(held) = self.held(spi) {
                    held.heard = now;
                }
            }
            Output::InstallChild(install) => {
                if let Some(path) = self.held(spi).map(|h| h.sa.path()) {
                    self.pairs.install(&install, path);
                }
            }
            Output::ActivateOutbound(spi_in) => self.pairs.activate(spi_in),
            Output::RemoveChild { spi_in, linger, .. } => {
                let keeps = self.plan.habits.kind != Kind::Comware;
                let held = self.held(spi).filter(|h| keeps && h.is_deleting());
                match held {
                    Some(held) => held.leaving.push(spi_in),
                    None => self.pairs.remove(now, spi_in, linger),
                }
            }
            Output::Successor(successor) => self.succeed(now, spi, *successor),
            Output::Inherit(inheritance) => self.inherit(now, inheritance),
            Output::Parked(cause) => {
                // These branches do not park.
                let children = self.held(spi).map(|h| h.sa.children().to_vec());
                for child in children.unwrap_or_default() {
                    self.pairs.remove(now, child.spi_in, Duration::ZERO);
                }
                self.closed(now, spi, cause);
            }
            Output::Closed(cause) => self.closed(now, spi, cause),
            Output::Retransmitted { .. }
            | Output::ProbeUnanswered
            | Output::Probed(_)
            | Output::Event(_) => {}
        }
    }

    /// An IKE SA was rekeyed: in strongSwan the new one inherits the timers of the old.
    fn succeed(&mut self, now: Instant, old: u64, successor: IkeSa) {
        let inherited = self.held(old).and_then(|h| h.reauthenticate_at);
        self.hold(now, successor);
        let inherits = self.plan.habits.inherits_timers;
        let Some(due) = inherited else {
            return;
        };
        let Some(held) = self.sas.last_mut() else {
            return;
        };
        if inherits && due <= now + Duration::from_secs(1) {
            // "rescheduling reauthentication in 0s after rekeying, lifetime reduced to 120s"; the
            // reauthentication is tried on the old SA, and fails there.
            held.reauthenticate_at = None;
            held.delete_at = Some(now + OVER_TIME);
            self.log("rekeyed when its reauthentication was due: lifetime reduced to 120 s");
        } else {
            held.reauthenticate_at = Some(due);
        }
        if let Some(old) = self.held(old) {
            (old.reauthenticate_at, old.delete_at) = (None, None);
        }
    }

    fn inherit(&mut self, now: Instant, mut inheritance: Inheritance) {
        if self.plan.habits.forgets_children {
            for child in inheritance.children.drain(..) {
                self.pairs.remove(now, child.spi_in, Duration::ZERO);
            }
        }
        let heir = inheritance.successor;
        match self.sas.iter_mut().find(|h| h.sa.local_spi() == heir) {
            Some(held) => held.sa.inherit(&mut env!(self, now), inheritance),
            None => {
                for child in inheritance.children {
                    self.pairs.remove(now, child.spi_in, Duration::ZERO);
                }
            }
        }
    }

    fn closed(&mut self, now: Instant, spi: u64, cause: CloseCause) {
        let Some(at) = self.sas.iter().position(|h| h.sa.local_spi() == spi) else {
            return;
        };
        let held = self.sas.remove(at);
        for spi_in in &held.leaving {
            self.pairs.remove(now, *spi_in, Duration::ZERO);
        }
        self.alone_since = now;
        self.log(format!("lost an IKE SA: {cause}"));
        if held.followed {
            return self.begin(now);
        }
        let alone = !self.sas.iter().any(Held::is_usable);
        let restarts = self.plan.habits.returns == Return::Restart;
        if alone && restarts && self.handshake.is_none() {
            self.retry_at = Some(now + RESTART_WAIT);
        }
        if self.plan.habits.kind == Kind::Comware && cause == CloseCause::DpdTimeout {
            // Everything of that peer goes.
            self.sas.clear();
            self.pairs.clear();
        }
    }
}
