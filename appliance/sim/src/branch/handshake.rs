//! Handshakes of a branch: those that it begins, and those that headquarters does.

use super::{Branch, Doing, env, marked, worked};
use crate::habits::{Reauthentication, Return};
use hawser_flight::{HandshakeFailure, Path};
use hawser_ike::IkeSa;
use hawser_ike::handshake::initiator::Step;
use hawser_ike::handshake::responder::AuthOutcome;
use hawser_ike::handshake::{Initiator, Responder};
use hawser_ike::header::Header;
use hawser_ike::io::{KeAnswer, Output};
use hawser_ike::message::Message;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Half-open SAs that others began, at most.
const MAX_HALF_OPEN: usize = 8;

/// How long strongSwan leaves the IKE SA that the same peer has replaced.
const DUPLICATE_WAIT: Duration = Duration::from_secs(10);

impl Branch {
    /// It begins a handshake, unless one is under way.
    pub(super) fn begin(&mut self, now: Instant) {
        if self.handshake.is_some() {
            return;
        }
        let local = SocketAddr::new(self.plan.address, 500);
        let template = self.template.clone();
        let alone = self.sas.is_empty();
        let begun = Initiator::begin(&mut self.env(now), &template, local, 4500, false);
        let Some(mut initiator) = begun else {
            return;
        };
        if alone && self.plan.habits.initial_contact {
            initiator.say_initial_contact();
        }
        self.handshake = Some(initiator);
        self.log("begins a handshake");
        self.drive_handshake(now);
    }

    fn drive_handshake(&mut self, now: Instant) {
        while let Some(output) = self.handshake.as_mut().and_then(Initiator::poll_output) {
            match output {
                Output::Transmit { path, message } => self.transmit(&path, &message),
                Output::Ask(token, work) => {
                    let answer = worked(&mut self.rng, work);
                    let Some(initiator) = &mut self.handshake else {
                        return;
                    };
                    let step = initiator.key_exchanged(&mut env!(self, now), token, answer);
                    self.handshake_step(now, step);
                }
                _ => {}
            }
        }
    }

    pub(super) fn transmit(&mut self, path: &Path, message: &[u8]) {
        let (port, to) = (path.local.port(), path.remote);
        self.out.push(Doing::Send(port, to, marked(path, message)));
    }

    pub(super) fn handshake_timeout(&mut self, now: Instant) {
        let Some(initiator) = &mut self.handshake else {
            return;
        };
        if initiator.next_timeout().is_some_and(|at| at <= now) {
            let step = initiator.timeout(&mut env!(self, now));
            self.handshake_step(now, step);
            self.drive_handshake(now);
        }
    }

    pub(super) fn handshake_message(
        &mut self,
        now: Instant,
        path: Path,
        header: &Header,
        mut message: Vec<u8>,
    ) {
        let Some(initiator) = &mut self.handshake else {
            return;
        };
        let mut env = env!(self, now);
        if let Ok(step) = initiator.datagram(&mut env, path, header, &mut message) {
            self.handshake_step(now, step);
            self.drive_handshake(now);
        }
    }

    fn handshake_step(&mut self, now: Instant, step: Step) {
        match step {
            Step::Continue => {}
            Step::Established(sa) => {
                self.handshake = None;
                self.log("has an IKE SA");
                self.established(now, *sa);
            }
            Step::Unanswered => self.handshake_step(now, Step::Failed(HandshakeFailure::Timeout)),
            Step::Failed(reason) => {
                // What it still wants to say is said.
                self.drive_handshake(now);
                self.handshake = None;
                self.log(format!("handshake failed: {reason}"));
                if self.plan.habits.returns == Return::Restart {
                    self.retry_at = Some(now + super::RESTART_WAIT);
                }
            }
        }
    }

    fn established(&mut self, now: Instant, sa: IkeSa) {
        let make_before_break = matches!(
            self.plan.habits.reauthentication,
            Some((Reauthentication::MakeBeforeBreak, _))
        );
        if make_before_break {
            self.delete_reauthenticated(now);
        }
        self.hold(now, sa);
        self.drive(now);
    }

    /// Somebody begins a handshake with it.
    pub(super) fn answer_init(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        if let Some(again) = self.half_open.iter().find_map(|r| r.repeat_init(datagram)) {
            return self.transmit(&path, &again);
        }
        let Ok(request) = Message::parse_clear(datagram) else {
            return;
        };
        let proposals = self.template.ike_proposals.clone();
        let mut env = env!(self, now);
        let begun = Responder::begin(&mut env, path, &request, datagram, &proposals, false);
        let Ok((mut responder, work)) = begun else {
            return;
        };
        let KeAnswer::Responded(result) = worked(&mut self.rng, work) else {
            return;
        };
        if let Ok(answer) = responder.key_exchanged(result) {
            self.half_open.truncate(MAX_HALF_OPEN - 1);
            self.half_open.insert(0, responder);
            self.transmit(&path, &answer);
        }
    }

    pub(super) fn answer_auth(
        &mut self,
        now: Instant,
        path: Path,
        local: u64,
        mut message: Vec<u8>,
    ) {
        let Some(at) = self.half_open.iter().position(|r| r.spi_r == local) else {
            return;
        };
        let (mut env, policy) = (env!(self, now), &self.policy);
        match self.half_open[at].auth(&mut env, path, &mut message, policy) {
            AuthOutcome::Authenticated(mut sa, request) => {
                self.half_open.remove(at);
                let child = request.child.map(|c| (c.local, c.remote));
                let (local, remote) = child.unwrap_or_default();
                sa.grant(&mut env!(self, now), local, remote);
                self.log("was given an IKE SA by headquarters");
                self.supersede(now + DUPLICATE_WAIT);
                self.hold(now, *sa);
            }
            AuthOutcome::Refused(answer, ..) | AuthOutcome::Ignored(_, answer) => {
                answer.iter().for_each(|m| self.transmit(&path, m));
            }
            AuthOutcome::Incomplete => {}
        }
    }
}
