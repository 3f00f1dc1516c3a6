//! A branch of the demo: its lives, its host that pings, and what the board is told of it.

use super::board::{Board, State};
use super::headquarters::Headquarters;
use super::script::Order;
use super::{Options, policy};
use crate::branch::{Branch, News, WORKERS, icmp};
use hawser_flight::{Event, Lineage};
use hawser_policy::Policy;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long a ping may take before it counts as lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Between two pings of a branch.
const PING_EVERY: Duration = Duration::from_millis(200);
/// Between the first packets of two branches.
const STAGGER: Duration = Duration::from_millis(20);

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
        let mut life = Life::new(number, Arc::clone(&policy), gateway, board);
        let Some(dead_for) = life.run(&mut orders).await else {
            return;
        };
        life.excuse_pings();
        drop(life);
        board.branch(number).die();
        tokio::time::sleep(dead_for).await;
    }
}

/// One life of a branch of the demo.
struct Life<'a> {
    number: u8,
    board: &'a Board,
    branch: Branch,
    /// Pings not answered yet.
    waiting: HashMap<u16, Instant>,
    sequence: u16,
    next_ping: Instant,
    /// The NAT has rebound: what had been sent before, and since when the gateway could know.
    rebound: Option<Rebound>,
}

#[derive(Clone, Copy)]
struct Rebound {
    sent: u64,
    known: Option<Instant>,
}

impl<'a> Life<'a> {
    fn new(number: u8, policy: Arc<Policy>, gateway: SocketAddr, board: &'a Board) -> Self {
        Self {
            number,
            board,
            branch: Branch::new(policy, gateway, gateway.ip()),
            waiting: HashMap::new(),
            sequence: 0,
            next_ping: Instant::now(),
            rebound: None,
        }
    }

    /// Lives until it is told to die, and for how long it is dead then; `None`: the demo is over.
    async fn run(&mut self, orders: &mut UnboundedReceiver<Order>) -> Option<Duration> {
        loop {
            tokio::select! {
                order = orders.recv() => match order? {
                    Order::Rebind => self.rebind(None),
                    Order::GoDark(length) => self.rebind(Some(length)),
                    Order::Die(length) => return Some(length),
                },
                () = self.branch.step(self.next_ping) => {}
            }
            self.ping_if_due();
            self.tell();
        }
    }

    fn rebind(&mut self, dark_for: Option<Duration>) {
        self.excuse_pings();
        match dark_for {
            Some(length) => self.branch.go_dark(length),
            None => self.branch.rebind(),
        }
        let rebound = Rebound {
            sent: self.branch.sent(),
            known: None,
        };
        if self.rebound.replace(rebound).is_none() {
            self.board.branch(self.number).unfollowed += 1;
        }
    }

    /// Pings that cannot be answered any more, by no fault of the gateway.
    fn excuse_pings(&mut self) {
        self.board.branch(self.number).pings.excused += self.waiting.len() as u64;
        self.waiting.clear();
    }

    /// The first ESP packet after a rebind came back.
    fn followed(&mut self, now: Instant) {
        if let Some(since) = self.rebound.and_then(|r| r.known) {
            self.rebound = None;
            let mut place = self.board.branch(self.number);
            place.unfollowed -= 1;
            place.followed.push(now - since);
        }
    }

    /// Tells the board what happened.
    fn tell(&mut self) {
        if let Some(rebound) = self.rebound.as_mut().filter(|r| r.known.is_none())
            && self.branch.sent() > rebound.sent
        {
            rebound.known = Some(Instant::now());
        }
        for news in self.branch.take_news() {
            match news {
                News::Event(event) => self.note(&event),
                News::Inner(packet) => self.answered(&packet),
            }
        }
        let mut place = self.board.branch(self.number);
        place.port = self.branch.port();
        place.state = match place.state {
            State::Dark if !self.branch.is_dark() => State::Up,
            State::Up if self.branch.is_dark() => State::Dark,
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

    fn answered(&mut self, packet: &[u8]) {
        self.followed(Instant::now());
        let host = policy::branch_host(self.number);
        let sequence = icmp::reply(packet, host, u16::from(self.number));
        if let Some(sent) = sequence.and_then(|s| self.waiting.remove(&s)) {
            let mut place = self.board.branch(self.number);
            place.pings.answered += 1;
            place.pings.rtt = sent.elapsed();
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
        place.drops = self.branch.drops();
        let state = place.state;
        drop(place);
        if self.board.is_pinging() && matches!(state, State::Up | State::Dark) {
            self.ping(now);
        }
    }

    fn ping(&mut self, now: Instant) {
        self.sequence = self.sequence.wrapping_add(1);
        let (host, id) = (policy::branch_host(self.number), u16::from(self.number));
        let mut packet = icmp::request(host, policy::SERVER, id, self.sequence, icmp::DATA);
        self.branch.send_inner(&mut packet);
        let mut place = self.board.branch(self.number);
        place.pings.sent += 1;
        if self.branch.is_dark() {
            place.pings.excused += 1;
        } else {
            self.waiting.insert(self.sequence, now);
        }
    }
}
