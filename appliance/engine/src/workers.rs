//! Threads for key exchanges, which would hold a shard up.
//!
//! Each shard has its own bounded queue and the workers take from them in turn, so that one shard
//! under a flood of handshakes does not keep the others waiting. A shard never waits: what does
//! not fit is kept in its own bounded [`Backlog`].

use crate::mailbox::{Control, Mailbox};
use hawser_crypto::{KeError, KeyExchange, SharedSecret};
use hawser_shard::io::{Answer, AskId, KeAnswer, KeRequest, ShardId};
use rand::CryptoRng;
use rand_chacha::ChaCha20Rng;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Questions of one shard that wait for a worker.
const QUEUE: usize = 64;
/// Questions that wait in a shard's backlog. What would come behind these is stale before its turn.
const BACKLOG: usize = 2048;
/// How much nicer than the shards the workers are.
const NICE: i32 = 5;

type Job = (AskId, KeRequest);

/// The queues between shards and workers.
pub(crate) struct Queues {
    state: Mutex<State>,
    work: Condvar,
    mailboxes: Arc<[Mailbox]>,
}

struct State {
    queues: Vec<VecDeque<Job>>,
    /// Whose turn it is.
    next: usize,
    stopping: bool,
}

impl State {
    fn take(&mut self) -> Option<(usize, Job)> {
        let n = self.queues.len();
        let shard = (0..n)
            .map(|i| (self.next + i) % n)
            .find(|s| !self.queues[*s].is_empty())?;
        self.next = shard + 1;
        Some((shard, self.queues[shard].pop_front()?))
    }
}

impl Queues {
    pub(crate) fn new(mailboxes: Arc<[Mailbox]>) -> Self {
        let queues = mailboxes.iter().map(|_| VecDeque::new()).collect();
        let state = Mutex::new(State {
            queues,
            next: 0,
            stopping: false,
        });
        Self {
            state,
            work: Condvar::new(),
            mailboxes,
        }
    }

    /// Queues the work; gives it back where the shard has its share already.
    fn offer(&self, shard: ShardId, job: Job) -> Result<(), Job> {
        let mut state = self.lock();
        let queue = &mut state.queues[usize::from(shard.0)];
        if queue.len() >= QUEUE {
            return Err(job);
        }
        queue.push_back(job);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
        self.work.notify_all();
    }

    /// Nothing panics under this lock, and if it did the queues would still be queues.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) -> Option<(usize, Job)> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(job) = state.take() {
                return Some(job);
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Starts `count` workers, each with randomness of its own from the operating system.
pub(crate) fn start(queues: &Arc<Queues>, count: usize) -> io::Result<Vec<JoinHandle<()>>> {
    let start = |i: usize| {
        let queues = Arc::clone(queues);
        let name = format!("hawser-ke-{i}");
        std::thread::Builder::new().name(name).spawn(move || {
            // Of the calling thread, on Linux. Refused is no harm.
            let _ = rustix::process::setpriority_process(None, NICE);
            let mut rng: ChaCha20Rng = rand::make_rng();
            while let Some((shard, (id, request))) = queues.wait() {
                // A bug in a library ends one handshake, not the worker.
                let failed = refusal(&request);
                let work = || Answer::KeyExchange(work(request, &mut rng));
                let answer = catch_unwind(AssertUnwindSafe(work)).unwrap_or(failed);
                queues.mailboxes[shard].put(Control::Answer(id, answer));
            }
        })
    };
    (0..count.max(1)).map(start).collect()
}

fn work(request: KeRequest, rng: &mut dyn CryptoRng) -> KeAnswer {
    match request {
        KeRequest::Generate(method) => KeAnswer::Generated(method.generate(rng)),
        KeRequest::Respond {
            method,
            peer_public,
        } => KeAnswer::Responded(respond(method, &peer_public, rng)),
        KeRequest::Agree {
            private,
            peer_public,
        } => KeAnswer::Agreed(private.agree(&peer_public)),
    }
}

fn respond(
    method: KeyExchange,
    peer_public: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<(Vec<u8>, SharedSecret), KeError> {
    let (private, public) = method.generate(rng)?;
    Ok((public, private.agree(peer_public)?))
}

/// The answer to work that nobody will do.
fn refusal(request: &KeRequest) -> Answer {
    Answer::KeyExchange(match request {
        KeRequest::Generate(_) => KeAnswer::Generated(Err(KeError::Generate)),
        KeRequest::Respond { .. } => KeAnswer::Responded(Err(KeError::Generate)),
        KeRequest::Agree { .. } => KeAnswer::Agreed(Err(KeError::Generate)),
    })
}

/// A shard's end of the queues.
pub(crate) struct Backlog {
    shard: ShardId,
    queues: Arc<Queues>,
    waiting: VecDeque<Job>,
}

impl Backlog {
    pub(crate) fn new(shard: ShardId, queues: Arc<Queues>) -> Self {
        Self {
            shard,
            queues,
            waiting: VecDeque::new(),
        }
    }

    /// Hands the work to the workers or keeps it; an answer at once where there is no room for it.
    pub(crate) fn ask(&mut self, id: AskId, request: KeRequest) -> Option<Answer> {
        if self.waiting.len() >= BACKLOG {
            return Some(refusal(&request));
        }
        self.waiting.push_back((id, request));
        self.pass_on();
        None
    }

    /// Hands over what has room by now; called whenever an answer came.
    pub(crate) fn pass_on(&mut self) {
        while let Some(job) = self.waiting.pop_front() {
            if let Err(job) = self.queues.offer(self.shard, job) {
                self.waiting.push_front(job);
                return;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn queues(shards: usize) -> Arc<Queues> {
        Arc::new(Queues::new(
            (0..shards).map(|_| Mailbox::new().unwrap()).collect(),
        ))
    }

    fn generate() -> KeRequest {
        KeRequest::Generate(KeyExchange::X25519)
    }

    #[test]
    fn turns_are_fair_and_queues_bounded() {
        let queues = queues(3);
        let mut greedy = Backlog::new(ShardId(0), Arc::clone(&queues));
        let refused = (0..QUEUE + BACKLOG + 7)
            .filter(|i| greedy.ask(AskId(*i as u64), generate()).is_some())
            .count();
        assert_eq!((refused, greedy.len()), (7, BACKLOG));
        let mut modest = Backlog::new(ShardId(2), Arc::clone(&queues));
        assert!(modest.ask(AskId(1), generate()).is_none());
        let mut state = queues.lock();
        let order: Vec<usize> = (0..4)
            .filter_map(|_| state.take())
            .map(|(s, _)| s)
            .collect();
        assert_eq!(
            order,
            [0, 2, 0, 0],
            "the modest shard waits for one job at most"
        );
    }

    #[test]
    fn both_sides_agree_and_bad_values_are_errors() {
        let queues = queues(1);
        let workers = start(&queues, 2).unwrap();
        let mut backlog = Backlog::new(ShardId(0), Arc::clone(&queues));
        let answer = |id: u64| loop {
            match queues.mailboxes[0].take_control() {
                Some(Control::Answer(AskId(got), Answer::KeyExchange(answer))) if got == id => {
                    return answer;
                }
                Some(_) => panic!(),
                None => std::thread::yield_now(),
            }
        };
        for method in KeyExchange::ALL {
            backlog.ask(AskId(1), KeRequest::Generate(method));
            let KeAnswer::Generated(Ok((private, ours))) = answer(1) else {
                panic!()
            };
            backlog.ask(
                AskId(2),
                KeRequest::Respond {
                    method,
                    peer_public: ours,
                },
            );
            let KeAnswer::Responded(Ok((theirs, secret))) = answer(2) else {
                panic!()
            };
            backlog.ask(
                AskId(3),
                KeRequest::Agree {
                    private,
                    peer_public: theirs,
                },
            );
            let KeAnswer::Agreed(Ok(same)) = answer(3) else {
                panic!()
            };
            assert_eq!(&*secret, &*same);
            backlog.ask(
                AskId(4),
                KeRequest::Respond {
                    method,
                    peer_public: vec![0; 7],
                },
            );
            assert!(matches!(answer(4), KeAnswer::Responded(Err(_))));
        }
        queues.stop();
        workers.into_iter().for_each(|w| w.join().unwrap());
    }
}
