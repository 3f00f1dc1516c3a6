//! How the rest of the process speaks to the engine.

use crate::background::Background;
use crate::counters::ShardSnapshot;
use crate::ends::{Ends, ShardFailure};
use crate::error::ApplyError;
use crate::events::EventStream;
use crate::incidents::Incidents;
use crate::log::Log;
use crate::mailbox::Control;
use crate::metrics::Metrics;
use crate::plugins::Host;
use crate::routes::RouteStatus;
use crate::shard_thread::Shared;
use crate::udp::Bound;
use crate::watch::{self, Watched};
use hawser_plugin::Plugins;
use hawser_policy::{Observability, Policy};
use hawser_shard::counters::Counters;
use hawser_shard::io::{Command, CommandId, DeviceId, Reply, ShardId};
use hawser_shard::trace::{Sight, Target, What};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How long replies to a command are waited for: a ping is given up after some 71 s.
const REPLY: Duration = Duration::from_secs(120);
/// How long a shard may take for a snapshot before its last one is taken.
const SNAPSHOT: Duration = Duration::from_millis(500);
/// How long the shards may take to say goodbye; they give up after 3 s themselves.
const GOODBYE: Duration = Duration::from_secs(5);
/// How long one that is told to stop may take, and the routes to go.
const STOP: Duration = Duration::from_secs(2);

/// A running engine. Clones speak to the same one; when the last is dropped without
/// [`EngineHandle::shutdown`], threads end, interfaces and rules go, but peers are not told.
#[derive(Clone)]
pub struct EngineHandle(Arc<Running>);

/// How a shutdown went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shutdown {
    /// Shards that did not finish their goodbyes in time and were stopped.
    pub unfinished: Vec<ShardId>,
    /// Rules or routes may be left behind: netlink did not answer in time.
    pub routes_left: bool,
}

/// What the engine is made of.
pub(crate) struct Parts {
    pub(crate) shared: Shared,
    pub(crate) policy: Arc<Policy>,
    pub(crate) bound: Vec<Bound>,
    pub(crate) notes: Vec<String>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) route_status: Arc<RouteStatus>,
    pub(crate) ends: Ends,
    pub(crate) workers: Vec<JoinHandle<()>>,
    pub(crate) plugins: Option<Arc<Host>>,
    pub(crate) log: Option<Log>,
    pub(crate) runtime: Background,
    pub(crate) routes: Option<RouteTask>,
}

/// The task that keeps the routes.
pub(crate) struct RouteTask {
    pub(crate) end: oneshot::Sender<()>,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

struct Running {
    shared: Shared,
    bound: Vec<Bound>,
    notes: Vec<String>,
    metrics: Arc<Metrics>,
    route_status: Arc<RouteStatus>,
    ends: Ends,
    policy: Mutex<Arc<Policy>>,
    next_command: AtomicU64,
    latest: Mutex<Vec<ShardSnapshot>>,
    /// Taken away by the shutdown.
    outside: Mutex<Option<(Background, Option<RouteTask>)>>,
    /// Held while the engine is shut down.
    closing: tokio::sync::Mutex<()>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    plugins: Option<Arc<Host>>,
    log: Option<Arc<Log>>,
}

/// Nothing panics under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EngineHandle {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(Running {
            shared: parts.shared,
            bound: parts.bound,
            notes: parts.notes,
            metrics: parts.metrics,
            route_status: parts.route_status,
            ends: parts.ends,
            policy: Mutex::new(parts.policy),
            next_command: AtomicU64::new(1),
            latest: Mutex::new(Vec::new()),
            outside: Mutex::new(Some((parts.runtime, parts.routes))),
            closing: tokio::sync::Mutex::new(()),
            workers: Mutex::new(parts.workers),
            plugins: parts.plugins,
            log: parts.log.map(Arc::new),
        }))
    }

    /// Where the engine listens.
    pub fn bound(&self) -> &[Bound] {
        &self.0.bound
    }

    /// What the engine does without, and how to give it to it: for the operator, once.
    pub fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// The policy in force, with the ports that were bound and its revision.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&lock(&self.0.policy))
    }

    /// The plugins, where there may be any ([`crate::EngineOptions::plugins`]). What is loaded,
    /// rolled back or unloaded there decides from then on.
    pub fn plugins(&self) -> Option<Arc<Plugins>> {
        let host = self.0.plugins.as_ref()?;
        Some(Arc::clone(&host.registry))
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.0.shared.mailboxes.len()
    }

    /// Asks the shard of the device that the command names, or every shard, and waits for the
    /// replies. One that cannot reply is there with [`Reply::Failed`]. Needs a tokio runtime.
    pub async fn command(&self, command: Command) -> Vec<(ShardId, Reply)> {
        let asked = match device_of(&command) {
            Some(device) => vec![ShardId((device.0 >> 56) as u8)],
            None => self.shard_ids().collect(),
        };
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let id = CommandId(self.0.next_command.fetch_add(1, Ordering::Relaxed));
        for shard in &asked {
            match self.0.shared.mailboxes.get(usize::from(shard.0)) {
                None => drop(sender.send((*shard, Reply::NotFound))),
                // Without a reply it comes out as failed.
                Some(_) if self.0.ends.has_ended(*shard) => {}
                Some(m) => m.put(Control::Command(id, command.clone(), sender.clone())),
            }
        }
        drop(sender);
        let mut replies = Vec::new();
        let collect = async {
            while replies.len() < asked.len() {
                let Some(reply) = receiver.recv().await else {
                    break;
                };
                replies.push(reply);
            }
        };
        tokio::select! {
            _ = timeout(REPLY, collect) => {}
            () = self.0.ends.all(&asked) => while let Ok(reply) = receiver.try_recv() {
                replies.push(reply);
            },
        }
        for shard in asked {
            if !replies.iter().any(|(from, _)| *from == shard) {
                replies.push((shard, Reply::Failed("the shard did not reply".into())));
            }
        }
        replies.sort_by_key(|(shard, _)| *shard);
        replies
    }

    /// Whether a policy can be applied as things are.
    ///
    /// # Errors
    /// It changes what only a restart can.
    pub fn may_apply(&self, policy: &Policy) -> Result<(), ApplyError> {
        successor(&lock(&self.0.policy), policy.clone()).map(drop)
    }

    /// Applies a new policy to every shard: devices that are up follow one after the other. Gives it the next revision.
    ///
    /// # Errors
    /// It changes what only a restart can; then nothing is applied.
    pub async fn apply(&self, policy: Policy) -> Result<Vec<(ShardId, Reply)>, ApplyError> {
        if self.0.ends.any_ended() {
            return Err(ApplyError::Ended);
        }
        let policy = {
            let mut current = lock(&self.0.policy);
            let next = Arc::new(successor(&current, policy)?);
            *current = Arc::clone(&next);
            next
        };
        if let Some(log) = &self.0.log {
            log.change(&policy.observability.log);
        }
        Ok(self.command(Command::Apply(policy)).await)
    }

    /// The events from now on. A subscriber that is too slow is told how many it lost.
    pub fn subscribe_events(&self) -> EventStream {
        self.0.shared.events.subscribe()
    }

    /// What is to be seen of a target, from now on for `period`, over all shards; each with the time at which it was
    /// told. What comes faster than it is read is lost and counted.
    pub fn trace(&self, target: Target, what: What, period: Duration) -> Watched<Sight> {
        let (told, watched) = watch::channel();
        let until = Instant::now() + period;
        let id = CommandId(self.0.next_command.fetch_add(1, Ordering::Relaxed));
        for mailbox in self.0.shared.mailboxes.iter() {
            mailbox.put(Control::Trace(id, target, what, until, told.clone()));
        }
        watched
    }

    /// What drops have left behind.
    pub fn incidents(&self) -> Incidents {
        self.0.shared.incidents.clone()
    }

    /// The shards' counters now. The engine's own drops are in [`EngineHandle::snapshots`].
    pub async fn counters(&self) -> Vec<Counters> {
        self.snapshots()
            .await
            .into_iter()
            .map(|s| s.counters)
            .collect()
    }

    /// The counters of shards and engine now; of a shard that does not answer, its last ones.
    pub async fn snapshots(&self) -> Vec<ShardSnapshot> {
        self.0.snapshots().await
    }

    /// The metrics as Prometheus reads them, published anew.
    pub async fn render_metrics(&self) -> String {
        self.0.publish().await;
        self.0.metrics.render()
    }

    /// Says goodbye to every peer, ends the shards and takes interfaces, routes and rules away.
    /// Takes a few seconds at most. A second call waits for the first.
    pub async fn shutdown(&self) -> Shutdown {
        let _closing = self.0.closing.lock().await;
        let everyone: Vec<ShardId> = self.shard_ids().collect();
        let known = self.0.shared.known.clone();
        let close = tokio::task::spawn_blocking(move || known.close());
        let _ = timeout(STOP, close).await;
        let (sender, _replies) = mpsc::unbounded_channel();
        let id = CommandId(self.0.next_command.fetch_add(1, Ordering::Relaxed));
        for mailbox in self.0.shared.mailboxes.iter() {
            mailbox.put(Control::Command(id, Command::Shutdown, sender.clone()));
        }
        let _ = timeout(GOODBYE, self.0.ends.all(&everyone)).await;
        let unfinished = everyone
            .iter()
            .copied()
            .filter(|s| !self.0.ends.has_ended(*s))
            .collect::<Vec<_>>();
        self.0.stop();
        let _ = timeout(STOP, self.0.ends.all(&everyone)).await;
        self.end_workers().await;
        let mut routes_left = false;
        let outside = lock(&self.0.outside).take();
        if let Some((runtime, routes)) = outside {
            if let Some(RouteTask { end, task }) = routes {
                let _ = end.send(());
                routes_left = !matches!(timeout(STOP, task).await, Ok(Ok(())));
            }
            drop(runtime);
        }
        let incidents = self.incidents();
        let flush = tokio::task::spawn_blocking(move || incidents.flush());
        let _ = timeout(STOP, flush).await;
        self.0.shared.events.close();
        if let Some(log) = self.0.log.clone() {
            let _ = timeout(STOP, tokio::task::spawn_blocking(move || log.join())).await;
        }
        Shutdown {
            unfinished,
            routes_left,
        }
    }

    async fn end_workers(&self) {
        let workers = std::mem::take(&mut *lock(&self.0.workers));
        let join = move || workers.into_iter().for_each(|w| drop(w.join()));
        let _ = timeout(STOP, tokio::task::spawn_blocking(join)).await;
    }

    /// Waits until every shard has ended, or one has failed.
    ///
    /// # Errors
    /// A shard failed. The others still run: [`EngineHandle::shutdown`] ends them.
    pub async fn join(&self) -> Result<(), ShardFailure> {
        self.0.ends.joined().await
    }

    pub(crate) fn publish_every(&self, period: Duration) {
        let weak = Arc::downgrade(&self.0);
        if let Some((runtime, _)) = &*lock(&self.0.outside) {
            runtime.spawn(publish_while_running(weak, period));
        }
    }

    fn shard_ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        let shards = self.shards();
        (0..=u8::MAX).take(shards).map(ShardId)
    }
}

async fn publish_while_running(running: Weak<Running>, period: Duration) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(running) = running.upgrade() else {
            return;
        };
        running.publish().await;
    }
}

impl Running {
    async fn publish(&self) {
        let snapshots = self.snapshots().await;
        let policy = Arc::clone(&lock(&self.policy));
        self.shared.incidents.observe(&snapshots);
        self.metrics.publish(
            &snapshots,
            &policy,
            &self.route_status,
            &self.shared.incidents,
            self.plugins.as_ref().map(|host| &*host.registry),
            self.log.as_deref(),
        );
    }

    async fn snapshots(&self) -> Vec<ShardSnapshot> {
        let ask = |mailbox: &crate::mailbox::Mailbox| {
            let (sender, receiver) = oneshot::channel();
            mailbox.put(Control::Snapshot(sender));
            receiver
        };
        let alive = (0..=u8::MAX).zip(self.shared.mailboxes.iter());
        let asked: Vec<_> = alive
            .filter(|(id, _)| !self.ends.has_ended(ShardId(*id)))
            .map(|(_, m)| ask(m))
            .collect();
        let mut fresh = Vec::new();
        let collect = async {
            for answer in asked {
                fresh.extend(answer.await.ok());
            }
        };
        let _ = timeout(SNAPSHOT, collect).await;
        let mut latest = lock(&self.latest);
        for snapshot in fresh {
            match latest.iter_mut().find(|s| s.shard == snapshot.shard) {
                Some(old) => *old = snapshot,
                None => latest.push(snapshot),
            }
        }
        latest.sort_by_key(|s| s.shard);
        latest.clone()
    }

    fn stop(&self) {
        self.shared
            .mailboxes
            .iter()
            .for_each(|mailbox| mailbox.put(Control::Stop));
        self.shared.queues.stop();
        if let Some(host) = &self.plugins {
            host.decisions.stop();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        self.shared.events.close();
        let outside = lock(&self.outside).take();
        if let Some((runtime, Some(RouteTask { end, task }))) = outside {
            // Without anybody to wait for it, on a thread of its own.
            let clean_up = move || {
                let _ = end.send(());
                drop(runtime.block_on(async { timeout(STOP, task).await }));
            };
            let _ = std::thread::Builder::new()
                .name("hawser-clean-up".into())
                .spawn(clean_up);
        }
    }
}

fn device_of(command: &Command) -> Option<DeviceId> {
    match command {
        Command::Recall(device)
        | Command::Reset(device)
        | Command::Rekey(device, _)
        | Command::Ping(device) => Some(*device),
        Command::Audit(device, _) => *device,
        Command::Status(_)
        | Command::Show(_)
        | Command::Standings
        | Command::Apply(_)
        | Command::Shutdown => None,
    }
}

/// The next policy in force: what was bound and opened stays as it is.
fn successor(current: &Policy, mut next: Policy) -> Result<Policy, ApplyError> {
    let (old, new) = (&current.listen, &mut next.listen);
    // Port 0 is whatever was found.
    new.port = if new.port == 0 { old.port } else { new.port };
    new.nat_port = if new.nat_port == 0 {
        old.nat_port
    } else {
        new.nat_port
    };
    let unchanged = [
        (*new == *old, "the listening addresses and ports"),
        (
            next.shards.is_none_or(|n| Some(n) == current.shards),
            "the number of shards",
        ),
        (next.tenants == current.tenants, "the tenants"),
        (
            Observability {
                log: current.observability.log.clone(),
                ..next.observability.clone()
            } == current.observability,
            "the metrics listener, or of what is recorded",
        ),
        (
            next.plugins.host == current.plugins.host,
            "the host of plugins",
        ),
    ];
    if let Some((_, what)) = unchanged.iter().find(|(same, _)| !same) {
        return Err(ApplyError::NeedsRestart(what));
    }
    next.shards = current.shards;
    next.revision = current.revision + 1;
    Ok(next)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing;

    #[test]
    fn only_what_needs_no_restart_is_applied() {
        let mut current = testing::policy(2);
        (
            current.revision,
            current.listen.port,
            current.listen.nat_port,
        ) = (4, 1500, 14500);
        let next = successor(&current, testing::policy(2)).unwrap();
        assert_eq!(
            (next.revision, next.listen.port, next.shards),
            (5, 1500, Some(2))
        );

        let refused = |change: fn(&mut Policy)| {
            let mut policy = testing::policy(2);
            change(&mut policy);
            matches!(
                successor(&current, policy),
                Err(ApplyError::NeedsRestart(_))
            )
        };
        assert!(refused(|p| p.listen.port = 500));
        assert!(refused(|p| p.shards = Some(3)));
        assert!(refused(|p| p.tenants.clear()));
        assert!(refused(
            |p| p.observability.metrics = Some(([127, 0, 0, 1], 9).into())
        ));
        assert!(refused(|p| p.observability.recorder = 8192));
        assert!(!refused(|p| p.observability.log.outputs.clear()));
        assert!(!refused(|p| p.shards = None));
    }
}
