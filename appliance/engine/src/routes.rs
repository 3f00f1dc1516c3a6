//! Routes to the branches' networks: who owns them, and netlink.
//!
//! They live in a table of their own. In each namespace one rule a family sends everything there
//! but what carries the mark of the outer sockets (`not fwmark 0x4857 lookup 220`). Routes carry a
//! protocol number of ours, so that what another program keeps in the table is left alone.

mod book;
mod device;
mod linger;
mod netlink;

use crate::error::StartError;
use crate::events::EventBus;
use crate::options::Routing;
use book::{Book, Step};
pub(crate) use device::Devices;
use device::Lost;
use hawser_flight::Event;
use hawser_policy::TenantId;
use hawser_shard::io::{RouteChange, ShardId};
use ipnet::IpNet;
use linger::Lingering;
use netlink::Netlink;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Times that a change is tried.
const TRIES: u32 = 4;
/// Pause after the first failure; it doubles.
const PAUSE: Duration = Duration::from_millis(50);
/// Nothing is due.
const LONG: Duration = Duration::from_secs(3600);
/// Changes taken from the shards at once.
const BATCH: usize = 1024;

/// What metrics say of the routes.
#[derive(Default)]
pub(crate) struct RouteStatus {
    pub(crate) installed: AtomicU64,
    pub(crate) failures: AtomicU64,
}

/// What shards tell.
pub(crate) enum Told {
    /// A Child SA wants a route, or no longer does.
    Route(ShardId, RouteChange),
    /// The device of a tenant is gone: that of this generation.
    DeviceGone(TenantId, u32),
}

/// The interface of a tenant.
struct Link {
    /// Index into the namespaces.
    namespace: usize,
    /// Index of the interface.
    index: u32,
    /// How often it was made before.
    generation: u32,
}

/// The interfaces, rules and routes of this run.
pub(crate) struct Routes {
    namespaces: Vec<Netlink>,
    links: Vec<Link>,
    book: Book,
    devices: Devices,
    lost: Lost,
    events: EventBus,
    status: Arc<RouteStatus>,
}

impl Routes {
    /// Sets up every tenant's interface, cleans up after a crash and installs the rules.
    pub(crate) async fn set_up(
        devices: Devices,
        routing: Routing,
        events: EventBus,
        status: Arc<RouteStatus>,
    ) -> Result<Self, StartError> {
        let mut routes = Self {
            namespaces: Vec::new(),
            links: Vec::new(),
            book: Book::default(),
            devices,
            lost: Lost::default(),
            events,
            status,
        };
        match routes.add_links(routing).await {
            Ok(()) => Ok(routes),
            Err(error) => {
                routes.clean_up().await;
                Err(error)
            }
        }
    }

    async fn add_links(&mut self, routing: Routing) -> Result<(), StartError> {
        let mut names: Vec<Option<&str>> = Vec::new();
        for tenant in &self.devices.tenants {
            let name = tenant.namespace.as_deref();
            let known = names.iter().position(|n| *n == name);
            let namespace = known.unwrap_or(names.len());
            if known.is_none() {
                let netlink = Netlink::connect(name, routing)?;
                netlink.clean_up().await?;
                names.push(name);
                self.namespaces.push(netlink);
                self.namespaces[namespace].add_rules().await?;
            }
            let index = self.namespaces[namespace].bring_up(tenant).await?;
            self.links.push(Link {
                namespace,
                index,
                generation: 0,
            });
        }
        Ok(())
    }

    async fn clean_up(&self) {
        for netlink in &self.namespaces {
            if let Err(error) = netlink.clean_up().await {
                tracing::warn!(%error, "routes or rules are left behind");
            }
        }
    }

    /// Follows the shards until `end`, then takes rules and routes away.
    pub(crate) async fn run(
        mut self,
        mut told: mpsc::UnboundedReceiver<Told>,
        mut end: oneshot::Receiver<()>,
    ) {
        let mut batch = Vec::new();
        let mut lingering = Lingering::default();
        loop {
            let due = [lingering.next(), self.lost.next()];
            let due = due.into_iter().flatten().min();
            let due = due.unwrap_or_else(|| Instant::now() + LONG);
            tokio::select! {
                biased;
                _ = &mut end => break,
                n = told.recv_many(&mut batch, BATCH) => if n == 0 { break },
                () = tokio::time::sleep_until(due) => {}
            }
            let now = Instant::now();
            let mut changes = lingering.due(now);
            for told in batch.drain(..) {
                match told {
                    Told::Route(shard, change) if lingering.passes(now, shard, &change) => {
                        changes.push((shard, change));
                    }
                    Told::Route(..) => {}
                    Told::DeviceGone(tenant, generation) => self.device_gone(tenant, generation),
                }
            }
            self.make_devices().await;
            self.carry_out(changes.into_iter()).await;
        }
        self.clean_up().await;
    }

    /// Several changes of the same route in a batch come to one.
    async fn carry_out(&mut self, batch: impl Iterator<Item = (ShardId, RouteChange)>) {
        let mut steps: BTreeMap<(usize, IpNet), (ShardId, Step)> = BTreeMap::new();
        for (shard, change) in batch {
            let Some(link) = self.links.get(usize::from(change.tenant.0)) else {
                continue;
            };
            let key = (link.namespace, change.net);
            match self
                .book
                .change(key, change.tenant, change.owner, change.install)
            {
                None => {}
                Some(Step::Refused) => self.refused(shard, change.net),
                Some(step) => drop(steps.insert(key, (shard, step))),
            }
        }
        for ((namespace, net), (shard, step)) in steps {
            if let Err(error) = self.try_step(namespace, net, step).await {
                self.status.failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%net, %error, ?step, "route");
                self.refused(shard, net);
            }
        }
        self.status
            .installed
            .store(self.book.len() as u64, Ordering::Relaxed);
    }

    async fn try_step(
        &self,
        namespace: usize,
        net: IpNet,
        step: Step,
    ) -> Result<(), rtnetlink::Error> {
        let netlink = &self.namespaces[namespace];
        let mut pause = PAUSE;
        for attempt in 1.. {
            let result = match step {
                Step::Install(tenant) => netlink.replace_route(net, self.index(tenant)).await,
                Step::Remove(tenant) => netlink.delete_route(net, self.index(tenant)).await,
                Step::Refused => Ok(()),
            };
            match result {
                Err(error) if attempt < TRIES && netlink::may_pass(&error) => {
                    tracing::warn!(%net, %error, attempt, "route, tried again");
                }
                other => return other,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Ok(())
    }

    fn index(&self, tenant: TenantId) -> u32 {
        self.links
            .get(usize::from(tenant.0))
            .map_or(0, |link| link.index)
    }

    fn refused(&self, shard: ShardId, net: IpNet) {
        self.events.publish(
            shard,
            None,
            Event::RouteRefused {
                prefix: net.to_string(),
            },
        );
    }
}
