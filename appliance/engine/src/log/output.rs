//! The outputs: each has a thread of its own, so that one that is stuck holds up nobody.
//!
//! What waits for an output is bounded; what does not fit any more is dropped and counted. A line
//! that was refused is tried again until the output takes it, which is told once.

mod datagram;
mod file;
mod stream;
mod syslog;
mod tcp;

use super::lines::Lines;
use crate::events::EventBus;
use hawser_flight::Event;
use hawser_policy::{LogOutput, SyslogServer};
use hawser_shard::io::ShardId;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Octets that wait for an output; one batch fits always.
const WAITING: usize = 4 << 20;
/// Batches that wait for it.
const BATCHES: usize = 4096;
/// From one try of an output that fails to the next, at first and at last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));
/// How often at most an output that fails anew is told of.
const TOLD: Duration = Duration::from_secs(60);

/// What became of the lines for an output.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Lines that it took.
    pub(super) written: AtomicU64,
    /// Lines that it did not take.
    pub(super) dropped: AtomicU64,
    waiting: AtomicUsize,
}

impl Tally {
    fn drop_lines(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Relaxed);
    }
}

/// An output with its thread.
pub(super) struct Output {
    pub(super) what: LogOutput,
    sender: SyncSender<Arc<Lines>>,
    tally: Arc<Tally>,
    end: Arc<End>,
    thread: JoinHandle<()>,
}

impl Output {
    /// Starts the thread; whether the output can be reached comes out later.
    pub(super) fn start(what: LogOutput, tally: Arc<Tally>, bus: EventBus) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(BATCHES);
        let end = Arc::new(End::default());
        let keeper = Keeper {
            sink: sink(&what),
            name: what.to_string(),
            tally: Arc::clone(&tally),
            end: Arc::clone(&end),
            bus,
            trouble: None,
        };
        let thread = Builder::new()
            .name("hawser-log-out".into())
            .spawn(move || keeper.run(&receiver))?;
        Ok(Self {
            what,
            sender,
            tally,
            end,
            thread,
        })
    }

    /// Hands lines over; never waits.
    pub(super) fn put(&self, lines: &Arc<Lines>) {
        let (octets, waiting) = (lines.octets(), &self.tally.waiting);
        let before = waiting.fetch_add(octets, Relaxed);
        let fits = before == 0 || before + octets <= WAITING;
        if !fits || self.sender.try_send(Arc::clone(lines)).is_err() {
            waiting.fetch_sub(octets, Relaxed);
            self.tally.drop_lines(lines.len());
        }
    }

    /// No more lines come; what waits is written until this time, and dropped then.
    pub(super) fn retire(self, until: Instant) -> Retired {
        self.end.set(until);
        Retired(self.thread)
    }
}

/// An output that writes its last lines.
pub(super) struct Retired(JoinHandle<()>);

impl Retired {
    /// Whether its thread has ended. One that hangs in a system call is left behind.
    pub(super) fn is_gone(&self) -> bool {
        self.0.is_finished()
    }
}

/// When the thread of an output has to end.
#[derive(Debug, Default)]
struct End {
    at: Mutex<Option<Instant>>,
    set: Condvar,
}

impl End {
    fn set(&self, until: Instant) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        self.set.notify_all();
    }

    fn is_over(&self) -> bool {
        let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_some_and(|at| Instant::now() >= at)
    }

    /// Waits so long, or until the end: then the answer is no.
    fn pause(&self, pause: Duration) -> bool {
        let resume = Instant::now() + pause;
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            let wake = at.map_or(resume, |at| at.min(resume));
            if now >= wake {
                return at.is_none_or(|at| now < at);
            }
            let waited = self.set.wait_timeout(at, wake - now);
            at = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A place for lines. It may wait for as long as [`Progress::may_wait`] says.
trait Sink: Send {
    /// Writes what is left of the lines. After an error the rest is tried again in a while.
    fn write(&mut self, lines: &mut Progress<'_>) -> io::Result<()>;
}

fn sink(what: &LogOutput) -> Box<dyn Sink> {
    match what {
        LogOutput::Stdout => Box::new(stream::Stream::Stdout),
        LogOutput::Stderr => Box::new(stream::Stream::Stderr),
        LogOutput::File { path, size, keep } => {
            Box::new(file::LogFile::new(path.clone(), *size, *keep))
        }
        LogOutput::Syslog(SyslogServer::Tcp(host, port)) => {
            Box::new(tcp::Tcp::new(host.clone(), *port))
        }
        LogOutput::Syslog(server) => Box::new(datagram::Datagrams::new(server.clone())),
    }
}

/// How far a batch is written.
struct Progress<'a> {
    lines: &'a Lines,
    done: usize,
    tally: &'a Tally,
    end: &'a End,
}

impl<'a> Progress<'a> {
    /// The lines that are left.
    fn left(&self) -> impl Iterator<Item = super::lines::Line<'a>> + use<'a> {
        let lines: &'a Lines = self.lines;
        lines.beyond(self.done)
    }

    /// So many more are written.
    fn written(&mut self, count: usize) {
        self.done += count;
        self.tally.written.fetch_add(count as u64, Relaxed);
    }

    /// The next one can never be written.
    fn skip(&mut self) {
        self.done += 1;
        self.tally.drop_lines(1);
    }

    /// Whether the output may go on waiting.
    fn may_wait(&self) -> bool {
        !self.end.is_over()
    }
}

/// The thread of an output.
struct Keeper {
    sink: Box<dyn Sink>,
    name: String,
    tally: Arc<Tally>,
    end: Arc<End>,
    bus: EventBus,
    trouble: Option<Trouble>,
}

/// An output has failed.
struct Trouble {
    told: Instant,
    /// It fails still.
    now: bool,
}

impl Keeper {
    fn run(mut self, receiver: &Receiver<Arc<Lines>>) {
        while let Ok(lines) = receiver.recv() {
            self.write(&lines);
            self.tally.waiting.fetch_sub(lines.octets(), Relaxed);
        }
    }

    fn write(&mut self, lines: &Lines) {
        let (tally, end) = (Arc::clone(&self.tally), Arc::clone(&self.end));
        let mut progress = Progress {
            lines,
            done: 0,
            tally: &tally,
            end: &end,
        };
        let mut backoff = BACKOFF.0;
        while progress.done < lines.len() {
            let before = progress.done;
            let Err(error) = self.sink.write(&mut progress) else {
                self.works();
                return;
            };
            if progress.done > before {
                backoff = BACKOFF.0;
            }
            self.fails(&error);
            if !end.pause(backoff) {
                tally.drop_lines(lines.len() - progress.done);
                return;
            }
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    fn works(&mut self) {
        if self.trouble.as_ref().is_some_and(|trouble| trouble.now) {
            self.trouble
                .iter_mut()
                .for_each(|trouble| trouble.now = false);
            self.tell(true, String::new());
        }
    }

    fn fails(&mut self, error: &io::Error) {
        let now = Instant::now();
        if let Some(trouble) = &self.trouble
            && (trouble.now || now - trouble.told < TOLD)
        {
            return;
        }
        self.trouble = Some(Trouble {
            told: now,
            now: true,
        });
        self.tell(false, error.to_string());
    }

    fn tell(&self, works: bool, reason: String) {
        let event = Event::LogOutput {
            output: self.name.clone(),
            works,
            reason,
            dropped: self.tally.dropped.load(Relaxed),
        };
        self.bus.publish(ShardId(0), None, event);
    }
}
