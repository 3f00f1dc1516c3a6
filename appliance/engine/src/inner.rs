//! The inner side of a shard: one queue a tenant.

use crate::counters::EngineCounters;
use crate::tun::{Offload, Queue};
use hawser_esp::offload::{Coalescer, VirtioHeader, take_over};
use hawser_flight::DropReason;
use hawser_policy::TenantId;
use hawser_shard::io::InnerPacket;
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// The largest IP packet, and the header of a TUN in front.
const LARGEST: usize = VirtioHeader::LEN + 65_535;
/// Octets that are read before they are worked on: beyond that they would leave the cache.
const BUFFER: usize = 4 * LARGEST;
/// Packets and super-packets that are read before they are worked on.
const READS: usize = 64;

/// The queues of the tenants, by number.
pub(crate) struct InnerQueues {
    queues: Vec<Option<InnerQueue>>,
    buffer: Vec<u8>,
    /// Queues whose device is gone.
    gone: u64,
}

struct InnerQueue {
    fd: OwnedFd,
    /// Of the device: it may have been made again.
    generation: u32,
    /// Absent where packets come and go without a header.
    joined: Option<Coalescer>,
    offload: Offload,
}

impl From<Queue> for InnerQueue {
    fn from(queue: Queue) -> Self {
        Self {
            fd: queue.fd,
            generation: queue.generation,
            joined: match queue.offload {
                Offload::None => None,
                Offload::Tcp => Some(Coalescer::new(false)),
                Offload::TcpUdp => Some(Coalescer::new(true)),
            },
            offload: queue.offload,
        }
    }
}

/// How reading ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// There may be more.
    More,
    /// Nothing more for now.
    Empty,
    /// A datagram of nothing, or the end of a descriptor whose other end is closed.
    Nothing,
    /// The device is gone.
    Gone,
}

impl InnerQueues {
    pub(crate) fn new(queues: Vec<Option<Queue>>) -> Self {
        let queues = queues.into_iter().map(|one| one.map(Into::into)).collect();
        Self {
            queues,
            buffer: vec![0; BUFFER],
            gone: 0,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TenantId, &OwnedFd)> {
        let numbered = self.queues.iter().enumerate();
        numbered.filter_map(|(i, queue)| Some((TenantId(i as u16), &queue.as_ref()?.fd)))
    }

    fn get_mut(&mut self, tenant: TenantId) -> Option<&mut InnerQueue> {
        self.queues.get_mut(usize::from(tenant.0))?.as_mut()
    }

    /// Writes down how the devices stand.
    pub(crate) fn count(&self, counters: &mut EngineCounters) {
        let there = || self.queues.iter().flatten();
        let of = |offload| there().filter(|q| q.offload == offload).count() as u64;
        counters.inner = [Offload::TcpUdp, Offload::Tcp, Offload::None].map(of);
        counters.inner_gone = self.gone;
    }

    /// Closes a queue whose device is gone; the generation of that device.
    pub(crate) fn close(&mut self, tenant: TenantId) -> Option<u32> {
        let queue = self.queues.get_mut(usize::from(tenant.0))?.take()?;
        self.gone += 1;
        Some(queue.generation)
    }

    /// The device was made again. The descriptor to wait for.
    pub(crate) fn reopen(&mut self, tenant: TenantId, queue: Queue) -> Option<&OwnedFd> {
        let place = self.queues.get_mut(usize::from(tenant.0))?;
        self.gone -= u64::from(place.is_none());
        Some(&place.insert(queue.into()).fd)
    }

    /// Reads what there is, up to a bound, into a buffer of the caller's (see [`Self::lend`]).
    pub(crate) fn read<'a>(
        &mut self,
        tenant: TenantId,
        buffer: &'a mut [u8],
        packets: &mut Vec<InnerPacket<'a>>,
        counters: &mut EngineCounters,
    ) -> End {
        let Some(queue) = self.get_mut(tenant) else {
            return End::Gone;
        };
        let mut room = buffer;
        for _ in 0..READS {
            if room.len() < LARGEST {
                return End::More;
            }
            let len = match rustix::io::read(&queue.fd, &mut *room) {
                Ok(0) => return End::Nothing,
                Ok(len) => len,
                Err(Errno::AGAIN | Errno::INTR) => return End::Empty,
                // A TUN whose interface is down says so at every read; it may come up again.
                Err(Errno::IO) => return End::Empty,
                Err(_) => return End::Gone,
            };
            let (octets, rest) = room.split_at_mut(len);
            room = rest;
            match queue.taken_over(octets) {
                Ok(packet) => packets.push(packet),
                Err(reason) => counters.drops.count(reason),
            }
        }
        End::More
    }

    /// Takes a packet for the device; it may wait for others until [`Self::flush`].
    pub(crate) fn write(&mut self, tenant: TenantId, packet: &[u8], counters: &mut EngineCounters) {
        match self.get_mut(tenant) {
            Some(queue) => queue.write(packet, counters),
            None => counters.drops.count(DropReason::TunFull),
        }
    }

    /// Hands the devices what waits.
    pub(crate) fn flush(&mut self, counters: &mut EngineCounters) {
        for queue in self.queues.iter_mut().flatten() {
            queue.flush(counters);
        }
    }

    /// The buffer to read into, which has to be given back: so packets can be worked on while
    /// the queues are written to.
    pub(crate) fn lend(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    pub(crate) fn give_back(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }
}

impl InnerQueue {
    fn taken_over<'a>(&self, octets: &'a mut [u8]) -> Result<InnerPacket<'a>, DropReason> {
        if self.joined.is_none() {
            return Ok(octets.into());
        }
        let (header, packet) = octets.split_first_chunk_mut().ok_or(DropReason::NotIp)?;
        let segmentation = take_over(&VirtioHeader::from_octets(header), packet)?;
        Ok(InnerPacket {
            packet,
            segmentation,
        })
    }

    fn write(&mut self, packet: &[u8], counters: &mut EngineCounters) {
        match &mut self.joined {
            Some(joined) => {
                joined.push(packet);
                if joined.is_full() {
                    self.flush(counters);
                }
            }
            None => put(&self.fd, packet, 1, counters),
        }
    }

    fn flush(&mut self, counters: &mut EngineCounters) {
        if let Some(joined) = &mut self.joined {
            joined.drain(|octets, count| put(&self.fd, octets, count, counters));
        }
    }
}

/// What the device does not take is dropped: for so many packets it stands.
fn put(fd: &OwnedFd, octets: &[u8], count: usize, counters: &mut EngineCounters) {
    if rustix::io::write(fd.as_fd(), octets).is_err() {
        (0..count).for_each(|_| counters.drops.count(DropReason::TunFull));
    }
}
