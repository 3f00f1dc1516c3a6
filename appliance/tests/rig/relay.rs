//! A line that is not good: a relay in the router that holds every IKE and ESP datagram back for a while, and sends some of
//! them twice (the kernel here has no netem). To the headquarters it looks like one more NAT.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::netns::Namespace;
use crate::rig::{Branch, HQ, Rig};

const PORTS: [u16; 2] = [500, 4500];
/// How often a thread looks whether the relay has ended.
const TICK: Duration = Duration::from_millis(100);

/// How bad a line is.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Every datagram takes so long.
    pub delay: Duration,
    /// And up to so much longer: they overtake each other.
    pub jitter: Duration,
    /// So many per cent come twice.
    pub twice: u32,
}

impl Line {
    /// A long one.
    pub fn long(delay: Duration) -> Self {
        Self {
            delay,
            jitter: Duration::ZERO,
            twice: 0,
        }
    }
}

/// When a datagram is due, and its bytes.
type Held = (Instant, Vec<u8>);

/// A running relay; it ends with this value.
#[derive(Debug)]
pub struct Relay {
    ended: Arc<AtomicBool>,
    inet: Arc<Namespace>,
    table: String,
    outer: [String; 2],
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// From now on everything between `branch` and the headquarters takes `line`. The branch's NAT is its own.
    pub fn start(rig: &Rig, branch: &Branch, line: Line) -> Result<Self> {
        let (router, number) = (branch.nat.router(), branch.nat.number);
        let mut relay = Self {
            ended: Arc::new(AtomicBool::new(false)),
            inet: Arc::clone(&rig.inet),
            table: format!("ip relay{number}"),
            outer: [branch.nat.first_outer(), branch.second_outer()],
            threads: Vec::new(),
        };
        for port in PORTS {
            let (near, far) = rig
                .inet
                .enter(|| Ok((socket(&format!("{router}:{port}"))?, socket("0.0.0.0:0")?)))?;
            far.connect((HQ, port))
                .context("connecting the relay to the headquarters")?;
            relay.threads.extend(carry(near, far, line, &relay.ended)?);
        }
        rig.inet.nft(&format!(
            "table {} {{
                chain pre {{
                    type nat hook prerouting priority -100;
                    iifname nat{number} ip daddr {HQ} udp dport {{ 500, 4500 }} dnat to {router};
                }}
            }}\n",
            relay.table
        ))?;
        relay.forget_flows();
        Ok(relay)
    }

    /// The router takes the branch's packets for new flows.
    fn forget_flows(&self) {
        for outer in &self.outer {
            // It says no where there are none.
            let _ = self.inet.run(&format!("conntrack -D -p udp -s {outer}"));
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // The next relay of this branch wants their ports.
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("rig: a thread of a relay panicked");
            }
        }
        if let Err(error) = self.inet.nft(&format!("delete table {}\n", self.table)) {
            eprintln!("rig: a relay stays behind: {error:#}");
        }
        self.forget_flows();
    }
}

fn socket(address: &str) -> Result<UdpSocket> {
    let socket =
        UdpSocket::bind(address).with_context(|| format!("binding the relay to {address}"))?;
    socket.set_read_timeout(Some(TICK))?;
    Ok(socket)
}

/// Four threads: two that hold what comes and two that send what is due.
fn carry(
    near: UdpSocket,
    far: UdpSocket,
    line: Line,
    ended: &Arc<AtomicBool>,
) -> Result<[JoinHandle<()>; 4]> {
    let branch = Arc::new(Mutex::new(None));
    let (near_out, far_out) = (near.try_clone()?, far.try_clone()?);
    let (to_hq, from_branch) = channel();
    let (to_branch, from_hq) = channel();
    let seen = Arc::clone(&branch);
    Ok([
        hold(near, to_hq, line, Arc::clone(ended), move |from| {
            *lock(&seen) = Some(from);
        }),
        hold(far, to_branch, line, Arc::clone(ended), |_| ()),
        release(from_branch, move |bytes| drop(far_out.send(bytes))),
        release(from_hq, move |bytes| {
            if let Some(branch) = *lock(&branch) {
                let _ = near_out.send_to(bytes, branch);
            }
        }),
    ])
}

fn hold(
    socket: UdpSocket,
    held: Sender<Held>,
    line: Line,
    ended: Arc<AtomicBool>,
    seen: impl Fn(SocketAddr) + Send + 'static,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while !ended.load(Ordering::Relaxed) {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            seen(from);
            let times = 1 + usize::from(rand::random_range(0..100) < line.twice);
            for _ in 0..times {
                let jitter = line.jitter.mul_f64(rand::random_range(0.0..1.0));
                let due = Instant::now() + line.delay + jitter;
                let _ = held.send((due, buffer[..length].to_vec()));
            }
        }
    })
}

/// Sends what is due, until nobody holds anything any more.
fn release(held: Receiver<Held>, send: impl Fn(&[u8]) + Send + 'static) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut waiting = BinaryHeap::new();
        loop {
            let now = Instant::now();
            let next = waiting.peek().map(|Reverse((due, _)): &Reverse<Held>| *due);
            let wait = next.map_or(TICK, |due| due.saturating_duration_since(now));
            match held.recv_timeout(wait) {
                Ok(one) => waiting.push(Reverse(one)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let due = |one: &Reverse<Held>| one.0.0 <= Instant::now();
            while waiting.peek().is_some_and(due) {
                if let Some(Reverse((_, bytes))) = waiting.pop() {
                    send(&bytes);
                }
            }
        }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
