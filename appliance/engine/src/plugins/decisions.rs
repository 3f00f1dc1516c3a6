//! The queues between shards and the threads that ask plugins: bounded, by hook, fair among tenants
//! and templates, DPD in batches of one of them.

use super::clock::Clock;
use super::flaps::Flaps;
use super::turns::Turns;
use super::{authorization, dpd};
use crate::directory::Directory;
use crate::mailbox::{Control, Mailbox};
use hawser_plugin::{AuthorizationHost, DpdHost, Plugins};
use hawser_shard::hooks::{AuthorizeRequest, Authorized, DpdDecided, DpdEvidence};
use hawser_shard::io::{Answer, AskId, ShardId};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

/// Questions of a hook that wait at most: an answer to what would come behind these is late.
const QUEUE: usize = 8192;
/// Threads that authorize.
const AUTHORIZERS: usize = 2;
/// Threads that decide about liveness.
const POLICIES: usize = 1;

type Asked<T> = (ShardId, AskId, Box<T>);

struct Waiting {
    authorize: Turns<Asked<AuthorizeRequest>>,
    dpd: Turns<Asked<DpdEvidence>>,
    stopping: bool,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            authorize: Turns::new(QUEUE),
            dpd: Turns::new(QUEUE),
            stopping: false,
        }
    }
}

/// What waits to be decided, and who decides.
pub(crate) struct Decisions {
    waiting: Mutex<Waiting>,
    to_authorize: Condvar,
    to_police: Condvar,
    mailboxes: Arc<[Mailbox]>,
    registry: Arc<Plugins>,
    pub(super) directory: Arc<Directory>,
    pub(crate) flaps: Flaps,
    clock: Clock,
}

impl Decisions {
    pub(super) fn new(
        registry: Arc<Plugins>,
        mailboxes: Arc<[Mailbox]>,
        directory: Arc<Directory>,
    ) -> Self {
        Self {
            waiting: Mutex::default(),
            to_authorize: Condvar::new(),
            to_police: Condvar::new(),
            mailboxes,
            registry,
            directory,
            flaps: Flaps::default(),
            clock: Clock::at(Instant::now()),
        }
    }

    /// Queues a question; an answer at once where there is no room for it.
    pub(crate) fn authorize(
        &self,
        shard: ShardId,
        id: AskId,
        request: Box<AuthorizeRequest>,
    ) -> Option<Answer> {
        let group = (
            Arc::clone(&request.tenant_name),
            Arc::clone(&request.template),
        );
        if !self.lock().authorize.put(group, (shard, id, request)) {
            return Some(not_authorized(FULL));
        }
        self.to_authorize.notify_one();
        None
    }

    /// Queues a question; an answer at once where there is no room for it.
    pub(crate) fn police(
        &self,
        shard: ShardId,
        id: AskId,
        evidence: Box<DpdEvidence>,
    ) -> Option<Answer> {
        let group = (Arc::clone(&evidence.tenant), Arc::clone(&evidence.template));
        if !self.lock().dpd.put(group, (shard, id, evidence)) {
            return Some(not_policed(FULL));
        }
        self.to_police.notify_one();
        None
    }

    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
        self.to_authorize.notify_all();
        self.to_police.notify_all();
    }

    /// Nothing panics under this lock.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `take` finds something; `None`: the engine ends.
    fn next<T>(&self, work: &Condvar, take: impl Fn(&mut Waiting) -> Option<T>) -> Option<T> {
        let mut waiting = self.lock();
        loop {
            if waiting.stopping {
                return None;
            }
            if let Some(taken) = take(&mut waiting) {
                return Some(taken);
            }
            waiting = work.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn answer(&self, shard: ShardId, id: AskId, answer: Answer) {
        if let Some(mailbox) = self.mailboxes.get(usize::from(shard.0)) {
            mailbox.put(Control::Answer(id, answer));
        }
    }

    fn authorize_all(&self) {
        let host = AuthorizationHost::new(Arc::clone(&self.registry));
        while let Some((group, asked)) = self.next(&self.to_authorize, |w| w.authorize.take(1)) {
            for (shard, id, request) in asked {
                // Whoever asked has given up: the time is for those behind.
                if request.until <= Instant::now() {
                    continue;
                }
                // A bug in a library ends one handshake, not the thread.
                let decide = || Answer::Authorized(authorization::decide(self, &host, &request));
                let answer = catch_unwind(AssertUnwindSafe(decide));
                self.answer(shard, id, answer.unwrap_or_else(|_| not_authorized(PANIC)));
            }
            self.lock().authorize.done(&group);
        }
    }

    fn police_all(&self) {
        let host = || DpdHost::new(Arc::clone(&self.registry));
        let mut own = host();
        while let Some((group, batch)) = self.next(&self.to_police, |w| w.dpd.take(dpd::BATCH)) {
            let (tenant, template) = &group;
            let evidence: Vec<&DpdEvidence> = batch.iter().map(|(.., e)| &**e).collect();
            let decide = || dpd::decide(self.clock, &mut own, tenant, template, &evidence);
            let answers = catch_unwind(AssertUnwindSafe(decide)).unwrap_or_else(|_| {
                own = host();
                vec![DpdDecided::Undecided(PANIC.to_owned()); batch.len()]
            });
            for ((shard, id, _), answer) in batch.iter().zip(answers) {
                self.answer(*shard, *id, Answer::DpdPolicy(answer));
            }
            self.lock().dpd.done(&group);
        }
    }
}

const FULL: &str = "too many questions wait";
const PANIC: &str = "the host of the plugin panicked";

/// The answer to a question of authorization that nobody will decide.
pub(crate) fn not_authorized(reason: &str) -> Answer {
    Answer::Authorized(Authorized::Undecided(reason.to_owned()))
}

/// The answer to a question of liveness that nobody will decide.
pub(crate) fn not_policed(reason: &str) -> Answer {
    Answer::DpdPolicy(DpdDecided::Undecided(reason.to_owned()))
}

/// Starts the threads; they end after [`Decisions::stop`].
pub(super) fn start(decisions: &Arc<Decisions>) -> io::Result<Vec<JoinHandle<()>>> {
    let spawn = |name: String, work: fn(&Decisions)| {
        let decisions = Arc::clone(decisions);
        Builder::new().name(name).spawn(move || work(&decisions))
    };
    let authorizers =
        (0..AUTHORIZERS).map(|i| spawn(format!("hawser-auth-{i}"), Decisions::authorize_all));
    let policies = (0..POLICIES).map(|i| spawn(format!("hawser-dpd-{i}"), Decisions::police_all));
    authorizers.chain(policies).collect()
}
