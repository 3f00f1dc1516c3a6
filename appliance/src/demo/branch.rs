//! A branch: a real shard in the role of the initiator, its NAT, and a host that pings.

use super::board::{Board, State};
use super::headquarters::Headquarters;
use super::nat::{Arrived, Nat};
use super::script::Order;
use super::{Options, icmp, policy, worker};
use hawser_esp::Ecn;
use hawser_flight::{Event, Lineage, Path};
use hawser_policy::{Policy, TenantId};
use hawser_shard::io::{Answer, AskId, HandOff, Output, PacketSink, Question, ShardId};
use hawser_shard::{Shard, ShardConfig};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// How long a ping may take before it counts as lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Between two pings of a branch.
const PING_EVERY: Duration = Duration::from_millis(200);
/// Between the first packets of two branches.
const STAGGER: Duration = Duration::from_millis(20);
/// Threads for the branches' key exchanges.
const WORKERS: usize = 2;

/// The thread of the branches; they end with it.
pub(super) struct Branches(
    Option<oneshot::Sender<()>>,
    Option<std::thread::JoinHandle<()>>,
);

impl Branches {
    /// Ends every branch.
    pub(super) fn stop(mut self) {
        drop(self.0.take());
        let _ = self.1.take().map(std::thread::JoinHandle::join);
    }
}

/// Starts the branches, one after the other, on a thread of their own.
pub(super) fn start(
    headquarters: &Headquarters,
    board: &Arc<Board>,
    orders: Vec<UnboundedReceiver<Order>>,
    options: &Options,
) -> anyhow::Result<Branches> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(WORKERS)
        .enable_all()
        .build()?;
    let gateway = headquarters.address;
    let (board, length) = (Arc::clone(board), options.length);
    let (stop, stopped) = oneshot::channel::<()>();
    let begin = move || {
        let local = tokio::task::LocalSet::new();
        for (number, orders) in (1..).zip(orders) {
            let policy = Arc::new(policy::branch(number, gateway, length));
            let board = Arc::clone(&board);
            local.spawn_local(async move {
                tokio::time::sleep(STAGGER * u32::from(number)).await;
                live(number, policy, gateway, &board, orders).await;
            });
        }
        let _ = local.block_on(&runtime, stopped);
    };
    let thread = std::thread::Builder::new()
        .name("branches".to_owned())
        .spawn(begin)?;
    Ok(Branches(Some(stop), Some(thread)))
}

/// The lives of a branch, one after the other.
async fn live(
    number: u8,
    policy: Arc<Policy>,
    gateway: SocketAddr,
    board: &Board,
    mut orders: UnboundedReceiver<Order>,
) {
    loop {
        board.branch(number).state = State::Connecting;
        let mut branch = Branch::new(number, Arc::clone(&policy), gateway, board);
        let Some(dead_for) = branch.run(&mut orders).await else {
            return;
        };
        branch.excuse_pings();
        drop(branch);
        board.branch(number).die();
        tokio::time::sleep(dead_for).await;
    }
}

/// What a batch of packets made.
#[derive(Default)]
struct Made {
    outer: Vec<(Path, Vec<u8>)>,
    inner: Vec<Vec<u8>>,
}

impl PacketSink for Made {
    fn outer(&mut self, path: &Path, _: Ecn, packet: &[u8]) {
        self.outer.push((*path, packet.to_vec()));
    }

    fn inner(&mut self, _: TenantId, packet: &[u8]) {
        self.inner.push(packet.to_vec());
    }

    fn hand_off(&mut self, _: ShardId, _: HandOff<'_>) {
        // A branch is one shard.
    }
}

/// One life of a branch.
struct Branch<'a> {
    number: u8,
    board: &'a Board,
    shard: Shard,
    nat: Nat,
    gateway: SocketAddr,
    arrivals: UnboundedReceiver<Arrived>,
    answers: UnboundedReceiver<(AskId, Answer)>,
    answer_to: UnboundedSender<(AskId, Answer)>,
    /// Pings not answered yet.
    waiting: HashMap<u16, Instant>,
    sequence: u16,
    next_ping: Instant,
    /// The NAT has rebound, and since when the gateway could know.
    rebound: Option<Option<Instant>>,
}

impl<'a> Branch<'a> {
    fn new(number: u8, policy: Arc<Policy>, gateway: SocketAddr, board: &'a Board) -> Self {
        let (nat, arrivals) = Nat::new();
        let (answer_to, answers) = unbounded_channel();
        let config = ShardConfig {
            id: ShardId(0),
            shards: 1,
            seed: rand::random(),
            policy,
        };
        Self {
            number,
            board,
            shard: Shard::new(config, Instant::now().into_std()),
            nat,
            gateway,
            arrivals,
            answers,
            answer_to,
            waiting: HashMap::new(),
            sequence: 0,
            next_ping: Instant::now(),
            rebound: None,
        }
    }

    /// Lives until it is told to die, and for how long it is dead then; `None`: the demo is over.
    async fn run(&mut self, orders: &mut UnboundedReceiver<Order>) -> Option<Duration> {
        loop {
            self.drain();
            let timer = self.shard.next_timeout().map(Instant::from_std);
            let wake = timer.map_or(self.next_ping, |t| t.min(self.next_ping));
            tokio::select! {
                Some(arrived) = self.arrivals.recv() => self.arrived(arrived),
                Some((id, answer)) = self.answers.recv() => {
                    self.shard.answer(Instant::now().into_std(), id, answer);
                }
                order = orders.recv() => match order? {
                    Order::Rebind => self.rebind(None),
                    Order::GoDark(length) => self.rebind(Some(length)),
                    Order::Die(length) => return Some(length),
                },
                () = sleep_until(wake) => {
                    self.shard.timeout(Instant::now().into_std());
                    self.ping_if_due();
                }
            }
        }
    }

    fn rebind(&mut self, dark_for: Option<Duration>) {
        self.excuse_pings();
        match dark_for {
            Some(length) => self.nat.go_dark(Instant::now() + length),
            None => self.nat.forget(),
        }
        if self.rebound.replace(None).is_none() {
            self.board.branch(self.number).unfollowed += 1;
        }
    }

    /// Pings that cannot be answered any more, by no fault of the gateway.
    fn excuse_pings(&mut self) {
        self.board.branch(self.number).pings.excused += self.waiting.len() as u64;
        self.waiting.clear();
    }

    fn arrived(&mut self, mut arrived: Arrived) {
        let path = Path {
            local: arrived.local,
            remote: self.gateway,
            encapsulated: true,
        };
        let mut made = Made::default();
        let now = Instant::now();
        self.shard.datagram(
            now.into_std(),
            path,
            Ecn::NotEct,
            &mut arrived.payload,
            &mut made,
        );
        if !made.inner.is_empty() {
            self.followed(now);
        }
        self.pass_on(made);
    }

    /// The first ESP packet after a rebind came back.
    fn followed(&mut self, now: Instant) {
        if let Some(Some(since)) = self.rebound {
            self.rebound = None;
            let mut place = self.board.branch(self.number);
            place.unfollowed -= 1;
            place.followed.push(now - since);
        }
    }

    /// Takes out what the shard has to say.
    fn drain(&mut self) {
        while let Some(output) = self.shard.poll_output() {
            match output {
                Output::Transmit { path, payload } => self.send(&path, &payload),
                Output::Ask(id, Question::KeyExchange(request)) => {
                    worker::perform(id, request, &self.answer_to);
                }
                Output::Ask(id, Question::Directory(_)) => {
                    let nobody = Answer::Located {
                        same: Vec::new(),
                        others: Vec::new(),
                    };
                    self.shard.answer(Instant::now().into_std(), id, nobody);
                }
                Output::Event(_, event) => self.note(&event),
                // A branch has one shard, no routes and no operator.
                Output::Incident(_)
                | Output::Route(_)
                | Output::Send(..)
                | Output::Reply(..)
                | Output::Finished => {}
            }
        }
        let mut place = self.board.branch(self.number);
        place.port = self.nat.port();
        place.state = match place.state {
            State::Dark if !self.nat.is_dark() => State::Up,
            State::Up if self.nat.is_dark() => State::Dark,
            state => state,
        };
    }

    fn note(&self, event: &Event) {
        let mut place = self.board.branch(self.number);
        match event {
            Event::PeerUp => place.state = State::Up,
            Event::PeerDown { .. } => place.state = State::Connecting,
            Event::IkeSaEstablished {
                lineage: Lineage::Initial,
                ..
            } => place.handshakes += 1,
            Event::IkeSaEstablished { .. } => place.ike_rekeys += 1,
            Event::ChildSaInstalled {
                lineage: Lineage::Rekey(_),
                ..
            } => place.child_rekeys += 1,
            Event::HandshakeFailed { reason, .. } => {
                place.handshake_failures.push(reason.to_string());
            }
            _ => {}
        }
    }

    fn pass_on(&mut self, made: Made) {
        for (path, packet) in made.outer {
            self.send(&path, &packet);
        }
        let host = policy::branch_host(self.number);
        for packet in made.inner {
            let sequence = icmp::reply(&packet, host, u16::from(self.number));
            if let Some(sent) = sequence.and_then(|s| self.waiting.remove(&s)) {
                let mut place = self.board.branch(self.number);
                place.pings.answered += 1;
                place.pings.rtt = sent.elapsed();
            }
        }
    }

    fn send(&mut self, path: &Path, payload: &[u8]) {
        // Without a socket there is nothing to send from; the next packet tries again.
        let sent = self
            .nat
            .send(path.local, path.remote, payload)
            .is_ok_and(|sent| sent);
        if sent && let Some(since @ None) = &mut self.rebound {
            *since = Some(Instant::now());
        }
    }

    fn ping_if_due(&mut self) {
        let now = Instant::now();
        if now < self.next_ping {
            return;
        }
        self.next_ping = now + PING_EVERY;
        let overdue: Vec<u16> = self
            .waiting
            .iter()
            .filter(|(_, t)| now - **t > PATIENCE)
            .map(|(s, _)| *s)
            .collect();
        let mut place = self.board.branch(self.number);
        for sequence in overdue {
            self.waiting.remove(&sequence);
            place.pings.lost += 1;
        }
        place.drops = drops(&mut self.shard);
        let state = place.state;
        drop(place);
        if self.board.is_pinging() && matches!(state, State::Up | State::Dark) {
            self.ping(now);
        }
    }

    fn ping(&mut self, now: Instant) {
        self.sequence = self.sequence.wrapping_add(1);
        let (host, id) = (policy::branch_host(self.number), u16::from(self.number));
        let mut packet = icmp::request(host, policy::SERVER, id, self.sequence);
        let mut made = Made::default();
        self.shard
            .inner(now.into_std(), TenantId(0), &mut packet, &mut made);
        let mut place = self.board.branch(self.number);
        place.pings.sent += 1;
        if self.nat.is_dark() {
            place.pings.excused += 1;
        } else {
            self.waiting.insert(self.sequence, now);
        }
        drop(place);
        self.pass_on(made);
    }
}

/// What a branch's shard dropped, by reason.
fn drops(shard: &mut Shard) -> BTreeMap<&'static str, u64> {
    let drops = shard.counters().drops.iter();
    drops
        .filter(|(_, n)| *n > 0)
        .map(|(reason, n)| (reason.label(), n))
        .collect()
}
