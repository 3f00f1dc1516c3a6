//! What other threads leave for a shard, and how they wake it.

use crate::counters::ShardSnapshot;
use crate::tun::Queue;
use crate::watch::Onlooker;
use crossbeam_queue::{ArrayQueue, SegQueue};
use hawser_esp::packet::Ecn;
use hawser_flight::Path;
use hawser_policy::TenantId;
use hawser_shard::hooks::Hooks;
use hawser_shard::io::{Answer, AskId, Command, CommandId, HandOff, Message, Reply, ShardId};
use hawser_shard::trace::{Sight, Target, What};
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// Packets that a ring holds before it drops.
const RING: usize = 1024;

/// Where the replies to a command go.
pub(crate) type ReplySender = mpsc::UnboundedSender<(ShardId, Reply)>;

/// What is never lost. Few by nature: answers to the shard's own questions, what shards tell each
/// other about authenticated peers, what operators type.
pub(crate) enum Control {
    Message(Message),
    Answer(AskId, Answer),
    Command(CommandId, Command, ReplySender),
    /// Which templates have plugins from now on.
    Hooks(Arc<Hooks>),
    Snapshot(oneshot::Sender<ShardSnapshot>),
    /// A tenant's device was gone and was made again.
    Inner(TenantId, Queue),
    /// Tell the IKE messages of a target until a time.
    Trace(CommandId, Target, What, Instant, Onlooker<Sight>),
    /// End now, without DELETEs.
    Stop,
}

/// A packet that another shard received.
pub(crate) enum Packet {
    Datagram {
        path: Path,
        ecn: Ecn,
        payload: Vec<u8>,
    },
    Inner {
        tenant: TenantId,
        packet: Vec<u8>,
    },
}

impl From<HandOff<'_>> for Packet {
    fn from(packet: HandOff<'_>) -> Self {
        match packet {
            HandOff::Datagram { path, ecn, payload } => Self::Datagram {
                path,
                ecn,
                payload: payload.to_vec(),
            },
            HandOff::Inner { tenant, packet } => Self::Inner {
                tenant,
                packet: packet.to_vec(),
            },
        }
    }
}

/// The mailbox of one shard: many may put in, its thread takes out.
pub(crate) struct Mailbox {
    control: SegQueue<Control>,
    ring: ArrayQueue<Packet>,
    event: OwnedFd,
    /// The shard has been woken and has not looked yet: one write wakes it for many.
    woken: AtomicBool,
}

impl Mailbox {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            control: SegQueue::new(),
            ring: ArrayQueue::new(RING),
            event: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            woken: AtomicBool::new(false),
        })
    }

    pub(crate) fn put(&self, control: Control) {
        self.control.push(control);
        self.wake();
    }

    /// Whether there was room.
    pub(crate) fn hand_off(&self, packet: HandOff<'_>) -> bool {
        // Looked at first, so that a full ring costs no copy.
        let took = !self.ring.is_full() && self.ring.push(packet.into()).is_ok();
        self.wake();
        took
    }

    fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            // It fails only when the counter is full: then the shard is awake anyway.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }

    /// For the owner, before it takes: from here on the next one that puts wakes again.
    pub(crate) fn begin(&self) {
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
        self.woken.swap(false, Ordering::AcqRel);
    }

    pub(crate) fn take_control(&self) -> Option<Control> {
        self.control.pop()
    }

    pub(crate) fn take_packet(&self) -> Option<Packet> {
        self.ring.pop()
    }

    /// Whether something is left after a bounded round.
    pub(crate) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.ring.is_empty()
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn readable(mailbox: &Mailbox) -> bool {
        let mut fds = [rustix::event::PollFd::new(
            mailbox,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut fds, Some(&rustix::event::Timespec::default())).unwrap() == 1
    }

    #[test]
    fn a_full_ring_refuses_and_control_is_never_lost() {
        let mailbox = Mailbox::new().unwrap();
        let packet = || HandOff::Inner {
            tenant: TenantId(0),
            packet: &[1, 2, 3],
        };
        let taken = (0..RING + 10)
            .filter(|_| mailbox.hand_off(packet()))
            .count();
        assert_eq!(taken, RING);
        for spi in 0..10_000 {
            mailbox.put(Control::Message(Message::ForgetSpi(spi)));
        }
        mailbox.begin();
        assert_eq!(
            std::iter::from_fn(|| mailbox.take_control()).count(),
            10_000
        );
        assert_eq!(std::iter::from_fn(|| mailbox.take_packet()).count(), RING);
        assert!(mailbox.is_empty());
    }

    #[test]
    fn one_wake_serves_many_and_none_is_missed() {
        let mailbox = Arc::new(Mailbox::new().unwrap());
        assert!(!readable(&mailbox));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let mailbox = Arc::clone(&mailbox);
                std::thread::spawn(move || {
                    for spi in 0..5_000 {
                        mailbox.put(Control::Message(Message::ForgetSpi(spi)));
                    }
                })
            })
            .collect();
        let mut seen = 0;
        while seen < 20_000 {
            let mut fds = [rustix::event::PollFd::new(
                &*mailbox,
                rustix::event::PollFlags::IN,
            )];
            let bound = rustix::event::Timespec {
                tv_sec: 10,
                tv_nsec: 0,
            };
            assert_eq!(
                rustix::event::poll(&mut fds, Some(&bound)).unwrap(),
                1,
                "missed a wake"
            );
            mailbox.begin();
            seen += std::iter::from_fn(|| mailbox.take_control()).count();
        }
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(seen, 20_000);
    }
}
