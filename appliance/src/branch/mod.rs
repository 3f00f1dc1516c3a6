//! A branch: a real shard in the role of the initiator and the NAT in front of it. The demo's and the swarm's are this one.

pub(crate) mod icmp;
pub(crate) mod limit;
mod nat;
pub(crate) mod policy;
mod worker;

use hawser_esp::Ecn;
use hawser_flight::{Event, Path};
use hawser_policy::{Policy, TenantId};
use hawser_shard::io::{
    Answer, AskId, Command, CommandId, DeviceId, HandOff, Output, PacketSink, Question, RekeyWhat,
    ShardId,
};
use hawser_shard::{Shard, ShardConfig};
use nat::{Arrived, Nat};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

/// Threads for the key exchanges of the branches of one runtime.
pub(crate) const WORKERS: usize = 2;

/// What happened at a branch.
pub(crate) enum News {
    /// Its shard says so.
    Event(Event),
    /// A packet came through the tunnel.
    Inner(Vec<u8>),
}

/// One life of a branch. Lives on a [`tokio::task::LocalSet`].
pub(crate) struct Branch {
    shard: Shard,
    nat: Nat,
    gateway: SocketAddr,
    arrivals: UnboundedReceiver<Arrived>,
    answers: UnboundedReceiver<(AskId, Answer)>,
    answer_to: UnboundedSender<(AskId, Answer)>,
    device: Option<DeviceId>,
    news: Vec<News>,
    sent: u64,
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

impl Branch {
    /// A branch that begins its handshake at once; `outside` is where the Internet sees its NAT.
    pub(crate) fn new(policy: Arc<Policy>, gateway: SocketAddr, outside: IpAddr) -> Self {
        let (nat, arrivals) = Nat::new(outside);
        let (answer_to, answers) = unbounded_channel();
        let config = ShardConfig {
            id: ShardId(0),
            shards: 1,
            seed: rand::random(),
            policy,
        };
        Self {
            shard: Shard::new(config, Instant::now().into_std()),
            nat,
            gateway,
            arrivals,
            answers,
            answer_to,
            device: None,
            news: Vec::new(),
            sent: 0,
        }
    }

    /// Does what is due, then waits for the next datagram, answer or timer, at most until `wake`.
    pub(crate) async fn step(&mut self, wake: Instant) {
        self.drain();
        let timer = self.shard.next_timeout().map(Instant::from_std);
        let wake = timer.map_or(wake, |t| t.min(wake));
        tokio::select! {
            Some(arrived) = self.arrivals.recv() => self.arrived(arrived),
            Some((id, answer)) = self.answers.recv() => {
                self.shard.answer(Instant::now().into_std(), id, answer);
            }
            () = sleep_until(wake) => self.shard.timeout(Instant::now().into_std()),
        }
        self.drain();
    }

    /// What happened since it was last asked.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Sends an inner packet.
    pub(crate) fn send_inner(&mut self, packet: &mut [u8]) {
        let (now, mut made) = (Instant::now().into_std(), Made::default());
        self.shard.inner(now, TenantId(0), packet, &mut made);
        self.pass_on(made);
    }

    /// Renews the keys of the IKE SA and its Child SA, if there are any.
    pub(crate) fn rekey(&mut self) {
        if let Some(device) = self.device {
            let (now, command) = (Instant::now(), Command::Rekey(device, RekeyWhat::All));
            self.shard.command(now.into_std(), CommandId(0), command);
        }
    }

    /// The NAT loses its mappings.
    pub(crate) fn rebind(&mut self) {
        self.nat.forget();
    }

    /// The NAT loses its mappings, and every packet for so long.
    pub(crate) fn go_dark(&mut self, length: Duration) {
        self.nat.go_dark(Instant::now() + length);
    }

    /// Whether packets go nowhere.
    pub(crate) fn is_dark(&self) -> bool {
        self.nat.is_dark()
    }

    /// The outside port of the NAT's mapping made last.
    pub(crate) fn port(&self) -> Option<u16> {
        self.nat.port()
    }

    /// How many datagrams have left the NAT.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// What the shard dropped, by reason.
    pub(crate) fn drops(&mut self) -> BTreeMap<&'static str, u64> {
        let drops = self.shard.counters().drops.iter();
        drops
            .filter(|(_, n)| *n > 0)
            .map(|(reason, n)| (reason.label(), n))
            .collect()
    }

    fn arrived(&mut self, mut arrived: Arrived) {
        let path = Path {
            local: arrived.local,
            remote: self.gateway,
            encapsulated: true,
        };
        let (now, mut made) = (Instant::now().into_std(), Made::default());
        self.shard
            .datagram(now, path, Ecn::NotEct, &mut arrived.payload, &mut made);
        self.pass_on(made);
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
                Output::Event(label, event) => {
                    self.device = label.map_or(self.device, |l| Some(DeviceId(l.instance)));
                    self.news.push(News::Event(event));
                }
                // A branch has one shard, no routes and no operator.
                Output::Incident(_)
                | Output::Traced(..)
                | Output::Ask(_, Question::Authorize(_) | Question::DpdPolicy(_))
                | Output::Route(_)
                | Output::Send(..)
                | Output::Reply(..)
                | Output::Finished => {}
            }
        }
    }

    fn pass_on(&mut self, made: Made) {
        for (path, packet) in made.outer {
            self.send(&path, &packet);
        }
        self.news.extend(made.inner.into_iter().map(News::Inner));
    }

    fn send(&mut self, path: &Path, payload: &[u8]) {
        // Without a socket there is nothing to send from; the next packet tries again.
        let sent = self.nat.send(path.local, path.remote, payload);
        self.sent += u64::from(sent.is_ok_and(|sent| sent));
    }
}
