//! An authenticated IKE SA: its state, its timers and what the shard may ask of it.
//!
//! How messages come and go is in [`crate::exchange`], one file an exchange.

use crate::child_sa::{ChildSa, ChildState, renewal};
use crate::exchange::child_offer::ChildOffer;
use crate::exchange::{Answering, Exchange, Task};
use crate::io::{Env, Inheritance, Output, Reason, Token};
use crate::keymat::{CipherKeys, SaKeys};
use crate::nat::NatState;
use crate::registry::NotifyType;
use crate::window::{Due, Inbox, Outstanding, Schedule};
use hawser_flight::{CloseCause, Event, HandshakeFailure, Lineage, Path, Role};
use hawser_policy::{Identity, PeerTemplate, Secret};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Child SAs of one IKE SA at most; more are answered with NO_ADDITIONAL_SAS.
pub const MAX_CHILDREN: usize = 64;

/// How long a replaced SA waits for the DELETE of the one who replaced it: longer than that one
/// retransmits its request (strongSwan: 165 s), for until our answer arrives it uses the old SA.
pub const REPLACED_WAIT: Duration = Duration::from_secs(180);

/// The same, once the peer has shown that it has the new SA: it is late already.
pub const OVERDUE_WAIT: Duration = Duration::from_secs(5);

/// How long the loser of a simultaneous rekey waits, once that is decided, for its maker's DELETE.
pub const LOSER_WAIT: Duration = Duration::from_secs(5);

/// How often the peer is asked to let go of an SA that was its to delete, and that it may not even
/// know: not long.
const LET_GO: Schedule = Schedule::Fixed {
    interval: Duration::from_secs(1),
    retries: 4,
};

/// How long a task is put off after TEMPORARY_FAILURE (RFC 7296 2.25): this and up to as much again.
pub const RETRY_WAIT: Duration = Duration::from_millis(1500);

/// How long what was refused is not asked for again: this and up to as much again.
pub const REFUSED_WAIT: Duration = Duration::from_secs(30);

/// What a finished handshake knows.
pub(crate) struct HandshakeResult {
    /// Our role in the IKE SA.
    pub role: Role,
    /// The initiator's SPI.
    pub spi_i: u64,
    /// The responder's SPI.
    pub spi_r: u64,
    /// Where the peer is.
    pub path: Path,
    /// Who is behind a NAT.
    pub nat: NatState,
    /// Both sides fragment (RFC 7383).
    pub fragmentation: bool,
    /// The keys.
    pub keys: SaKeys,
    /// The template.
    pub template: Arc<PeerTemplate>,
    /// The identity we show.
    pub local_identity: Identity,
    /// The peer's authenticated identity.
    pub remote_identity: Identity,
}

/// What the answer to IKE_AUTH still needs.
pub(crate) struct PendingAuth {
    /// The pre-shared key.
    pub secret: Secret,
    /// Our IKE_SA_INIT response.
    pub init_response: Vec<u8>,
    /// The initiator's nonce.
    pub nonce_i: Vec<u8>,
    /// Our nonce.
    pub nonce_r: Vec<u8>,
}

impl std::fmt::Debug for PendingAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingAuth").finish_non_exhaustive()
    }
}

/// Where an IKE SA is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SaState {
    /// Authenticated; IKE_AUTH is not answered yet.
    Authenticating,
    /// In use.
    Established,
    /// Made by a simultaneous rekey; which of two stands is not decided yet.
    Provisional,
    /// Replaced by a rekey; waits for the peer's DELETE, or for the answer to ours.
    Rekeyed,
    /// We sent, or are about to send, a DELETE.
    Deleting(CloseCause),
    /// Given up, and kept for a peer that never noticed.
    Parked,
    /// Gone.
    Closed,
}

/// An authenticated IKE SA. Made by a verified AUTH payload, or by rekeying another one.
#[derive(Debug)]
pub struct IkeSa {
    pub(crate) role: Role,
    pub(crate) spi_i: u64,
    pub(crate) spi_r: u64,
    pub(crate) path: Path,
    pub(crate) nat: NatState,
    pub(crate) fragmentation: bool,
    pub(crate) keys: SaKeys,
    pub(crate) template: Arc<PeerTemplate>,
    pub(crate) local_identity: Identity,
    pub(crate) remote_identity: Identity,
    pub(crate) lineage: Lineage,
    pub(crate) state: SaState,
    pub(crate) created: Instant,
    pub(crate) last_inbound: Instant,
    /// Since when our CREATE_CHILD_SA for Child SAs are answered with TEMPORARY_FAILURE.
    pub(crate) put_off: Option<Instant>,
    /// When the request was first sent that the peer answered last.
    pub(crate) answered: Option<Instant>,
    pub(crate) rekey_at: Option<Instant>,
    pub(crate) expire_at: Option<Instant>,
    /// It and what comes of rekeying it end then at the latest, whatever the template says.
    pub(crate) ends_at: Option<Instant>,
    pub(crate) keepalive_at: Option<Instant>,
    pub(crate) next_id: u32,
    pub(crate) outstanding: Option<Outstanding>,
    pub(crate) exchange: Option<Exchange>,
    pub(crate) queue: VecDeque<Task>,
    pub(crate) deferred: Vec<(Instant, Task)>,
    pub(crate) inbox: Inbox,
    pub(crate) answering: Option<Answering>,
    pub(crate) children: Vec<ChildSa>,
    /// The peer wants to be authenticated anew by then (RFC 4478).
    pub(crate) reauthenticate_by: Option<Instant>,
    /// Another IKE SA has taken its place.
    pub(crate) stands_down: bool,
    /// Until when the device is known to live by other evidence than IKE messages.
    pub(crate) vouched: Option<Instant>,
    /// Our DELETE, where the peer never confirmed it.
    pub(crate) unconfirmed_delete: Vec<Vec<u8>>,
    /// Since when every CREATE_CHILD_SA of the peer is answered with TEMPORARY_FAILURE.
    pub(crate) refusing: Option<Instant>,
    /// SPIs of the peer that it deleted before we knew them.
    pub(crate) early_deletes: Vec<u32>,
    /// Alive as long as the collision that made this provisional SA is undecided.
    pub(crate) undecided: Weak<()>,
    pub(crate) next_token: u32,
    pub(crate) iv: u64,
    pub(crate) out: VecDeque<Output>,
}

impl IkeSa {
    pub(crate) fn new(
        env: &mut Env<'_>,
        from: HandshakeResult,
        state: SaState,
        lineage: Lineage,
    ) -> Self {
        let leads = from.role == Role::Initiator;
        let (rekey_at, expire_at) = renewal(&from.template.ike_lifetimes, leads, env);
        let keepalive = from.template.nat_keepalive.filter(|_| from.nat.local);
        Self {
            role: from.role,
            spi_i: from.spi_i,
            spi_r: from.spi_r,
            path: from.path,
            nat: from.nat,
            fragmentation: from.fragmentation,
            keys: from.keys,
            template: from.template,
            local_identity: from.local_identity,
            remote_identity: from.remote_identity,
            lineage,
            state,
            created: env.now,
            last_inbound: env.now,
            put_off: None,
            answered: None,
            rekey_at,
            expire_at,
            ends_at: None,
            keepalive_at: keepalive.map(|k| env.now + k),
            next_id: 0,
            outstanding: None,
            exchange: None,
            queue: VecDeque::new(),
            deferred: Vec::new(),
            inbox: Inbox::default(),
            answering: None,
            children: Vec::new(),
            reauthenticate_by: None,
            stands_down: false,
            vouched: None,
            unconfirmed_delete: Vec::new(),
            refusing: None,
            early_deletes: Vec::new(),
            undecided: Weak::new(),
            next_token: 0,
            iv: 0,
            out: VecDeque::new(),
        }
    }

    /// The responder's IKE SA, whose IKE_AUTH (Message ID 1) is to be answered.
    pub(crate) fn authenticated_responder(
        env: &mut Env<'_>,
        from: HandshakeResult,
        child: Option<Result<ChildOffer, NotifyType>>,
        pending: PendingAuth,
    ) -> Self {
        let path = from.path;
        let mut sa = Self::new(env, from, SaState::Authenticating, Lineage::Initial);
        sa.inbox.next_id = 1;
        sa.inbox.answering = Some(path);
        sa.answering = Some(Answering::Auth {
            child,
            pending: Box::new(pending),
        });
        sa
    }

    /// The next output, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// The SPI by which messages for us name this SA.
    pub fn local_spi(&self) -> u64 {
        match self.role {
            Role::Initiator => self.spi_i,
            Role::Responder => self.spi_r,
        }
    }

    /// (initiator's, responder's) SPI.
    pub fn spis(&self) -> (u64, u64) {
        (self.spi_i, self.spi_r)
    }

    /// Our role in the IKE SA.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Where it is in its life.
    pub fn state(&self) -> SaState {
        self.state
    }

    /// Where the peer is.
    pub fn path(&self) -> Path {
        self.path
    }

    /// The peer has moved.
    pub fn set_path(&mut self, path: Path) {
        self.path = path;
    }

    /// Who is behind a NAT.
    pub fn nat(&self) -> NatState {
        self.nat
    }

    /// Its algorithms.
    pub fn suite(&self) -> crate::select::IkeSuite {
        self.keys.suite
    }

    /// The keys that it is deciphered with. They are given once, and nobody else has them: whoever
    /// owns the SA takes them when he gets it, and forgets them.
    pub fn take_cipher_keys(&mut self) -> Option<Box<CipherKeys>> {
        self.keys.octets.take()
    }

    /// The peer's authenticated identity.
    pub fn remote_identity(&self) -> &Identity {
        &self.remote_identity
    }

    /// The template it was made by.
    pub fn template(&self) -> &Arc<PeerTemplate> {
        &self.template
    }

    /// How it came to be.
    pub fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// Since when it is.
    pub fn created(&self) -> Instant {
        self.created
    }

    /// When its hard lifetime ends.
    pub fn expires_at(&self) -> Option<Instant> {
        self.expire_at
    }

    /// When we rekey it, unless the peer is faster.
    pub fn rekey_at(&self) -> Option<Instant> {
        self.rekey_at
    }

    /// We rekey it then, if we were to rekey it at all.
    pub fn rekey_ike_at(&mut self, at: Instant) {
        self.rekey_at = self.rekey_at.map(|_| at);
    }

    /// Until when the peer wants to see a new authentication, if it has said so (RFC 4478).
    pub fn reauthenticate_by(&self) -> Option<Instant> {
        self.reauthenticate_by
    }

    /// Whether another IKE SA has taken its place and it only waits for its end: then it rekeys
    /// nothing.
    pub fn stand_down(&mut self, stands_down: bool) {
        self.stands_down = stands_down;
    }

    /// When the last authentic IKE message came.
    pub fn last_inbound(&self) -> Instant {
        self.last_inbound
    }

    /// Whether the peer has answered a request that was first sent then or later: so it has this SA, and nobody
    /// passes on what it said before.
    pub fn has_answered_since(&self, at: Instant) -> bool {
        self.answered.is_some_and(|asked| asked >= at)
    }

    /// Its Child SAs.
    pub fn children(&self) -> &[ChildSa] {
        &self.children
    }

    /// Whether a request of ours waits for its response: that is the probe then. A test that is
    /// never given up is not.
    pub fn is_waiting(&self) -> bool {
        self.outstanding.is_some() && !self.is_patient()
    }

    /// Whether a request of ours was retransmitted and is still not answered.
    pub fn is_struggling(&self) -> bool {
        self.outstanding
            .as_ref()
            .is_some_and(|o| o.attempt > 0 || o.is_persistent())
    }

    /// Probes the peer, unless a request is already under way. Says whether a probe was begun.
    pub fn probe(&mut self, env: &mut Env<'_>, schedule: Schedule) -> bool {
        let usable = matches!(self.state, SaState::Established | SaState::Provisional);
        if !usable || self.is_waiting() || self.queue.contains(&Task::Probe(schedule)) {
            return false;
        }
        if self.is_patient() {
            self.lose_patience(env, schedule);
        } else {
            self.queue.push_front(Task::Probe(schedule));
            self.pump(env);
        }
        true
    }

    /// Rekeys the IKE SA.
    pub fn rekey(&mut self, env: &mut Env<'_>) {
        self.enqueue(Task::RekeyIke);
        self.pump(env);
    }

    /// Rekeys the Child SA with this inbound SPI.
    pub fn rekey_child(&mut self, env: &mut Env<'_>, spi_in: u32) {
        self.enqueue(Task::RekeyChild(spi_in));
        self.pump(env);
    }

    /// Makes a Child SA by this template, with the template's selectors.
    pub fn create_child(&mut self, env: &mut Env<'_>, child: usize) {
        self.enqueue(Task::CreateChild(child));
        self.pump(env);
    }

    /// The peer sends ESP with a SPI that no SA here has: it is told (RFC 7296 1.5).
    pub fn report_spi(&mut self, env: &mut Env<'_>, spi: u32) {
        self.enqueue(Task::ReportSpi(spi));
        self.pump(env);
    }

    /// Local SPI of the IKE SA that a rekey of ours is about to make. The peer may use it before
    /// its keys are computed here.
    pub fn awaited_spi(&self) -> Option<u64> {
        match &self.exchange {
            Some(Exchange::RekeyIke(rekey)) => Some(rekey.spi_i),
            _ => None,
        }
    }

    /// Our SPI of the Child SA that is being made. The peer may use it before its answer is here.
    pub fn awaited_child_spi(&self) -> Option<u32> {
        match &self.exchange {
            Some(Exchange::Child(child)) => Some(child.spi_in),
            _ => None,
        }
    }

    /// Deletes the Child SA with this inbound SPI.
    pub fn delete_child(&mut self, env: &mut Env<'_>, spi_in: u32, cause: CloseCause) {
        self.end_child(spi_in, cause);
        self.pump(env);
    }

    /// Deletes the IKE SA and its Child SAs with a DELETE to the peer.
    pub fn delete(&mut self, env: &mut Env<'_>, cause: CloseCause) {
        if matches!(
            self.state,
            SaState::Deleting(_) | SaState::Closed | SaState::Parked
        ) {
            return;
        }
        self.begin_delete(cause);
        self.pump(env);
    }

    /// Ends it at once, without a word to the peer.
    pub fn abandon(&mut self, cause: CloseCause) {
        self.close(cause);
    }

    /// An authenticated packet came on this Child SA: the peer has it.
    pub fn inbound_seen(&mut self, spi_in: u32) {
        let waiting = |c: &&mut ChildSa| c.spi_in == spi_in && c.activate_at.is_some();
        if let Some(child) = self.children.iter_mut().find(waiting) {
            child.activate_at = None;
            self.out.push_back(Output::ActivateOutbound(spi_in));
        }
    }

    /// Local SPI of the SA that this one has replaced by rekeying. The loser of a collision has
    /// replaced nothing.
    pub fn replaces(&self) -> Option<u64> {
        match self.lineage {
            Lineage::Rekey(old) if self.state == SaState::Established => Some(old),
            _ => None,
        }
    }

    /// The peer has sent something new on the SA that replaced this one: it has that, and was to
    /// delete this one.
    pub fn successor_seen(&mut self, now: Instant) {
        if self.state == SaState::Rekeyed && self.outstanding.is_none() {
            let overdue = now + OVERDUE_WAIT;
            self.expire_at = self.expire_at.map(|at| at.min(overdue));
        }
    }

    /// With a window of one, a request shows that the peer has the answer to the one before: it has
    /// every pair, and every IKE SA, that we answered for.
    pub(crate) fn answers_arrived(&mut self, now: Instant) {
        let confirmed = self.children.iter().filter(|c| c.activate_at.is_some());
        for spi_in in confirmed.map(|c| c.spi_in).collect::<Vec<_>>() {
            self.inbound_seen(spi_in);
        }
        self.successor_seen(now);
    }

    /// How patiently the DELETE of the IKE SA is sent.
    pub(crate) fn farewell(&self) -> Schedule {
        let peers = |cause| match cause {
            CloseCause::Rekeyed => true,
            CloseCause::RekeyCollision => self.role == Role::Responder,
            _ => false,
        };
        match self.state {
            SaState::Deleting(cause) if peers(cause) => LET_GO,
            _ => self.backoff(),
        }
    }

    /// Leaves its Child SAs, and what is still to be done for them, to a successor.
    pub(crate) fn bequeath(&mut self, successor: u64) {
        let tasks = self
            .queue
            .drain(..)
            .chain(self.deferred.drain(..).map(|(_, task)| task));
        let tasks = tasks.filter(Task::is_for_child).collect();
        let children = std::mem::take(&mut self.children);
        let inheritance = Inheritance {
            successor,
            children,
            tasks,
        };
        self.out.push_back(Output::Inherit(inheritance));
        self.state = SaState::Rekeyed;
        self.rekey_at = None;
    }

    /// Takes over the Child SAs of the SA that it replaces; a provisional SA is confirmed by it.
    /// One that is ending meanwhile ends them too.
    pub fn inherit(&mut self, env: &mut Env<'_>, from: Inheritance) {
        self.children.extend(from.children);
        match self.state {
            SaState::Closed | SaState::Parked => {
                return self.remove_children(CloseCause::IkeSaClosed);
            }
            SaState::Deleting(cause) => return self.remove_children(cause),
            SaState::Provisional => {
                self.state = SaState::Established;
                let leads = self.leads();
                (self.rekey_at, self.expire_at) = renewal(&self.template.ike_lifetimes, leads, env);
                self.bound_life();
            }
            SaState::Authenticating | SaState::Established | SaState::Rekeyed => {}
        }
        from.tasks.into_iter().for_each(|task| self.enqueue(task));
        for spi_out in std::mem::take(&mut self.early_deletes) {
            self.child_deleted_by_peer(env, spi_out, None);
        }
        self.pump(env);
    }

    /// It ends after `time` at the latest, and so does what comes of rekeying it: then the peer has
    /// to authenticate again.
    pub fn limit_lifetime(&mut self, now: Instant, time: Duration) {
        self.ends_at = Some(now + time);
        self.bound_life();
    }

    fn bound_life(&mut self) {
        let Some(end) = self.ends_at else {
            return;
        };
        self.expire_at = Some(self.expire_at.map_or(end, |at| at.min(end)));
        // A rekey shortly before the end would only make work.
        self.rekey_at = self.rekey_at.filter(|at| *at < end);
    }

    /// When it wants to be woken, and why.
    pub fn next_timeout(&self) -> Option<(Instant, Reason)> {
        if self.state == SaState::Parked {
            return None;
        }
        let mut next: Option<(Instant, Reason)> = None;
        let mut at = |when: Option<Instant>, why: Reason| {
            if let Some(when) = when
                && next.is_none_or(|(first, _)| when < first)
            {
                next = Some((when, why));
            }
        };
        at(
            self.outstanding.as_ref().map(|o| o.next_at),
            Reason::Retransmit,
        );
        at(self.rekey_at, Reason::RekeyIke);
        let replaced = matches!(self.state, SaState::Rekeyed | SaState::Provisional);
        at(
            self.expire_at,
            if replaced {
                Reason::Cleanup
            } else {
                Reason::ExpireIke
            },
        );
        at(self.keepalive_at, Reason::Keepalive);
        at(
            self.deferred.iter().map(|(when, _)| *when).min(),
            Reason::Retry,
        );
        for child in &self.children {
            at(child.rekey_at, Reason::RekeyChild);
            at(child.expire_at, Reason::ExpireChild);
            at(child.replaced_until, Reason::Cleanup);
            at(child.activate_at, Reason::ActivateChild);
        }
        next
    }

    /// Its time has come.
    pub fn timeout(&mut self, env: &mut Env<'_>) {
        if matches!(self.state, SaState::Closed | SaState::Parked) {
            return;
        }
        self.retransmit(env);
        let now = env.now;
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.rekey_at) {
            self.rekey_at = None;
            self.enqueue(Task::RekeyIke);
        }
        if due(self.expire_at) {
            self.expire_at = None;
            self.expire(now);
        }
        self.child_timeouts(env);
        self.keepalive(env);
        let (ready, later) = self.deferred.drain(..).partition(|(at, _)| *at <= now);
        self.deferred = later;
        let ready: Vec<(Instant, Task)> = ready;
        ready.into_iter().for_each(|(_, task)| self.enqueue(task));
        self.pump(env);
    }

    fn expire(&mut self, now: Instant) {
        match self.state {
            SaState::Provisional if self.undecided.strong_count() > 0 => {
                self.expire_at = Some(now + LOSER_WAIT);
            }
            SaState::Rekeyed => self.begin_delete(CloseCause::Rekeyed),
            SaState::Provisional => self.begin_delete(CloseCause::RekeyCollision),
            SaState::Deleting(_) | SaState::Closed | SaState::Parked => {}
            SaState::Established | SaState::Authenticating => {
                self.begin_delete(CloseCause::Expired);
            }
        }
    }

    fn child_timeouts(&mut self, env: &Env<'_>) {
        let now = env.now;
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        let (mut rekeys, mut ends) = (Vec::new(), Vec::new());
        for child in &mut self.children {
            if due(&mut child.activate_at) {
                self.out.push_back(Output::ActivateOutbound(child.spi_in));
            }
            if due(&mut child.rekey_at) {
                rekeys.push(child.spi_in);
            }
            if due(&mut child.expire_at) || due(&mut child.replaced_until) {
                let cause = match child.state {
                    ChildState::Rekeyed => CloseCause::Rekeyed,
                    ChildState::Installed | ChildState::Deleting => CloseCause::Expired,
                };
                ends.push((child.spi_in, cause));
            }
        }
        for spi_in in rekeys {
            self.enqueue(Task::RekeyChild(spi_in));
        }
        for (spi_in, cause) in ends {
            self.end_child(spi_in, cause);
        }
    }

    fn keepalive(&mut self, env: &Env<'_>) {
        if self.keepalive_at.is_some_and(|at| at <= env.now) {
            self.out.push_back(Output::Keepalive(self.path));
            self.keepalive_at = self.template.nat_keepalive.map(|every| env.now + every);
        }
    }

    fn retransmit(&mut self, env: &mut Env<'_>) {
        let Some(outstanding) = &mut self.outstanding else {
            return;
        };
        match outstanding.due(env) {
            Due::NotYet => {}
            Due::Again => self.retransmitted(),
            Due::Ask => self.out.push_back(Output::ProbeUnanswered),
            Due::GiveUp if self.goes_on(env) => {}
            Due::GiveUp => self.give_up(),
        }
    }

    /// The outstanding request was never answered.
    pub(crate) fn give_up(&mut self) {
        self.yield_to_peers_rekey();
        let cause = match (self.state, &self.exchange) {
            (SaState::Deleting(cause), _) => cause,
            (SaState::Rekeyed, _) => CloseCause::Rekeyed,
            (_, Some(Exchange::Probe { message_id, .. })) => {
                let message_id = *message_id;
                self.out
                    .push_back(Output::Event(Event::ProbeFailed { message_id }));
                self.out
                    .push_back(Output::Probed(crate::io::ProbeOutcome::Failed));
                CloseCause::DpdTimeout
            }
            _ => CloseCause::RetransmitTimeout,
        };
        match (self.state, self.outstanding.take()) {
            (SaState::Established, request) => {
                self.outstanding = request;
                return self.park(cause);
            }
            (SaState::Deleting(_), Some(request)) => {
                self.unconfirmed_delete = request.datagrams;
            }
            _ => {}
        }
        self.close(cause);
    }

    /// Removes everything and says why.
    pub(crate) fn close(&mut self, cause: CloseCause) {
        if self.state == SaState::Closed {
            return;
        }
        self.state = SaState::Closed;
        self.outstanding = None;
        self.exchange = None;
        self.answering = None;
        self.queue.clear();
        self.deferred.clear();
        (self.rekey_at, self.expire_at, self.keepalive_at) = (None, None, None);
        self.remove_children(cause);
        self.out.push_back(Output::Closed(cause));
    }

    pub(crate) fn remove_children(&mut self, cause: CloseCause) {
        let children = std::mem::take(&mut self.children);
        for child in children.into_iter().filter(|c| !c.removed) {
            let (spi_in, linger) = (child.spi_in, Duration::ZERO);
            self.out.push_back(Output::RemoveChild {
                spi_in,
                cause,
                linger,
            });
        }
    }

    pub(crate) fn enqueue(&mut self, task: Task) {
        if !self.queue.contains(&task) && self.state != SaState::Closed {
            self.queue.push_back(task);
        }
    }

    /// Puts a task off that the peer has refused.
    pub(crate) fn defer(&mut self, env: &mut Env<'_>, task: Task, wait: Duration) {
        if !self.deferred.iter().any(|(_, t)| *t == task) {
            let at = env.now + wait + env.up_to(wait);
            self.deferred.push((at, task));
        }
    }

    pub(crate) fn token(&mut self) -> Token {
        self.next_token = self.next_token.wrapping_add(1);
        Token(self.next_token)
    }

    pub(crate) fn child_mut(&mut self, spi_in: u32) -> Option<&mut ChildSa> {
        self.children.iter_mut().find(|c| c.spi_in == spi_in)
    }

    pub(crate) fn leads(&self) -> bool {
        self.role == Role::Initiator
    }

    pub(crate) fn refused(&mut self, role: Role, reason: HandshakeFailure) {
        self.out
            .push_back(Output::Event(Event::ChildSaRefused { role, reason }));
    }
}
