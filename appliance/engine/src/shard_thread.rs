//! The thread of a shard: one loop that waits for what is ready, works a bounded piece of each, and
//! never blocks.
//!
//! In a round the order is: what other threads left, established traffic, the inside, strangers,
//! timers. Everything is level-triggered, so what is left over shows up in the next round.

use crate::counters::{EngineCounters, ShardSnapshot};
use crate::directory::Directory;
use crate::events::EventBus;
use crate::inbox::{Inbox, Train};
use crate::incidents::Incidents;
use crate::inner::{End, InnerQueues};
use crate::known::Known;
use crate::mailbox::{Control, Mailbox, Packet, ReplySender};
use crate::outbox::Outbox;
use crate::plugins::{self, Decisions};
use crate::poller::{Poller, Source};
use crate::raw;
use crate::routes::Told;
use crate::tun::Queue;
use crate::udp::{Kind, OuterSocket};
use crate::watch::Onlooker;
use crate::workers::{Backlog, Queues};
use arrayvec::ArrayVec;
use hawser_esp::SealedBatch;
use hawser_esp::packet::Ecn;
use hawser_flight::{DropReason, Event, Path};
use hawser_policy::TenantId;
use hawser_shard::io::{
    Answer, AskId, CommandId, HandOff, KeRequest, Output, PacketSink, Question, Reply, ShardId,
};
use hawser_shard::restore::Remembered;
use hawser_shard::trace::{Sight, Target, What};
use hawser_shard::{Shard, ShardConfig};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Messages, answers and commands in a round.
const CONTROL: usize = 1024;
/// Packets from other shards in a round.
const HANDED_OVER: usize = 256;
/// Batches of established traffic from a socket in a round.
const BATCHES: usize = 4;
/// Batches of keepalives at a time.
const KEEPALIVES: usize = 512;
/// Trains of strangers from a socket in a round.
const STRANGERS: usize = 16;
/// Batches from a TUN queue in a round.
const INNER: usize = 4;
/// Datagrams on one path that are worked on together.
const TOGETHER: usize = 64;
/// Timeouts in a round.
const TIMEOUTS: usize = 16;
/// Commands that wait for their reply.
const COMMANDS: usize = 1024;
/// Why nobody decides where there are no plugins.
const NO_PLUGINS: &str = "this gateway runs without plugins";
/// How long what is queued may take to leave at the end.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What every shard has in common.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) mailboxes: Arc<[Mailbox]>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) events: EventBus,
    pub(crate) incidents: Incidents,
    pub(crate) known: Known,
    /// Absent where there are no plugins: no shard asks for them then.
    pub(crate) decisions: Option<Arc<Decisions>>,
    /// Absent where inner devices are the caller's: nothing is routed.
    pub(crate) routes: Option<mpsc::UnboundedSender<Told>>,
}

/// What a shard has for itself.
pub(crate) struct Own {
    pub(crate) config: ShardConfig,
    pub(crate) outer: Vec<OuterSocket>,
    pub(crate) inner: Vec<Option<Queue>>,
    /// Devices that were up when another run ended.
    pub(crate) remembered: Vec<Remembered>,
    /// Whether trains are sent as one.
    pub(crate) gso: bool,
}

/// Runs the shard until it has finished or is stopped.
pub(crate) fn run(own: Own, shared: Shared) -> io::Result<()> {
    let mut own = own;
    let remembered = std::mem::take(&mut own.remembered);
    let mut shard_loop = Loop::new(own, shared)?;
    shard_loop.restore(remembered);
    while !shard_loop.ended {
        shard_loop.round()?;
    }
    shard_loop.last_words();
    Ok(())
}

struct Loop {
    id: ShardId,
    shard: Shard,
    wire: Wire,
    inbox: Inbox,
    /// Outer sockets that wake nobody.
    keepalives: Vec<usize>,
    backlog: Backlog,
    commands: HashMap<CommandId, ReplySender>,
    /// Who looks on.
    traces: HashMap<CommandId, Onlooker<Sight>>,
    poller: Poller,
    shared: Shared,
    /// Devices of another run are in place.
    restored: bool,
    /// Something was left over: look without waiting.
    again: bool,
    ended: bool,
}

/// Where the shard's packets go.
struct Wire {
    outbox: Outbox,
    inner: InnerQueues,
    mailboxes: Arc<[Mailbox]>,
    counters: EngineCounters,
}

impl PacketSink for Wire {
    fn outer(&mut self, path: &Path, ecn: Ecn, packet: &[u8]) {
        let taken = self.outbox.push(path, ecn, packet);
        self.counters.send_errors += u64::from(!taken);
    }

    fn outer_batch(&mut self, path: &Path, seal: &mut dyn FnMut(&mut SealedBatch)) {
        let taken = self.outbox.push_batch(path, seal);
        self.counters.send_errors += u64::from(!taken);
        if self.outbox.is_full() {
            self.outbox.flush(&mut self.counters);
        }
    }

    fn inner(&mut self, tenant: TenantId, packet: &[u8]) {
        self.inner.write(tenant, packet, &mut self.counters);
    }

    fn hand_off(&mut self, to: ShardId, packet: HandOff<'_>) {
        let mailbox = self.mailboxes.get(usize::from(to.0));
        if !mailbox.is_some_and(|m| m.hand_off(packet)) {
            self.counters.drops.count(DropReason::RingFull);
        }
    }
}

impl Loop {
    fn new(own: Own, shared: Shared) -> io::Result<Self> {
        let id = own.config.id;
        let mut poller = Poller::new()?;
        poller.add(&shared.mailboxes[usize::from(id.0)], Source::Mailbox)?;
        let (outbox, inner) = (Outbox::new(own.outer, own.gso), InnerQueues::new(own.inner));
        let mut keepalives = Vec::new();
        for (index, outer) in outbox.sockets() {
            match outer.kind {
                Kind::Keepalives => keepalives.push(index),
                _ => poller.add(&outer.socket, Source::Outer(index))?,
            }
        }
        for (tenant, fd) in inner.iter() {
            poller.add(fd, Source::Inner(tenant))?;
        }
        let mailboxes = Arc::clone(&shared.mailboxes);
        Ok(Self {
            id,
            shard: Shard::new(own.config, Instant::now()),
            wire: Wire {
                outbox,
                inner,
                mailboxes,
                counters: EngineCounters::default(),
            },
            inbox: Inbox::new(),
            keepalives,
            backlog: Backlog::new(id, Arc::clone(&shared.queues)),
            commands: HashMap::new(),
            traces: HashMap::new(),
            poller,
            shared,
            restored: false,
            again: true,
            ended: false,
        })
    }

    /// What comes of it is no news for the next run.
    fn restore(&mut self, devices: Vec<Remembered>) {
        let now = Instant::now();
        self.shard.restore(now, devices);
        self.drain(now);
        self.restored = true;
    }

    fn round(&mut self) -> io::Result<()> {
        let deadline = self.shard.next_timeout();
        let timeout = match self.again {
            true => Some(Duration::ZERO),
            false => deadline.map(|at| at.saturating_duration_since(Instant::now())),
        };
        let ready = self.poller.wait(timeout)?;
        let begin = Instant::now();
        let left_over = std::mem::take(&mut self.again);
        // Outputs that the shard had before anything came in.
        self.settle(begin);
        if ready.mail || left_over {
            self.mail(begin);
        }
        for index in ready.writable {
            self.wire.outbox.resume(index, &mut self.wire.counters);
        }
        let strange = |i: &usize| matches!(self.wire.outbox.socket(*i).kind, Kind::Admission(_));
        let (strangers, established): (Vec<_>, Vec<_>) =
            ready.readable.into_iter().partition(strange);
        established
            .into_iter()
            .for_each(|index| self.receive_established(index));
        ready
            .inner
            .into_iter()
            .for_each(|(tenant, hung_up)| self.read_inner(tenant, hung_up));
        for index in strangers {
            self.receive(index, STRANGERS);
        }
        self.timers();
        for index in 0..self.wire.outbox.sockets().count() {
            let outer = self.wire.outbox.socket(index);
            self.poller
                .want_room(&outer.socket, index, self.wire.outbox.waits(index))?;
        }
        if let Some((local, taken)) = self.wire.outbox.trains_changed() {
            let event = Event::Trains { local, taken };
            self.shared.events.publish(self.id, None, event);
        }
        let late = deadline.map_or(Duration::ZERO, |at| begin.saturating_duration_since(at));
        let counters = &mut self.wire.counters;
        counters.loop_lag = counters.loop_lag.max(begin.elapsed()).max(late);
        counters.rounds += 1;
        Ok(())
    }

    fn mail(&mut self, now: Instant) {
        let mailboxes = Arc::clone(&self.shared.mailboxes);
        let mailbox = &mailboxes[usize::from(self.id.0)];
        mailbox.begin();
        for control in std::iter::from_fn(|| mailbox.take_control()).take(CONTROL) {
            self.control(now, control);
            // Order is meaning: what one makes is settled before the next comes.
            self.drain(now);
        }
        for packet in std::iter::from_fn(|| mailbox.take_packet()).take(HANDED_OVER) {
            self.handed_over(now, packet);
        }
        self.settle(now);
        self.again |= !mailbox.is_empty();
    }

    fn control(&mut self, now: Instant, control: Control) {
        match control {
            Control::Message(message) => self.shard.message(now, message),
            Control::Answer(id, answer) => {
                self.backlog.pass_on();
                self.shard.answer(now, id, answer);
            }
            Control::Command(_, _, replies) if self.commands.len() >= COMMANDS => {
                let full = Reply::Failed("too many commands wait for a reply".into());
                let _ = replies.send((self.id, full));
            }
            Control::Command(id, command, replies) => {
                self.commands.insert(id, replies);
                self.shard.command(now, id, command);
            }
            Control::Hooks(hooks) => self.shard.hooks(now, hooks),
            Control::Snapshot(to) => {
                self.count_keepalives();
                // Nobody waits any more: nothing is lost.
                let _ = to.send(self.snapshot());
            }
            Control::Inner(tenant, queue) => self.reopen_inner(tenant, queue),
            Control::Trace(id, target, what, until, to) => {
                self.trace(now, id, target, what, until, to);
            }
            Control::Stop => self.ended = true,
        }
    }

    fn trace(
        &mut self,
        now: Instant,
        id: CommandId,
        target: Target,
        what: What,
        until: Instant,
        to: Onlooker<Sight>,
    ) {
        let shard = &mut self.shard;
        self.traces.retain(|id, to| {
            let listens = to.is_heard();
            if !listens {
                shard.end_trace(*id);
            }
            listens
        });
        if shard.trace(now, id, target, what, until) {
            self.traces.insert(id, to);
        }
    }

    fn traced(&mut self, id: CommandId, traced: Sight) {
        if !self.traces.get(&id).is_some_and(|to| to.tell(traced)) {
            self.traces.remove(&id);
            self.shard.end_trace(id);
        }
    }

    fn handed_over(&mut self, now: Instant, packet: Packet) {
        match packet {
            Packet::Datagram {
                path,
                ecn,
                mut payload,
            } => {
                // Native ESP has no ports.
                match path.local.port() {
                    0 => self
                        .shard
                        .native_esp(now, path, ecn, &mut [&mut payload], &mut self.wire),
                    _ => self
                        .shard
                        .handed_datagram(now, path, ecn, &mut payload, &mut self.wire),
                }
            }
            Packet::Inner { tenant, mut packet } => {
                self.shard
                    .handed_inner(now, tenant, &mut packet, &mut self.wire);
            }
        }
    }

    fn receive_established(&mut self, index: usize) {
        for _ in 0..BATCHES {
            if !self.receive(index, usize::MAX) {
                return;
            }
        }
    }

    /// Works off one batch; whether there may be more.
    fn receive(&mut self, index: usize, max: usize) -> bool {
        let socket = self.wire.outbox.socket(index);
        let (local, kind) = (socket.local, socket.kind);
        let more = self.inbox.receive(socket, max);
        let now = Instant::now();
        // Trains that follow each other on one path are worked on together.
        let mut together = Together {
            now,
            kind,
            from: None,
            datagrams: ArrayVec::new(),
        };
        for train in self.inbox.trains(local) {
            let Some(path) = path_of(&train, kind) else {
                self.wire.counters.unanswerable += 1;
                continue;
            };
            let from = Some((path, Ecn::from_bits(train.ecn)));
            if together.from != from {
                together.work_off(&mut self.shard, &mut self.wire);
                together.from = from;
            }
            for datagram in train.datagrams() {
                if together.datagrams.is_full() {
                    together.work_off(&mut self.shard, &mut self.wire);
                }
                together.datagrams.push(match kind {
                    Kind::RawEsp => raw::payload(local.is_ipv4(), datagram),
                    _ => datagram,
                });
            }
        }
        together.work_off(&mut self.shard, &mut self.wire);
        drop(together);
        self.settle(now);
        more
    }

    /// Takes what the keepalives' sockets have collected since the last snapshot.
    fn count_keepalives(&mut self) {
        for index in self.keepalives.clone() {
            for _ in 0..KEEPALIVES {
                if !self.receive(index, usize::MAX) {
                    break;
                }
            }
        }
    }

    fn read_inner(&mut self, tenant: TenantId, hung_up: bool) {
        let now = Instant::now();
        let mut buffer = self.wire.inner.lend();
        let mut end = End::More;
        for _ in 0..INNER {
            let mut packets = Vec::new();
            let Wire {
                inner, counters, ..
            } = &mut self.wire;
            end = inner.read(tenant, &mut buffer, &mut packets, counters);
            self.shard
                .inner_batch(now, tenant, &mut packets, &mut self.wire);
            self.wire.outbox.flush(&mut self.wire.counters);
            if end != End::More {
                break;
            }
        }
        self.wire.inner.give_back(buffer);
        if end == End::Gone || end == End::Nothing && hung_up {
            self.inner_is_gone(tenant);
        }
        self.settle(now);
    }

    /// What comes for it is dropped and counted until it is made again.
    fn inner_is_gone(&mut self, tenant: TenantId) {
        let Some(generation) = self.wire.inner.close(tenant) else {
            return;
        };
        match &self.shared.routes {
            Some(routes) => drop(routes.send(Told::DeviceGone(tenant, generation))),
            // The caller's device, of which no other shard has a queue.
            None => tracing::error!(shard = self.id.0, tenant = tenant.0, "inner device is gone"),
        }
    }

    fn reopen_inner(&mut self, tenant: TenantId, queue: Queue) {
        let Some(fd) = self.wire.inner.reopen(tenant, queue) else {
            return;
        };
        if let Err(error) = self.poller.add(fd, Source::Inner(tenant)) {
            tracing::error!(shard = self.id.0, tenant = tenant.0, %error, "inner device");
        }
    }

    fn timers(&mut self) {
        for _ in 0..TIMEOUTS {
            let now = Instant::now();
            if self.shard.next_timeout().is_none_or(|at| at > now) {
                return;
            }
            self.shard.timeout(now);
            self.settle(now);
        }
    }

    /// Carries out what the shard wants, then sends.
    fn settle(&mut self, now: Instant) {
        self.drain(now);
        self.wire.inner.flush(&mut self.wire.counters);
        self.wire.outbox.flush(&mut self.wire.counters);
    }

    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.shard.poll_output() {
            self.carry_out(now, output);
        }
    }

    fn carry_out(&mut self, now: Instant, output: Output) {
        match output {
            Output::Transmit { path, payload } => {
                let taken = self.wire.outbox.push(&path, Ecn::NotEct, &payload);
                self.wire.counters.send_errors += u64::from(!taken);
            }
            Output::Ask(id, Question::KeyExchange(request)) => self.ask_workers(now, id, request),
            Output::Ask(id, Question::Directory(request)) => {
                self.shared.known.note(&request, !self.restored);
                let answer = self.shared.directory.answer(request);
                self.shard.answer(now, id, answer);
            }
            Output::Ask(id, Question::Authorize(request)) => {
                let decisions = self.shared.decisions.as_ref();
                let refusal = decisions.map(|d| d.authorize(self.id, id, request));
                let nobody = || Some(plugins::not_authorized(NO_PLUGINS));
                self.answer_refused(now, id, refusal.unwrap_or_else(nobody));
            }
            Output::Ask(id, Question::DpdPolicy(evidence)) => {
                let decisions = self.shared.decisions.as_ref();
                let refusal = decisions.map(|d| d.police(self.id, id, evidence));
                let nobody = || Some(plugins::not_policed(NO_PLUGINS));
                self.answer_refused(now, id, refusal.unwrap_or_else(nobody));
            }
            Output::Route(change) => {
                if let Some(routes) = &self.shared.routes {
                    let _ = routes.send(Told::Route(self.id, change));
                }
            }
            Output::Send(to, message) => match self.shared.mailboxes.get(usize::from(to.0)) {
                Some(mailbox) => mailbox.put(Control::Message(message)),
                None => tracing::error!(to = to.0, ?message, "message for a shard that is not"),
            },
            Output::Event(peer, event) => {
                if let Some(decisions) = &self.shared.decisions {
                    decisions.flaps.note(peer.as_deref(), &event);
                }
                self.shared.events.publish(self.id, peer, event);
            }
            Output::Reply(id, reply) => {
                if let Some(replies) = self.commands.remove(&id) {
                    let _ = replies.send((self.id, reply));
                }
            }
            Output::Incident(incident) => self.shared.incidents.tell(*incident),
            Output::Traced(id, traced) => self.traced(id, traced),
            Output::Finished => self.ended = true,
        }
    }

    fn answer_refused(&mut self, now: Instant, id: AskId, refusal: Option<Answer>) {
        if let Some(answer) = refusal {
            self.shard.answer(now, id, answer);
        }
    }

    fn ask_workers(&mut self, now: Instant, id: AskId, request: KeRequest) {
        if let Some(refusal) = self.backlog.ask(id, request) {
            self.wire.counters.key_exchange_refused += 1;
            self.shard.answer(now, id, refusal);
        }
    }

    fn snapshot(&mut self) -> ShardSnapshot {
        let counters = self.shard.counters().clone();
        self.wire.counters.key_exchange_backlog = self.backlog.len() as u64;
        let (trains, refused) = self.wire.outbox.trains();
        (self.wire.counters.trains, self.wire.counters.trains_refused) = (trains, refused);
        self.wire.inner.count(&mut self.wire.counters);
        let engine = self.wire.counters.clone();
        self.wire.counters.loop_lag = Duration::ZERO;
        ShardSnapshot {
            shard: self.id,
            counters,
            engine,
        }
    }

    /// Gives what is queued a moment to leave: DELETEs, mostly.
    fn last_words(&mut self) {
        let until = Instant::now() + LAST_WORDS;
        let outbox = &mut self.wire.outbox;
        let count = outbox.sockets().count();
        while (0..count).any(|i| outbox.waits(i)) && Instant::now() < until {
            (0..count).for_each(|i| outbox.resume(i, &mut self.wire.counters));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Datagrams that came on one path, one after the other.
struct Together<'a> {
    now: Instant,
    kind: Kind,
    from: Option<(Path, Ecn)>,
    datagrams: ArrayVec<&'a mut [u8], TOGETHER>,
}

impl Together<'_> {
    fn work_off(&mut self, shard: &mut Shard, wire: &mut Wire) {
        let Some((path, ecn)) = self.from else { return };
        let datagrams = &mut self.datagrams;
        match self.kind {
            Kind::RawEsp => shard.native_esp(self.now, path, ecn, datagrams, wire),
            _ => shard.datagrams(self.now, path, ecn, datagrams, wire),
        }
        datagrams.clear();
    }
}

/// The path that a train came on; `None` where nobody could answer it: UDP from port 0, which the
/// kernel refuses to send to.
fn path_of(train: &Train<'_>, kind: Kind) -> Option<Path> {
    let without_port = |a: SocketAddr| SocketAddr::new(a.ip(), 0);
    let (local, remote) = match kind {
        Kind::RawEsp => (without_port(train.local), without_port(train.remote)),
        _ if train.remote.port() == 0 => return None,
        _ => (train.local, train.remote),
    };
    let encapsulated = matches!(
        kind,
        Kind::Established(crate::steering::Port::Nat) | Kind::Admission(crate::steering::Port::Nat)
    );
    Some(Path {
        local,
        remote,
        encapsulated,
    })
}
