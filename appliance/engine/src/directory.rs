//! Which device holds which selectors: the one thing that shards share.
//!
//! It is asked when a peer has authenticated and told when its selectors change, never per packet.
//! A question costs the same however many devices there are, also when all have one identity.

use crate::trie::{Claim, Claims, IdentityNo, Wanted};
use dashmap::DashMap;
use hawser_policy::{Identity, TenantId, TrafficSelector};
use hawser_shard::io::{Answer, DeviceId, DirectoryRequest, Located, ShardId};
use ipnet::IpNet;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::ops::ControlFlow;

/// Devices named of the asker's identity, and of others, at most.
const LIMIT: usize = 4;
/// Claims on overlapping prefixes looked at for one answer. It is met only where very many hold
/// the same prefix with different protocols or ports.
const LOOKS: usize = 4096;

/// The directory of every tenant.
#[derive(Default)]
pub(crate) struct Directory {
    tenants: DashMap<TenantId, Book>,
}

impl Directory {
    /// Devices that are alive: of the identity, and of the tenant.
    pub(crate) fn alive(&self, tenant: TenantId, identity: &Identity) -> (u32, u32) {
        let Some(book) = self.tenants.get(&tenant) else {
            return (0, 0);
        };
        let number = book.numbers.get(identity);
        let devices = number.and_then(|no| book.identities.get(no));
        (devices.map_or(0, |d| d.alive), book.alive)
    }

    pub(crate) fn answer(&self, request: DirectoryRequest) -> Answer {
        match request {
            DirectoryRequest::Locate {
                tenant,
                identity,
                endpoint,
                selectors,
            } => {
                let Some(book) = self.tenants.get(&tenant) else {
                    return Answer::Located {
                        same: Vec::new(),
                        others: Vec::new(),
                    };
                };
                book.locate(&identity, endpoint, &selectors)
            }
            DirectoryRequest::Claim {
                device,
                shard,
                tenant,
                identity,
                path,
                selectors,
                alive,
                ..
            } => {
                let mut book = self.tenants.entry(tenant).or_default();
                book.release(device);
                if !selectors.is_empty() {
                    book.claim(
                        device,
                        identity,
                        Device::new(shard, path.remote, selectors, alive),
                    );
                }
                Answer::Located {
                    same: Vec::new(),
                    others: Vec::new(),
                }
            }
        }
    }
}

/// The devices of a tenant.
#[derive(Default)]
struct Book {
    numbers: HashMap<Identity, IdentityNo>,
    identities: HashMap<IdentityNo, Devices>,
    next: u64,
    devices: HashMap<DeviceId, Device>,
    claims: ByLife,
    /// Devices that are alive.
    alive: u32,
}

/// The devices of an identity.
struct Devices {
    identity: Identity,
    /// Those that are alive.
    alive: u32,
    claims: ByLife,
    /// Those that are alive come first.
    endpoints: HashMap<SocketAddr, BTreeSet<(Life, DeviceId)>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Life {
    Alive,
    /// Known for when it returns.
    Remembered,
}

/// The claims of those that are alive apart from those remembered: however many are remembered,
/// one that is alive is never left out for them.
#[derive(Default)]
struct ByLife {
    alive: Claims,
    remembered: Claims,
}

impl ByLife {
    fn of(&mut self, life: Life) -> &mut Claims {
        match life {
            Life::Alive => &mut self.alive,
            Life::Remembered => &mut self.remembered,
        }
    }
}

struct Device {
    identity: IdentityNo,
    shard: ShardId,
    endpoint: SocketAddr,
    selectors: Vec<TrafficSelector>,
    nets: Vec<IpNet>,
    life: Life,
}

impl Device {
    fn new(
        shard: ShardId,
        endpoint: SocketAddr,
        selectors: Vec<TrafficSelector>,
        alive: bool,
    ) -> Self {
        let nets = selectors
            .iter()
            .flat_map(TrafficSelector::to_nets)
            .collect();
        let life = if alive { Life::Alive } else { Life::Remembered };
        Self {
            identity: IdentityNo(0),
            shard,
            endpoint,
            selectors,
            nets,
            life,
        }
    }

    fn overlaps(&self, asked: &[TrafficSelector]) -> bool {
        self.selectors
            .iter()
            .any(|held| asked.iter().any(|a| a.intersect(held).is_some()))
    }
}

impl Book {
    fn claim(&mut self, id: DeviceId, identity: Identity, mut device: Device) {
        let next = self.next;
        let number = *self
            .numbers
            .entry(identity.clone())
            .or_insert(IdentityNo(next));
        self.next += u64::from(number == IdentityNo(next));
        device.identity = number;
        let devices = self.identities.entry(number).or_insert_with(|| Devices {
            identity,
            alive: 0,
            claims: ByLife::default(),
            endpoints: HashMap::new(),
        });
        let lives = u32::from(device.life == Life::Alive);
        devices.alive += lives;
        self.alive += lives;
        devices
            .endpoints
            .entry(device.endpoint)
            .or_default()
            .insert((device.life, id));
        for net in &device.nets {
            devices.claims.of(device.life).insert(net, (number, id));
            self.claims.of(device.life).insert(net, (number, id));
        }
        self.devices.insert(id, device);
    }

    fn release(&mut self, id: DeviceId) {
        let Some(device) = self.devices.remove(&id) else {
            return;
        };
        let lived = u32::from(device.life == Life::Alive);
        self.alive -= lived;
        let claim = (device.identity, id);
        device
            .nets
            .iter()
            .for_each(|net| self.claims.of(device.life).remove(net, claim));
        let Some(devices) = self.identities.get_mut(&device.identity) else {
            return;
        };
        devices.alive -= lived;
        device
            .nets
            .iter()
            .for_each(|net| devices.claims.of(device.life).remove(net, claim));
        if let Some(there) = devices.endpoints.get_mut(&device.endpoint) {
            there.remove(&(device.life, id));
            if there.is_empty() {
                devices.endpoints.remove(&device.endpoint);
            }
        }
        if devices.endpoints.is_empty() {
            self.numbers.remove(&devices.identity);
            self.identities.remove(&device.identity);
        }
    }

    fn locate(
        &self,
        identity: &Identity,
        endpoint: SocketAddr,
        asked: &[TrafficSelector],
    ) -> Answer {
        let own = self
            .numbers
            .get(identity)
            .and_then(|no| Some((no, self.identities.get(no)?)));
        let nets: Vec<IpNet> = asked.iter().flat_map(TrafficSelector::to_nets).collect();
        let same = own.map_or_else(Vec::new, |(_, devices)| {
            // The same endpoint says most: those come first.
            let there = devices.endpoints.get(&endpoint).into_iter().flatten();
            let found = there.map(|(_, id)| *id).take(LIMIT).collect();
            self.overlapping(&devices.claims, Wanted::All, &nets, asked, found)
        });
        let wanted = own.map_or(Wanted::All, |(no, _)| Wanted::NotOf(*no));
        let others = self.overlapping(&self.claims, wanted, &nets, asked, Vec::new());
        let named =
            |found: Vec<DeviceId>| found.iter().filter_map(|d| self.named(*d, asked)).collect();
        Answer::Located {
            same: named(same),
            others: named(others),
        }
    }

    /// Adds to `found` the wanted devices whose selectors overlap, up to the limit.
    fn overlapping(
        &self,
        claims: &ByLife,
        wanted: Wanted,
        nets: &[IpNet],
        asked: &[TrafficSelector],
        mut found: Vec<DeviceId>,
    ) -> Vec<DeviceId> {
        let mut looks = 0;
        let mut look = |(_, id): Claim| {
            looks += 1;
            if found.len() >= LIMIT || looks > LOOKS {
                return ControlFlow::Break(());
            }
            // Prefixes overlap; whether protocols and ports do is to be seen.
            let fits = || self.devices.get(&id).is_some_and(|d| d.overlaps(asked));
            if !found.contains(&id) && fits() {
                found.push(id);
            }
            ControlFlow::Continue(())
        };
        let _ = [&claims.alive, &claims.remembered]
            .into_iter()
            .try_for_each(|c| {
                nets.iter()
                    .try_for_each(|net| c.overlapping(net, wanted, &mut look))
            });
        found
    }

    fn named(&self, id: DeviceId, asked: &[TrafficSelector]) -> Option<Located> {
        let device = self.devices.get(&id)?;
        Some(Located {
            device: id,
            shard: device.shard,
            identity: self.identities.get(&device.identity)?.identity.clone(),
            endpoint: device.endpoint,
            overlaps: device.overlaps(asked),
            alive: device.life == Life::Alive,
        })
    }
}

#[cfg(test)]
mod tests;
