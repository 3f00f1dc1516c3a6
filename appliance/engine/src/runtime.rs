//! Starting: everything is bound, opened and set up before the first shard runs, so that what is
//! missing is an error and not half a gateway.

use crate::background::Background;
use crate::directory::Directory;
use crate::ends::Ends;
use crate::error::StartError;
use crate::events::EventBus;
use crate::handle::{EngineHandle, Parts, RouteTask};
use crate::incidents::Incidents;
use crate::known::Known;
use crate::log::Log;
use crate::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::options::{EngineOptions, InnerDevices, Routing};
use crate::plugins::Host;
use crate::routes::{Devices, RouteStatus, Routes, Told};
use crate::shard_thread::{self, Own, Shared};
use crate::steering::Port;
use crate::udp::{self, Bound, OuterSocket};
use crate::workers::{self, Queues};
use crate::{raw, tun};
use hawser_policy::Policy;
use hawser_shard::ShardConfig;
use hawser_shard::io::ShardId;
use hawser_shard::restore::Remembered;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How often metrics are published.
const PUBLISH: Duration = Duration::from_secs(1);
/// How often a free port is looked for that all addresses have.
const PORT_TRIES: usize = 8;

/// The engine; see [`Engine::start`].
pub struct Engine;

impl Engine {
    /// Starts the shards of a policy.
    ///
    /// `policy.shards` says how many there are (`None`: one a core), `policy.listen` where they
    /// listen; a port 0 becomes a free one, the same for all addresses, and shards see the port
    /// that was bound ([`EngineHandle::bound`], [`EngineHandle::policy`]). The call takes as long
    /// as the kernel takes to make interfaces and does not need a tokio runtime; the handle's
    /// asynchronous methods do.
    ///
    /// # Errors
    /// Something is missing; the error says what, and how to get it. Nothing is left behind.
    pub fn start(policy: Arc<Policy>, options: EngineOptions) -> Result<EngineHandle, StartError> {
        let shards = shard_count(&policy)?;
        let mut notes = Vec::new();
        if hawser_crypto::NULL_CIPHER {
            notes.push("this build encrypts nothing: it is for benches".to_owned());
        }
        let (inner, routing) = open_inner(&policy, options.inner, shards, !options.no_offload)?;
        let mark = routing.and_then(|r| usable_mark(r.mark, &mut notes));
        let (outer, bound) = bind_all(&policy, shards, mark, &mut notes)?;
        let policy = Arc::new(running_policy(Arc::unwrap_or_clone(policy), shards, &bound));

        let mailboxes: Arc<[Mailbox]> = (0..shards)
            .map(|_| Mailbox::new())
            .collect::<io::Result<Vec<_>>>()?
            .into();
        let queues = Arc::new(Queues::new(Arc::clone(&mailboxes)));
        let events = EventBus::new();
        let logged = options.log.then(|| events.subscribe());
        let directory = Arc::new(Directory::default());
        let incidents = Incidents::start(options.incidents.as_deref(), &mut notes)?;
        let (known, remembered) = Known::open(options.devices.as_deref(), &policy, &mut notes);
        known.start()?;
        let mut workers = workers::start(&queues, options.workers.unwrap_or_else(cores))?;
        // From here on workers wait: an error ends them.
        let start = |options| Host::start(options, &events, &mailboxes, &directory);
        let plugins = options.plugins.map(start).transpose();
        let plugins = plugins
            .inspect_err(|_| queues.stop())?
            .map(|(host, threads)| {
                workers.extend(threads);
                host
            });
        let decisions = plugins.as_ref().map(|host| Arc::clone(&host.decisions));
        let devices = Devices {
            tenants: policy.tenants.clone(),
            offload: !options.no_offload,
            mailboxes: Arc::clone(&mailboxes),
        };
        let outside = Outside::start(&policy, routing, devices, &events);
        let stop = || {
            queues.stop();
            decisions.iter().for_each(|d| d.stop());
        };
        let outside = outside.inspect_err(|_| stop())?;
        let log = logged.map(|logged| {
            let registry = plugins.as_ref().map(|host| Arc::clone(&host.registry));
            let settings = policy.observability.log.clone();
            Log::start(settings, logged, &events, registry)
        });
        let log = log.transpose().inspect_err(|_| stop())?;
        let shared = Shared {
            mailboxes,
            directory,
            queues,
            events,
            decisions,
            routes: outside.changes,
            incidents,
            known,
        };
        let ends = Ends::new(shards.into());
        let handle = EngineHandle::new(Parts {
            shared: shared.clone(),
            policy: Arc::clone(&policy),
            bound,
            notes,
            metrics: outside.metrics,
            route_status: outside.status,
            ends: ends.clone(),
            workers,
            plugins,
            log,
            runtime: outside.runtime,
            routes: outside.routes,
        });
        if let (Some(prepare), Some(registry)) = (options.prepare, handle.plugins()) {
            prepare.0(&registry).map_err(StartError::Plugin)?;
        }
        let mut remembered = by_shard(remembered, shards);
        let shards = outer.into_iter().zip(inner).zip(0u8..);
        for ((outer, inner), id) in shards {
            let own = Own {
                remembered: remembered.remove(&ShardId(id)).unwrap_or_default(),
                config: shard_config(id, &policy),
                outer,
                inner,
                gso: !options.no_offload,
            };
            // A thread that does not start ends the handle, and with it those that did.
            spawn_shard(own, shared.clone(), ends.clone(), !options.unpinned)?;
        }
        handle.publish_every(PUBLISH);
        for note in handle.notes() {
            tracing::warn!("{note}");
        }
        Ok(handle)
    }
}

/// Each goes to the shard that what it still sends comes to.
fn by_shard(devices: Vec<Remembered>, shards: u8) -> HashMap<ShardId, Vec<Remembered>> {
    let mut all: HashMap<_, Vec<_>> = HashMap::new();
    for device in devices {
        let spi = device.spis.last().copied().unwrap_or_default();
        let shard = hawser_shard::shard_of(spi.to_be_bytes()[0], shards);
        all.entry(shard).or_default().push(device);
    }
    all
}

fn shard_count(policy: &Policy) -> Result<u8, StartError> {
    match policy.shards {
        Some(0) => Err(StartError::Policy("0 shards".into())),
        Some(n) => Ok(n),
        None => Ok(u8::try_from(cores()).unwrap_or(u8::MAX)),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn shard_config(id: u8, policy: &Arc<Policy>) -> ShardConfig {
    ShardConfig {
        id: ShardId(id),
        shards: policy.shards.unwrap_or(1),
        seed: rand::random(),
        policy: Arc::clone(policy),
    }
}

/// The policy with what came of it: ports, number of shards, first revision.
fn running_policy(mut policy: Policy, shards: u8, bound: &[Bound]) -> Policy {
    let port = |nat| {
        bound
            .iter()
            .find(|b| b.nat == nat)
            .map(|b| b.address.port())
    };
    policy.revision = 1;
    policy.shards = Some(shards);
    policy.listen.port = port(false).unwrap_or(policy.listen.port);
    policy.listen.nat_port = port(true).unwrap_or(policy.listen.nat_port);
    policy
}

/// The inner queues of each shard, by tenant.
type Inner = Vec<Vec<Option<tun::Queue>>>;

fn open_inner(
    policy: &Policy,
    devices: InnerDevices,
    shards: u8,
    offload: bool,
) -> Result<(Inner, Option<Routing>), StartError> {
    let mut inner: Inner = (0..shards).map(|_| Vec::new()).collect();
    match devices {
        InnerDevices::Tun(routing) => {
            for tenant in &policy.tenants {
                for (queue, shard) in tun::open_queues(tenant, shards, offload)?
                    .into_iter()
                    .zip(&mut inner)
                {
                    shard.push(Some(queue));
                }
            }
            Ok((inner, Some(routing)))
        }
        InnerDevices::Fds(mut fds) => {
            for tenant in &policy.tenants {
                for (shard, id) in inner.iter_mut().zip(0u8..) {
                    let fd = fds
                        .remove(&(tenant.id, ShardId(id)))
                        .map(tun::adopt)
                        .transpose()?;
                    shard.push(fd);
                }
            }
            Ok((inner, None))
        }
    }
}

/// The mark, where it may be set.
fn usable_mark(mark: u32, notes: &mut Vec<String>) -> Option<u32> {
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).ok()?;
    let allowed = socket2::SockRef::from(&socket).set_mark(mark).is_ok();
    if !allowed {
        notes.push(
            "outer sockets are not marked (CAP_NET_ADMIN is missing): a route of a tunnel that \
             covers a peer's outer address would swallow the packets that carry it"
                .to_owned(),
        );
    }
    allowed.then_some(mark)
}

/// The outer sockets of each shard.
type Outer = Vec<Vec<OuterSocket>>;

fn bind_all(
    policy: &Policy,
    shards: u8,
    mark: Option<u32>,
    notes: &mut Vec<String>,
) -> Result<(Outer, Vec<Bound>), StartError> {
    let addresses = udp::distinct(&policy.listen.addresses);
    if addresses.is_empty() {
        return Err(StartError::Policy("no address to listen on".into()));
    }
    let mut outer: Outer = (0..shards).map(|_| Vec::new()).collect();
    let mut bound = Vec::new();
    for (port, number) in [
        (Port::Ike, policy.listen.port),
        (Port::Nat, policy.listen.nat_port),
    ] {
        let groups = bind_port(&addresses, number, |a| {
            udp::bind_group(a, port, shards, mark)
        })?;
        for group in groups {
            let address = group[0][0].local;
            bound.push(Bound {
                address,
                nat: port == Port::Nat,
            });
            for (sockets, shard) in group.into_iter().zip(&mut outer) {
                shard.extend(sockets);
            }
        }
    }
    if policy.listen.native_esp {
        for address in addresses {
            match raw::open(address, shards, mark) {
                Ok(sockets) => outer.iter_mut().zip(sockets).for_each(|(o, s)| o.push(s)),
                Err(error) => notes.push(no_native_esp(address, &error)),
            }
        }
    }
    Ok((outer, bound))
}

fn no_native_esp(address: IpAddr, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            ": CAP_NET_RAW is missing; run as root, or `setcap \
             cap_net_raw,cap_net_admin,cap_net_bind_service+ep` on the hawser binary"
        }
        _ => "",
    };
    format!("no native ESP on {address} ({error}{remedy}); UDP-encapsulated ESP works without")
}

/// Binds the same port on every address. Port 0 stands for one that is free on all.
fn bind_port<T>(
    addresses: &[IpAddr],
    port: u16,
    bind: impl Fn(SocketAddr) -> Result<Vec<Vec<OuterSocket>>, T>,
) -> Result<Vec<Vec<Vec<OuterSocket>>>, T> {
    let mut tries = if port == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let mut number = port;
        let bind = |address: &IpAddr| {
            let group = bind(SocketAddr::new(*address, number))?;
            number = group[0][0].local.port();
            Ok(group)
        };
        match addresses.iter().map(bind).collect() {
            Err(_) if tries > 0 => {}
            result => return result,
        }
    }
}

/// What is not a packet.
struct Outside {
    runtime: Background,
    metrics: Arc<Metrics>,
    status: Arc<RouteStatus>,
    changes: Option<mpsc::UnboundedSender<Told>>,
    routes: Option<RouteTask>,
}

impl Outside {
    fn start(
        policy: &Arc<Policy>,
        routing: Option<Routing>,
        devices: Devices,
        events: &EventBus,
    ) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("hawser-outside")
            .enable_all()
            .build()?;
        let runtime = Background::new(runtime);
        let status = Arc::new(RouteStatus::default());
        let listen = policy.observability.metrics;
        let metrics = wait_for(&runtime, async move { Metrics::start(listen) })?;
        let (mut changes, mut routes) = (None, None);
        if let Some(routing) = routing {
            let (sender, receiver) = mpsc::unbounded_channel();
            let (end, ended) = oneshot::channel();
            let (events, status) = (events.clone(), Arc::clone(&status));
            let set_up = async move { Routes::set_up(devices, routing, events, status).await };
            let task = runtime.spawn(wait_for(&runtime, set_up)?.run(receiver, ended));
            (changes, routes) = (Some(sender), task.map(|task| RouteTask { end, task }));
        }
        Ok(Self {
            runtime,
            metrics: Arc::new(metrics),
            status,
            changes,
            routes,
        })
    }
}

/// Runs it on the runtime and waits on this thread, which may belong to another runtime.
fn wait_for<T: Send + 'static>(
    runtime: &Background,
    work: impl Future<Output = Result<T, StartError>> + Send + 'static,
) -> Result<T, StartError> {
    let (sender, receiver) = std::sync::mpsc::channel();
    runtime.spawn(async move { sender.send(work.await) });
    receiver
        .recv()
        .map_err(|_| io::Error::other("setting up panicked"))?
}

fn spawn_shard(own: Own, shared: Shared, ends: Ends, pin: bool) -> io::Result<()> {
    let id = own.config.id;
    let body = move || {
        if pin {
            pin_to_core(usize::from(id.0));
        }
        let result = catch_unwind(AssertUnwindSafe(|| shard_thread::run(own, shared)));
        // By now its sockets and queues are closed.
        ends.report(
            id,
            match result {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("it panicked".to_owned()),
            },
        );
    };
    std::thread::Builder::new()
        .name(format!("hawser-shard-{}", id.0))
        .spawn(body)?;
    Ok(())
}

/// One of the cores that the process may use, in turn. That it cannot is no harm.
fn pin_to_core(shard: usize) {
    let Ok(allowed) = sched_getaffinity(None) else {
        return;
    };
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|cpu| allowed.is_set(*cpu))
        .collect();
    if cores.len() < 2 {
        return;
    }
    let mut one = CpuSet::new();
    one.set(cores[shard % cores.len()]);
    let _ = sched_setaffinity(None, &one);
}
