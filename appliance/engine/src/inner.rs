//! The inner side of a shard: one queue a tenant.

use hawser_policy::TenantId;
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// The largest IP packet.
const LARGEST: usize = 65_535;

/// The queues of the tenants, by number.
pub(crate) struct InnerQueues {
    queues: Vec<Option<OwnedFd>>,
    buffer: Vec<u8>,
}

/// What a read came to.
pub(crate) enum Read<'a> {
    Packet(&'a mut [u8]),
    /// A datagram of nothing, or the end of a descriptor whose other end is closed.
    Nothing,
    /// Nothing more for now.
    Empty,
    /// The device is gone.
    Gone,
}

impl InnerQueues {
    pub(crate) fn new(queues: Vec<Option<OwnedFd>>) -> Self {
        Self {
            queues,
            buffer: vec![0; LARGEST],
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TenantId, &OwnedFd)> {
        let numbered = self.queues.iter().enumerate();
        numbered.filter_map(|(i, fd)| Some((TenantId(i as u16), fd.as_ref()?)))
    }

    pub(crate) fn get(&self, tenant: TenantId) -> Option<&OwnedFd> {
        self.queues.get(usize::from(tenant.0))?.as_ref()
    }

    /// Closes a queue whose device is gone.
    pub(crate) fn close(&mut self, tenant: TenantId) {
        if let Some(queue) = self.queues.get_mut(usize::from(tenant.0)) {
            *queue = None;
        }
    }

    /// Reads into a buffer of the caller's (see [`Self::lend`]).
    pub(crate) fn read<'a>(&self, tenant: TenantId, buffer: &'a mut [u8]) -> Read<'a> {
        let Some(fd) = self.get(tenant) else {
            return Read::Gone;
        };
        match rustix::io::read(fd, &mut *buffer) {
            Ok(0) => Read::Nothing,
            Ok(len) => Read::Packet(&mut buffer[..len]),
            Err(Errno::AGAIN | Errno::INTR) => Read::Empty,
            // A TUN whose interface is down says so at every read; it may come up again.
            Err(Errno::IO) => Read::Empty,
            Err(_) => Read::Gone,
        }
    }

    /// Whether the device took the packet.
    pub(crate) fn write(&self, tenant: TenantId, packet: &[u8]) -> bool {
        self.get(tenant)
            .is_some_and(|fd| rustix::io::write(fd.as_fd(), packet).is_ok())
    }

    /// The buffer to read into, which has to be given back: so a packet can be worked on while
    /// the queues are written to.
    pub(crate) fn lend(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    pub(crate) fn give_back(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }
}
