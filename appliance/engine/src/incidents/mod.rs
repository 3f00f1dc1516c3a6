//! What drops leave behind: frozen recorders, judged and kept in a file.
//!
//! A shard tells an incident and goes on; a thread of its own ([`keeper`]) waits a moment for what
//! drops at the same time, judges, and writes ([`store`]). Without a file verdicts are counted all
//! the same.

mod burst;
mod health;
mod keeper;
mod store;

use burst::Case;
pub use burst::{Dropped, MassEvent};
pub use store::{Incident, PeerName, Summary};

use crate::counters::ShardSnapshot;
use hawser_flight::verdict::{NodeHealth, Verdict};
use hawser_shard::recorder::Incident as Told;
use health::HealthBook;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use store::Store;

/// Incidents on their way to the thread; more are counted, and lost.
const WAITING: usize = 16_384;

/// The incidents of a gateway. Clones speak of the same ones.
#[derive(Clone)]
pub struct Incidents(Arc<Inner>);

struct Inner {
    sender: SyncSender<Mail>,
    lost: AtomicU64,
    shelf: Arc<Shelf>,
}

/// What the thread is sent.
enum Mail {
    Case(Box<Case>),
    /// Write what waits, and say when it is done.
    Flush(SyncSender<()>),
}

/// What the thread and its readers share.
struct Shelf {
    verdicts: [AtomicU64; Verdict::ALL.len()],
    health: Mutex<HealthBook>,
    store: Option<Store>,
}

impl Incidents {
    /// Starts the thread. Where the file cannot be written, a note says so and nothing is kept.
    pub(crate) fn start(file: Option<&Path>, notes: &mut Vec<String>) -> std::io::Result<Self> {
        let store = file.and_then(|file| match Store::open(file) {
            Ok(store) => Some(store),
            Err(error) => {
                let file = file.display();
                notes.push(format!(
                    "drops are not kept beyond this run: {file}: {error}; `[observability] \
                     incidents` names another file"
                ));
                None
            }
        });
        let (sender, receiver) = sync_channel(WAITING);
        let shelf = Arc::new(Shelf {
            verdicts: Default::default(),
            health: Mutex::default(),
            store,
        });
        let shared = Arc::clone(&shelf);
        std::thread::Builder::new()
            .name("hawser-incidents".into())
            .spawn(move || keeper::run(&receiver, &shared))?;
        let lost = AtomicU64::new(0);
        Ok(Self(Arc::new(Inner {
            sender,
            lost,
            shelf,
        })))
    }

    /// What a shard tells; never waits.
    pub(crate) fn tell(&self, told: Told) {
        let offset_ms = unix_ms().saturating_sub(told.recall.now_ms);
        let case = Case::new(Instant::now(), offset_ms, told);
        let mail = Mail::Case(Box::new(case));
        if let Err(TrySendError::Full(_)) = self.0.sender.try_send(mail) {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what waits. Takes as long as the file takes: not for a task.
    pub(crate) fn flush(&self) {
        let (sender, done) = sync_channel(1);
        if self.0.sender.send(Mail::Flush(sender)).is_ok() {
            let _ = done.recv();
        }
    }

    /// How the shards do, once a second.
    pub(crate) fn observe(&self, snapshots: &[ShardSnapshot]) {
        self.0.shelf.health().observe(Instant::now(), snapshots);
    }

    /// Devices that dropped, by verdict.
    pub fn verdicts(&self) -> impl Iterator<Item = (Verdict, u64)> + '_ {
        let count = |v: &Verdict| self.0.shelf.verdicts[*v as usize].load(Ordering::Relaxed);
        Verdict::ALL.iter().map(move |v| (*v, count(v)))
    }

    /// How the node did in the last minute.
    pub fn health(&self) -> NodeHealth {
        self.0.shelf.health().lately(Instant::now())
    }

    /// Whether drops are kept in a file.
    pub fn are_kept(&self) -> bool {
        self.0.shelf.store.is_some()
    }

    /// Incidents that came too fast to be kept.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Everybody who has ever dropped, as far as that is kept. Reads the file: not for a task.
    pub fn peers(&self) -> Vec<PeerName> {
        self.read(Store::peers)
    }

    /// The last drop of a peer at or before a time (milliseconds since 1970). Reads the file.
    pub fn last(&self, peer: &str, until_ms: u64) -> Option<Incident> {
        self.read(|store| store.last(peer, until_ms))
    }

    /// Every kept drop of a peer, the latest first. Reads the file.
    pub fn of(&self, peer: &str) -> Vec<Incident> {
        self.read(|store| store.of(peer))
    }

    /// The mass event that a drop of a peer belongs to. Reads the file.
    pub fn mass_event(&self, peer: &str, at_ms: u64) -> Option<MassEvent> {
        self.read(|store| store.mass_event(peer, at_ms))
    }

    /// What dropped since a time, in order. Reads the file.
    pub fn since(&self, from_ms: u64) -> Vec<Summary> {
        self.read(|store| store.since(from_ms))
    }

    fn read<T: Default>(&self, read: impl FnOnce(&Store) -> Result<T, store::Error>) -> T {
        let Some(store) = &self.0.shelf.store else {
            return T::default();
        };
        read(store).unwrap_or_else(|error| {
            tracing::error!("the file of incidents cannot be read: {error}");
            T::default()
        })
    }
}

impl Shelf {
    fn health(&self) -> std::sync::MutexGuard<'_, HealthBook> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, verdict: Verdict, devices: u64) {
        self.verdicts[verdict as usize].fetch_add(devices, Ordering::Relaxed);
    }
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
