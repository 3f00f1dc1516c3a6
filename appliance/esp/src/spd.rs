//! The Security Policy Database, outbound part (RFC 4301 section 4.4.1): which Child SA an inner packet takes.

use crate::packet::PacketInfo;
use hawser_policy::TrafficSelector;
use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;
use slab::Slab;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;

/// The outbound policies of one tenant. A handle names one policy: a pair of selector lists, every one of `local` with every one
/// of `remote`.
///
/// A packet takes the policy with the longest prefix for its destination. Among those of one prefix that fit the packet the
/// narrower wins: first the one that names the protocol, then by remote ports, by local ports, by local addresses; if all of that
/// is equal, the most recently inserted. If none of the prefix fits, the next shorter one is asked.
///
/// A remote selector that is not one prefix is split into those that make it up, at most 62 (IPv4) or 254 (IPv6).
#[derive(Debug)]
pub struct Spd<T> {
    prefixes: JointPrefixMap<IpNet, Vec<Entry>>,
    policies: Slab<Policy<T>>,
    slots: HashMap<T, usize>,
    inserted: u64,
}

#[derive(Debug)]
struct Policy<T> {
    handle: T,
    /// Counts insertions; unique.
    order: u64,
    local: Box<[TrafficSelector]>,
    remote: Box<[TrafficSelector]>,
}

/// A remote selector below one of its prefixes.
#[derive(Debug)]
struct Entry {
    slot: usize,
    remote: TrafficSelector,
}

impl<T: Copy + Eq + Hash> Spd<T> {
    /// An empty database.
    #[must_use]
    pub fn new() -> Self {
        Self {
            prefixes: JointPrefixMap::new(),
            policies: Slab::new(),
            slots: HashMap::new(),
            inserted: 0,
        }
    }

    /// Adds a policy as the most recent; it takes the place of the one that had the handle. `local` are the selectors for the
    /// source of outbound packets, `remote` those for the destination.
    pub fn insert(&mut self, handle: T, local: &[TrafficSelector], remote: &[TrafficSelector]) {
        self.remove(handle);
        self.inserted += 1;
        let slot = self.policies.insert(Policy {
            handle,
            order: self.inserted,
            local: local.into(),
            remote: remote.into(),
        });
        self.slots.insert(handle, slot);
        for remote in remote {
            for net in remote.to_nets() {
                let entry = Entry {
                    slot,
                    remote: *remote,
                };
                self.prefixes.entry(net).or_default().push(entry);
            }
        }
    }

    /// Removes a policy. Returns whether there was one.
    pub fn remove(&mut self, handle: T) -> bool {
        let Some(slot) = self.slots.remove(&handle) else {
            return false;
        };
        let Some(policy) = self.policies.try_remove(slot) else {
            return false;
        };
        for net in policy.remote.iter().flat_map(TrafficSelector::to_nets) {
            if let Some(entries) = self.prefixes.get_mut(&net) {
                entries.retain(|entry| entry.slot != slot);
                if entries.is_empty() {
                    self.prefixes.remove(&net);
                }
            }
        }
        true
    }

    /// Gives the policy of `old` to `new` in one step, precedence and all, as rekeying with the same selectors does. A policy that
    /// `new` had is removed. Returns whether `old` had one; if not, nothing changes.
    pub fn replace(&mut self, old: T, new: T) -> bool {
        let Some(slot) = self.slots.get(&old).copied() else {
            return false;
        };
        if old != new {
            self.remove(new);
            self.slots.remove(&old);
            self.slots.insert(new, slot);
        }
        match self.policies.get_mut(slot) {
            Some(policy) => {
                policy.handle = new;
                true
            }
            None => false,
        }
    }

    /// The policy that an outbound packet takes. Does not allocate.
    #[must_use]
    pub fn lookup(&self, info: &PacketInfo) -> Option<T> {
        let mut net = IpNet::from(info.destination);
        loop {
            let (found, entries) = self.prefixes.get_lpm(&net)?;
            if let Some(handle) = self.narrowest(entries, info) {
                return Some(handle);
            }
            net = found.supernet()?;
        }
    }

    /// Handles of the policies with a remote selector that overlaps any of `selectors` (addresses, protocol and ports), the oldest
    /// first. Allocates: it is for negotiation, not for packets.
    pub fn overlaps(&self, selectors: &[TrafficSelector]) -> impl Iterator<Item = T> {
        let mut found: Vec<(u64, T)> = Vec::new();
        for selector in selectors {
            for net in selector.to_nets() {
                let above = self.prefixes.cover_values(&net);
                let below = self.prefixes.children(&net).map(|(_, entries)| entries);
                let entries = above.chain(below).flatten();
                let overlapping = entries.filter(|e| e.remote.intersect(selector).is_some());
                let policies = overlapping.filter_map(|e| self.policies.get(e.slot));
                found.extend(policies.map(|policy| (policy.order, policy.handle)));
            }
        }
        found.sort_unstable_by_key(|(order, _)| *order);
        found.dedup_by_key(|(order, _)| *order);
        found.into_iter().map(|(_, handle)| handle)
    }

    /// Number of policies.
    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether there is no policy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    fn narrowest(&self, entries: &[Entry], info: &PacketInfo) -> Option<T> {
        let fitting = entries
            .iter()
            .filter(|entry| fits_remote(&entry.remote, info))
            .filter_map(|entry| Some((self.policies.get(entry.slot)?, &entry.remote)));
        let pairs = fitting.flat_map(|(policy, remote)| {
            let locals = policy.local.iter().filter(|local| fits_local(local, info));
            locals.map(move |local| Pair {
                policy,
                local,
                remote,
            })
        });
        pairs
            .max_by(|a, b| a.narrowness().cmp(&b.narrowness()))
            .map(|pair| pair.policy.handle)
    }
}

impl<T: Copy + Eq + Hash> Default for Spd<T> {
    fn default() -> Self {
        Self::new()
    }
}

fn fits_remote(remote: &TrafficSelector, info: &PacketInfo) -> bool {
    remote.matches(info.destination, info.protocol, info.destination_port)
}

fn fits_local(local: &TrafficSelector, info: &PacketInfo) -> bool {
    local.matches(info.source, info.protocol, info.source_port)
}

/// A local and a remote selector of one policy that both fit a packet.
struct Pair<'a, T> {
    policy: &'a Policy<T>,
    local: &'a TrafficSelector,
    remote: &'a TrafficSelector,
}

impl<T> Pair<'_, T> {
    /// Greater is narrower, or of equal ones more recent.
    fn narrowness(&self) -> impl Ord + use<T> {
        let names_protocol = self.local.protocol != 0 || self.remote.protocol != 0;
        (
            names_protocol,
            Reverse(ports(self.remote)),
            Reverse(ports(self.local)),
            Reverse(addresses(self.local)),
            self.policy.order,
        )
    }
}

/// Ports that a selector spans beyond the first.
fn ports(selector: &TrafficSelector) -> u16 {
    selector.port_end.saturating_sub(selector.port_start)
}

/// Addresses that a selector spans beyond the first.
fn addresses(selector: &TrafficSelector) -> u128 {
    use std::net::IpAddr::{V4, V6};
    match (selector.start, selector.end) {
        (V4(start), V4(end)) => u128::from(end.to_bits().saturating_sub(start.to_bits())),
        (V6(start), V6(end)) => end.to_bits().saturating_sub(start.to_bits()),
        _ => u128::MAX,
    }
}
