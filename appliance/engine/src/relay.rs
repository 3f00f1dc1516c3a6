//! A relay between a TUN and UDP on the shards' own I/O path, without IKE and ESP: what a gateway costs before it does anything (L1 of
//! `benches/macro`). It sends in clear and trusts everybody, so it exists only in builds with the feature `relay`.

use crate::counters::EngineCounters;
use crate::error::StartError;
use crate::inbox::Inbox;
use crate::inner::{End, InnerQueues};
use crate::outbox::Outbox;
use crate::poller::{Poller, Source};
use crate::steering::Port;
use crate::{tun, udp};
use hawser_esp::offload::SuperPacket;
use hawser_esp::packet::Ecn;
use hawser_esp::{Sealed, SealedBatch};
use hawser_flight::Path;
use hawser_policy::{Tenant, TenantId};
use hawser_shard::io::InnerPacket;
use std::net::SocketAddr;

/// Batches from a socket or TUN in a round, as a shard has it.
const BATCHES: usize = 4;

/// Relays between the TUN `interface` and the relay at `remote` until the TUN is gone.
///
/// # Errors
/// As [`Engine::start`](crate::Engine::start).
pub fn run(
    interface: &str,
    local: SocketAddr,
    remote: SocketAddr,
    offload: bool,
) -> Result<(), StartError> {
    let tenant = Tenant {
        id: TenantId(0),
        name: "relay".into(),
        interface: interface.to_owned(),
        mtu: 1400,
        addresses: Vec::new(),
        namespace: None,
        protected: Vec::new(),
    };
    let queue = tun::open_queues(&tenant, 1, offload)?.pop();
    let outer = udp::bind_group(local, Port::Nat, 1, None)?;
    let path = Path {
        local,
        remote,
        encapsulated: true,
    };
    let mut relay = Relay {
        path,
        tenant: tenant.id,
        outbox: Outbox::new(outer.into_iter().flatten().collect(), offload),
        inner: InnerQueues::new(vec![queue]),
        inbox: Inbox::new(),
        counters: EngineCounters::default(),
    };
    let mut poller = Poller::new()?;
    for (index, outer) in relay.outbox.sockets() {
        poller.add(&outer.socket, Source::Outer(index))?;
    }
    for (tenant, fd) in relay.inner.iter() {
        poller.add(fd, Source::Inner(tenant))?;
    }
    loop {
        let ready = poller.wait(None)?;
        for index in ready.writable {
            relay.outbox.resume(index, &mut relay.counters);
        }
        for index in ready.readable {
            relay.inwards(index);
        }
        if !ready.inner.is_empty() && relay.outwards() == End::Gone {
            return Ok(());
        }
        for index in 0..relay.outbox.sockets().count() {
            let outer = relay.outbox.socket(index);
            poller.want_room(&outer.socket, index, relay.outbox.waits(index))?;
        }
    }
}

struct Relay {
    path: Path,
    tenant: TenantId,
    outbox: Outbox,
    inner: InnerQueues,
    inbox: Inbox,
    counters: EngineCounters,
}

impl Relay {
    fn inwards(&mut self, index: usize) {
        for _ in 0..BATCHES {
            let socket = self.outbox.socket(index);
            let more = self.inbox.receive(socket, usize::MAX);
            for train in self.inbox.trains(socket.local) {
                for packet in train.datagrams() {
                    self.inner.write(self.tenant, packet, &mut self.counters);
                }
            }
            self.inner.flush(&mut self.counters);
            if !more {
                return;
            }
        }
    }

    fn outwards(&mut self) -> End {
        let mut buffer = self.inner.lend();
        let mut end = End::More;
        for _ in 0..BATCHES {
            let mut packets = Vec::new();
            end = (self.inner).read(self.tenant, &mut buffer, &mut packets, &mut self.counters);
            self.outbox.push_batch(&self.path, &mut |batch| {
                packets.iter().for_each(|packet| append(packet, batch));
            });
            self.outbox.flush(&mut self.counters);
            if end != End::More {
                break;
            }
        }
        self.inner.give_back(buffer);
        end
    }
}

/// Where the gateway seals, the relay copies.
fn append(packet: &InnerPacket<'_>, batch: &mut SealedBatch) {
    let ecn = Ecn::of(packet.packet).unwrap_or(Ecn::NotEct);
    let mut begin = batch.octets.len();
    let whole = packet
        .segmentation
        .and_then(|how| SuperPacket::new(packet.packet, how));
    for number in 0..whole.as_ref().map_or(1, SuperPacket::segments) {
        match &whole {
            Some(whole) => whole.append_segment(number, &mut batch.octets),
            None => batch.octets.extend_from_slice(packet.packet),
        }
        let len = batch.octets.len() - begin;
        batch.packets.push(Sealed { len, ecn });
        begin += len;
    }
}
