//! The queue between shards and the threads that ask authorization plugins: bounded.

use super::authorization;
use super::flaps::Flaps;
use crate::directory::Directory;
use crate::mailbox::{Control, Mailbox};
use hawser_plugin::{AuthorizationHost, Plugins};
use hawser_shard::hooks::{AuthorizeRequest, Authorized};
use hawser_shard::io::{Answer, AskId, ShardId};
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

/// Questions that wait at most: an answer to what would come behind these is late.
const QUEUE: usize = 8192;
/// Threads that authorize.
const AUTHORIZERS: usize = 2;

type Asked = (ShardId, AskId, Box<AuthorizeRequest>);

#[derive(Default)]
struct Waiting {
    authorize: VecDeque<Asked>,
    stopping: bool,
}

/// What waits to be decided, and who decides.
pub(crate) struct Decisions {
    waiting: Mutex<Waiting>,
    to_authorize: Condvar,
    mailboxes: Arc<[Mailbox]>,
    registry: Arc<Plugins>,
    pub(super) directory: Arc<Directory>,
    pub(crate) flaps: Flaps,
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
            mailboxes,
            registry,
            directory,
            flaps: Flaps::default(),
        }
    }

    /// Queues a question; an answer at once where there is no room for it.
    pub(crate) fn authorize(
        &self,
        shard: ShardId,
        id: AskId,
        request: Box<AuthorizeRequest>,
    ) -> Option<Answer> {
        let mut waiting = self.lock();
        if waiting.authorize.len() >= QUEUE {
            return Some(undecided("too many questions wait"));
        }
        waiting.authorize.push_back((shard, id, request));
        drop(waiting);
        self.to_authorize.notify_one();
        None
    }

    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
        self.to_authorize.notify_all();
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
        while let Some((shard, id, request)) =
            self.next(&self.to_authorize, |w| w.authorize.pop_front())
        {
            // Whoever asked has given up: the time is for those behind.
            if request.until <= Instant::now() {
                continue;
            }
            // A bug in a library ends one handshake, not the thread.
            let decide = || Answer::Authorized(authorization::decide(self, &host, &request));
            let answer = catch_unwind(AssertUnwindSafe(decide));
            self.answer(
                shard,
                id,
                answer.unwrap_or_else(|_| undecided("the host panicked")),
            );
        }
    }
}

/// The answer to what nobody will decide.
pub(crate) fn undecided(reason: &str) -> Answer {
    Answer::Authorized(Authorized::Undecided(reason.to_owned()))
}

/// Starts the threads; they end after [`Decisions::stop`].
pub(super) fn start(decisions: &Arc<Decisions>) -> io::Result<Vec<JoinHandle<()>>> {
    let spawn = |name: String, work: fn(&Decisions)| {
        let decisions = Arc::clone(decisions);
        Builder::new().name(name).spawn(move || work(&decisions))
    };
    (0..AUTHORIZERS)
        .map(|i| spawn(format!("hawser-auth-{i}"), Decisions::authorize_all))
        .collect()
}
