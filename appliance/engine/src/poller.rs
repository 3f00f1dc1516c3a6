//! What a shard's loop waits for.

use hawser_policy::TenantId;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Events taken in a round; what is left over is there in the next.
const EVENTS: usize = 128;

/// What has become ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    Mailbox,
    /// Number of an outer socket.
    Outer(usize),
    /// Queue of a tenant.
    Inner(TenantId),
}

impl Source {
    fn to_data(self) -> epoll::EventData {
        let (kind, number) = match self {
            Self::Mailbox => (0, 0),
            Self::Outer(index) => (1, index as u64),
            Self::Inner(tenant) => (2, tenant.0.into()),
        };
        epoll::EventData::new_u64(kind << 32 | number)
    }

    fn from_data(data: epoll::EventData) -> Self {
        let data = data.u64();
        match data >> 32 {
            1 => Self::Outer(data as u32 as usize),
            2 => Self::Inner(TenantId(data as u16)),
            _ => Self::Mailbox,
        }
    }
}

/// What is ready, by kind.
#[derive(Default)]
pub(crate) struct Ready {
    /// The shard has mail.
    pub(crate) mail: bool,
    /// Outer sockets that can be read, in order.
    pub(crate) readable: Vec<usize>,
    /// Outer sockets that have room again.
    pub(crate) writable: Vec<usize>,
    /// Queues of tenants that can be read, and whether the other end is closed.
    pub(crate) inner: Vec<(TenantId, bool)>,
}

/// An epoll instance, level-triggered.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    /// Outer sockets that are asked whether they have room.
    wanting: Vec<bool>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self {
            epoll,
            events: Vec::with_capacity(EVENTS),
            wanting: Vec::new(),
        })
    }

    pub(crate) fn add(&mut self, fd: &impl AsFd, source: Source) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            fd,
            source.to_data(),
            epoll::EventFlags::IN,
        )?)
    }

    /// Whether the outer socket is to say when it has room.
    pub(crate) fn want_room(
        &mut self,
        fd: &impl AsFd,
        index: usize,
        wanted: bool,
    ) -> io::Result<()> {
        if self.wanting.len() <= index {
            self.wanting.resize(index + 1, false);
        }
        if self.wanting[index] == wanted {
            return Ok(());
        }
        self.wanting[index] = wanted;
        let room = if wanted {
            epoll::EventFlags::OUT
        } else {
            epoll::EventFlags::empty()
        };
        let data = Source::Outer(index).to_data();
        Ok(epoll::modify(
            &self.epoll,
            fd,
            data,
            epoll::EventFlags::IN | room,
        )?)
    }

    /// Waits for `timeout` at most, to the nanosecond; for ever without one.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Ready> {
        // A timeout too long for the type is as good as none.
        let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
        self.events.clear();
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, spare, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let mut ready = Ready::default();
        for event in &self.events {
            match Source::from_data(event.data) {
                Source::Mailbox => ready.mail = true,
                Source::Inner(tenant) => {
                    let flags = event.flags;
                    let hung_up = flags.contains(epoll::EventFlags::HUP);
                    ready.inner.push((tenant, hung_up));
                }
                Source::Outer(index) => {
                    let flags = event.flags;
                    if flags.contains(epoll::EventFlags::OUT) {
                        ready.writable.push(index);
                    }
                    if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::ERR) {
                        ready.readable.push(index);
                    }
                }
            }
        }
        ready.readable.sort_unstable();
        Ok(ready)
    }
}
