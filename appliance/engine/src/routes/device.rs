//! Devices that somebody has taken away while the gateway runs: they are made again, with their
//! addresses and routes. Until then what is for them is dropped by name, and the tunnels stay.

use super::{Link, Routes};
use crate::error::StartError;
use crate::mailbox::{Control, Mailbox};
use crate::tun;
use hawser_flight::Event;
use hawser_policy::{Tenant, TenantId};
use hawser_shard::io::ShardId;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Between two tries.
const AGAIN: Duration = Duration::from_secs(2);

/// What devices are made of, and who gets their queues.
pub(crate) struct Devices {
    pub(crate) tenants: Vec<Tenant>,
    /// Whether super-packets are asked for.
    pub(crate) offload: bool,
    pub(crate) mailboxes: Arc<[Mailbox]>,
}

/// The tenants whose devices are gone.
#[derive(Default)]
pub(super) struct Lost {
    tenants: BTreeSet<u16>,
    /// When they are tried for.
    at: Option<Instant>,
}

impl Lost {
    pub(super) fn next(&self) -> Option<Instant> {
        self.at
    }
}

impl Routes {
    /// A shard has found the device of a tenant gone. Each of them tells; the first one is heard.
    pub(super) fn device_gone(&mut self, tenant: TenantId, generation: u32) {
        let link = self.links.get(usize::from(tenant.0));
        if link.is_some_and(|l| l.generation == generation) && self.lost.tenants.insert(tenant.0) {
            self.lost.at = Some(Instant::now());
            self.tell(tenant, false);
        }
    }

    /// Makes the devices again that are gone, when it is time.
    pub(super) async fn make_devices(&mut self) {
        if self.lost.at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        for number in self.lost.tenants.clone() {
            let tenant = TenantId(number);
            match self.make_device(tenant).await {
                Ok(()) => {
                    self.lost.tenants.remove(&number);
                    self.tell(tenant, true);
                }
                Err(error) => tracing::error!(%error, "the inner device is not made again yet"),
            }
        }
        let left = !self.lost.tenants.is_empty();
        self.lost.at = left.then(|| Instant::now() + AGAIN);
    }

    async fn make_device(&mut self, tenant: TenantId) -> Result<(), StartError> {
        let at = usize::from(tenant.0);
        let Some((settings, link)) = self.devices.tenants.get(at).zip(self.links.get_mut(at))
        else {
            return Ok(());
        };
        let shards = u8::try_from(self.devices.mailboxes.len()).unwrap_or(u8::MAX);
        let queues = tun::open_queues(settings, shards, self.devices.offload)?;
        let netlink = &self.namespaces[link.namespace];
        *link = Link {
            index: netlink.bring_up(settings).await?,
            generation: link.generation + 1,
            ..*link
        };
        for (mailbox, queue) in self.devices.mailboxes.iter().zip(queues) {
            let generation = link.generation;
            mailbox.put(Control::Inner(
                tenant,
                tun::Queue {
                    generation,
                    ..queue
                },
            ));
        }
        let (namespace, index) = (link.namespace, link.index);
        let nets: Vec<IpNet> = self.book.of(namespace, tenant).collect();
        for net in nets {
            if let Err(error) = self.namespaces[namespace].replace_route(net, index).await {
                tracing::error!(%net, %error, "route");
                self.refused(ShardId(0), net);
            }
        }
        Ok(())
    }

    fn tell(&self, tenant: TenantId, present: bool) {
        if let Some(tenant) = self.devices.tenants.get(usize::from(tenant.0)) {
            let event = Event::InnerDevice {
                tenant: tenant.name.to_string(),
                interface: tenant.interface.clone(),
                present,
            };
            self.events.publish(ShardId(0), None, event);
        }
    }
}
