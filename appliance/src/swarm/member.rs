//! One branch of the swarm.

use super::host;
use super::tally::Tally;
use crate::branch::{Branch, News, icmp};
use hawser_flight::{Event, Lineage};
use hawser_policy::Policy;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::Instant;

/// A ping without an answer for so long is lost.
const PATIENCE: Duration = Duration::from_secs(2);
/// A branch without pings looks so often whether anything is to be done.
const IDLE: Duration = Duration::from_secs(3600);
/// Octets of data in a ping: the simple IMIX of 64, 576 and 1,400 octets of IP packet, 7 to 4 to 1.
const MIX: [usize; 12] = [36, 548, 36, 548, 36, 36, 548, 36, 548, 36, 36, 1372];

/// What all branches do at the same moment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// Renew their keys.
    Rekey,
    /// Lose their NAT's mappings.
    Rebind,
}

/// A branch before its life.
pub(super) struct Member {
    pub(super) number: u32,
    pub(super) policy: Arc<Policy>,
    pub(super) gateway: SocketAddr,
    pub(super) outside: IpAddr,
    pub(super) ping: Option<(Ipv4Addr, Duration)>,
    pub(super) tally: Rc<RefCell<Tally>>,
}

/// A branch that lives.
struct Life {
    member: Member,
    branch: Branch,
    begun: Instant,
    up: bool,
    was_up: bool,
    waiting: HashMap<u16, Instant>,
    sequence: u16,
    next_ping: Instant,
}

impl Member {
    /// Lives until the runtime ends.
    pub(super) async fn live(self, mut orders: broadcast::Receiver<Order>) {
        let now = Instant::now();
        let mut life = Life {
            branch: Branch::new(Arc::clone(&self.policy), self.gateway, self.outside),
            begun: now,
            up: false,
            was_up: false,
            waiting: HashMap::new(),
            sequence: 0,
            next_ping: now + self.ping.map_or(IDLE, |(_, every)| every),
            member: self,
        };
        loop {
            tokio::select! {
                Ok(order) = orders.recv() => match order {
                    Order::Rekey => life.branch.rekey(),
                    Order::Rebind => life.branch.rebind(),
                },
                () = life.branch.step(life.next_ping) => {}
            }
            life.ping_if_due();
            for news in life.branch.take_news() {
                life.tell(&news);
            }
        }
    }
}

impl Life {
    fn tell(&mut self, news: &News) {
        let mut tally = self.member.tally.borrow_mut();
        match news {
            News::Event(Event::PeerUp) => {
                tally.up += 1;
                self.up = true;
                if !std::mem::replace(&mut self.was_up, true) {
                    tally.handshakes.push(self.begun.elapsed());
                }
            }
            News::Event(Event::PeerDown { cause }) => {
                tally.up -= 1;
                self.up = false;
                *tally.downs.entry(cause.label()).or_default() += 1;
            }
            News::Event(Event::IkeSaEstablished {
                lineage: Lineage::Rekey(_),
                ..
            }) => tally.ike_rekeys += 1,
            News::Event(Event::ChildSaInstalled {
                lineage: Lineage::Rekey(_),
                ..
            }) => tally.child_rekeys += 1,
            News::Event(Event::HandshakeFailed { reason, .. }) => {
                *tally.failures.entry(reason.label()).or_default() += 1;
            }
            News::Event(_) => {}
            News::Inner(packet) => {
                let (host, id) = (host(self.member.number), self.member.number as u16);
                let sent = icmp::reply(packet, host, id).and_then(|s| self.waiting.remove(&s));
                tally.round_trips.extend(sent.map(|sent| sent.elapsed()));
            }
        }
    }

    fn ping_if_due(&mut self) {
        let now = Instant::now();
        let Some((server, every)) = self.member.ping.filter(|_| now >= self.next_ping) else {
            return;
        };
        self.next_ping = now + every;
        let before = self.waiting.len();
        self.waiting.retain(|_, sent| now - *sent <= PATIENCE);
        self.member.tally.borrow_mut().pings_lost += (before - self.waiting.len()) as u64;
        if self.up {
            self.sequence = self.sequence.wrapping_add(1);
            let data = MIX[usize::from(self.sequence) % MIX.len()];
            let (host, id) = (host(self.member.number), self.member.number as u16);
            let mut packet = icmp::request(host, server, id, self.sequence, data);
            self.waiting.insert(self.sequence, now);
            self.branch.send_inner(&mut packet);
        }
    }
}
