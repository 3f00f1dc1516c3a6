//! A binary trie of claimed prefixes that finds overlaps without walking through what is not asked for.
//!
//! Each node knows the least and the greatest identity below it, so a search for claims of *other*
//! identities skips every subtree that one identity has alone: 50,000 branches that all call
//! themselves `test` cost as much as one.

use hawser_shard::io::DeviceId;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Number of an identity in its tenant; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct IdentityNo(pub(crate) u64);

/// That a device of an identity holds a prefix.
pub(crate) type Claim = (IdentityNo, DeviceId);

/// Which claims a search is for.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    All,
    NotOf(IdentityNo),
}

/// The claims of both families.
#[derive(Default)]
pub(crate) struct Claims {
    v4: Slot,
    v6: Slot,
}

impl Claims {
    pub(crate) fn insert(&mut self, net: &IpNet, claim: Claim) {
        insert(self.slot(net), Prefix::from(net), claim);
    }

    pub(crate) fn remove(&mut self, net: &IpNet, claim: Claim) {
        remove(self.slot(net), Prefix::from(net), claim);
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }

    /// Shows `found` the wanted claims whose prefixes overlap `net`, the widest first, until it
    /// breaks. A claim on several prefixes is shown for each.
    pub(crate) fn overlapping(
        &self,
        net: &IpNet,
        wanted: Wanted,
        found: &mut dyn FnMut(Claim) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let root = match net {
            IpNet::V4(_) => &self.v4,
            IpNet::V6(_) => &self.v6,
        };
        search(root, Prefix::from(net), wanted, found)
    }

    fn slot(&mut self, net: &IpNet) -> &mut Slot {
        match net {
            IpNet::V4(_) => &mut self.v4,
            IpNet::V6(_) => &mut self.v6,
        }
    }
}

/// A prefix of either family, its bits at the top.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Prefix {
    bits: u128,
    len: u8,
}

impl From<&IpNet> for Prefix {
    fn from(net: &IpNet) -> Self {
        let bits = match net {
            IpNet::V4(n) => u128::from(u32::from(n.network())) << 96,
            IpNet::V6(n) => u128::from(n.network()),
        };
        Self {
            bits,
            len: net.prefix_len(),
        }
    }
}

impl Prefix {
    /// How many bits both begin with.
    fn common(self, other: Self) -> u8 {
        let same = (self.bits ^ other.bits).leading_zeros() as u8;
        same.min(self.len).min(other.len)
    }

    fn covers(self, other: Self) -> bool {
        self.common(other) == self.len
    }

    /// Which side of a node of length `at` it belongs to.
    fn side(self, at: u8) -> usize {
        usize::from(self.bits << at >> 127 == 1)
    }
}

type Slot = Option<Box<Node>>;

struct Node {
    prefix: Prefix,
    claims: BTreeSet<Claim>,
    children: [Slot; 2],
    /// The least and the greatest identity of the claims here and below.
    identities: (IdentityNo, IdentityNo),
}

impl Node {
    fn leaf(prefix: Prefix, claim: Claim) -> Box<Self> {
        let claims = BTreeSet::from([claim]);
        Box::new(Self {
            prefix,
            claims,
            children: [None, None],
            identities: (claim.0, claim.0),
        })
    }

    fn summarize(&mut self) {
        let here = self
            .claims
            .first()
            .zip(self.claims.last())
            .map(|(a, b)| (a.0, b.0));
        let below = self.children.iter().flatten().map(|child| child.identities);
        let all = here
            .into_iter()
            .chain(below)
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        if let Some(identities) = all {
            self.identities = identities;
        }
    }

    /// Shows the wanted claims on this very prefix.
    fn show(
        &self,
        wanted: Wanted,
        found: &mut dyn FnMut(Claim) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match wanted {
            Wanted::All => self.claims.iter().copied().try_for_each(found),
            Wanted::NotOf(own) => {
                let before = self.claims.range(..(own, DeviceId(0)));
                let after = self.claims.range((IdentityNo(own.0 + 1), DeviceId(0))..);
                before.chain(after).copied().try_for_each(found)
            }
        }
    }
}

fn insert(slot: &mut Slot, prefix: Prefix, claim: Claim) {
    let Some(node) = slot else {
        *slot = Some(Node::leaf(prefix, claim));
        return;
    };
    let common = node.prefix.common(prefix);
    if common < node.prefix.len {
        split(slot, common);
    }
    let Some(node) = slot else { return };
    if prefix.len == common {
        node.claims.insert(claim);
    } else {
        insert(&mut node.children[prefix.side(common)], prefix, claim);
    }
    node.summarize();
}

/// Puts an empty node of length `len` above the one in the slot.
fn split(slot: &mut Slot, len: u8) {
    let Some(below) = slot.take() else { return };
    let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
    let prefix = Prefix {
        bits: below.prefix.bits & mask,
        len,
    };
    let (side, identities) = (below.prefix.side(len), below.identities);
    let mut children = [None, None];
    children[side] = Some(below);
    *slot = Some(Box::new(Node {
        prefix,
        claims: BTreeSet::new(),
        children,
        identities,
    }));
}

fn remove(slot: &mut Slot, prefix: Prefix, claim: Claim) {
    let Some(node) = slot else { return };
    if !node.prefix.covers(prefix) {
        return;
    }
    if node.prefix == prefix {
        node.claims.remove(&claim);
    } else {
        remove(
            &mut node.children[prefix.side(node.prefix.len)],
            prefix,
            claim,
        );
    }
    if !node.claims.is_empty() {
        return node.summarize();
    }
    // A node without claims is there only to branch.
    match &mut node.children {
        [Some(_), Some(_)] => node.summarize(),
        [child, None] | [None, child] => *slot = child.take(),
    }
}

fn search(
    slot: &Slot,
    query: Prefix,
    wanted: Wanted,
    found: &mut dyn FnMut(Claim) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Some(node) = slot else {
        return ControlFlow::Continue(());
    };
    let skipped = match wanted {
        Wanted::All => false,
        Wanted::NotOf(own) => node.identities == (own, own),
    };
    if skipped || !(node.prefix.covers(query) || query.covers(node.prefix)) {
        return ControlFlow::Continue(());
    }
    // A node above the query holds claims that cover it, one below it claims inside of it.
    node.show(wanted, found)?;
    node.children
        .iter()
        .try_for_each(|child| search(child, query, wanted, found))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn net() -> impl Strategy<Value = IpNet> {
        // Few bits, so that prefixes meet.
        let v4 = (any::<[bool; 5]>(), 0u8..=32).prop_map(|(b, len)| {
            let bits = b
                .iter()
                .enumerate()
                .fold(0u32, |a, (i, b)| a | u32::from(*b) << (31 - 7 * i));
            IpNet::new(std::net::Ipv4Addr::from(bits).into(), len)
                .unwrap()
                .trunc()
        });
        let v6 = (any::<[bool; 5]>(), 0u8..=128).prop_map(|(b, len)| {
            let bits = b
                .iter()
                .enumerate()
                .fold(0u128, |a, (i, b)| a | u128::from(*b) << (127 - 30 * i));
            IpNet::new(std::net::Ipv6Addr::from(bits).into(), len)
                .unwrap()
                .trunc()
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn finds_what_a_list_finds(
            steps in prop::collection::vec((any::<bool>(), net(), 0u64..4, 0u64..6), 1..80),
            query in net(),
            own in 0u64..4,
        ) {
            let mut claims = Claims::default();
            let mut list: BTreeSet<(IpNet, Claim)> = BTreeSet::new();
            for (add, net, identity, device) in steps {
                let claim = (IdentityNo(identity), DeviceId(device));
                if add {
                    claims.insert(&net, claim);
                    list.insert((net, claim));
                } else {
                    claims.remove(&net, claim);
                    list.remove(&(net, claim));
                }
            }
            let overlaps = |a: &IpNet| a.contains(&query) || query.contains(a);
            for wanted in [Wanted::All, Wanted::NotOf(IdentityNo(own))] {
                let mut got = Vec::new();
                let _ = claims.overlapping(&query, wanted, &mut |c| {
                    got.push(c);
                    ControlFlow::Continue(())
                });
                got.sort();
                let fits = |c: &Claim| matches!(wanted, Wanted::All) || c.0 != IdentityNo(own);
                let mut want: Vec<Claim> =
                    list.iter().filter(|(n, c)| overlaps(n) && fits(c)).map(|(_, c)| *c).collect();
                want.sort();
                prop_assert_eq!(got, want);
            }
            for (net, claim) in &list {
                claims.remove(net, *claim);
            }
            prop_assert!(claims.is_empty());
        }
    }
}
