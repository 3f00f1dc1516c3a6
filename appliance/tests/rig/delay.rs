//! A long line: a relay in the router that holds every IKE and ESP datagram back for a while (the kernel here has no netem).
//! To the headquarters it looks like one more NAT.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::rig::{Branch, HQ, Rig};

const PORTS: [u16; 2] = [500, 4500];
/// How often a thread looks whether the relay has ended.
const TICK: Duration = Duration::from_millis(100);

/// When a datagram is due, and its bytes.
type Held = (Instant, Vec<u8>);

/// A running relay; it ends with this value.
#[derive(Debug)]
pub struct Delay {
    ended: Arc<AtomicBool>,
}

impl Delay {
    /// Delays everything between `branch` and the headquarters by `delay` in each direction.
    pub fn start(rig: &Rig, branch: &Branch, delay: Duration) -> Result<Self> {
        let router = branch.router();
        rig.inet.nft(&format!(
            "table ip delay {{
                chain pre {{
                    type nat hook prerouting priority -100;
                    iifname nat{} ip daddr {HQ} udp dport {{ 500, 4500 }} dnat to {router};
                }}
            }}\n",
            branch.number
        ))?;
        let ended = Arc::new(AtomicBool::new(false));
        for port in PORTS {
            let (near, far) = rig
                .inet
                .enter(|| Ok((socket(&format!("{router}:{port}"))?, socket("0.0.0.0:0")?)))?;
            far.connect((HQ, port))
                .context("connecting the relay to the headquarters")?;
            relay(near, far, delay, &ended)?;
        }
        Ok(Self { ended })
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn socket(address: &str) -> Result<UdpSocket> {
    let socket =
        UdpSocket::bind(address).with_context(|| format!("binding the relay to {address}"))?;
    socket.set_read_timeout(Some(TICK))?;
    Ok(socket)
}

/// Four threads: two that hold what comes and two that send what is due.
fn relay(near: UdpSocket, far: UdpSocket, delay: Duration, ended: &Arc<AtomicBool>) -> Result<()> {
    let branch = Arc::new(Mutex::new(None));
    let (near_out, far_out) = (near.try_clone()?, far.try_clone()?);
    let (to_hq, from_branch) = channel();
    let (to_branch, from_hq) = channel();
    let seen = Arc::clone(&branch);
    hold(near, to_hq, delay, Arc::clone(ended), move |from| {
        *lock(&seen) = Some(from);
    });
    hold(far, to_branch, delay, Arc::clone(ended), |_| ());
    release(from_branch, move |bytes| drop(far_out.send(bytes)));
    release(from_hq, move |bytes| {
        if let Some(branch) = *lock(&branch) {
            let _ = near_out.send_to(bytes, branch);
        }
    });
    Ok(())
}

fn hold(
    socket: UdpSocket,
    held: Sender<Held>,
    delay: Duration,
    ended: Arc<AtomicBool>,
    seen: impl Fn(SocketAddr) + Send + 'static,
) {
    thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while !ended.load(Ordering::Relaxed) {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            seen(from);
            let _ = held.send((Instant::now() + delay, buffer[..length].to_vec()));
        }
    });
}

fn release(held: Receiver<Held>, send: impl Fn(&[u8]) + Send + 'static) {
    thread::spawn(move || {
        for (due, bytes) in held {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            send(&bytes);
        }
    });
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
