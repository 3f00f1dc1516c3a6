//! Which Child SAs own which routes.

use hawser_policy::TenantId;
use ipnet::IpNet;
use std::collections::{BTreeSet, HashMap};

/// A destination in a namespace.
type Key = (usize, IpNet);

/// What a change comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// The route leads to this tenant's interface now.
    Install(TenantId),
    /// Nobody owns the route to this tenant's interface any more.
    Remove(TenantId),
    /// Another tenant of the same namespace has the destination; it keeps it.
    Refused,
}

/// The owners of every route.
#[derive(Default)]
pub(super) struct Book {
    /// Tenants in the order they came, each with its owners. The first has the route.
    holders: HashMap<Key, Vec<(TenantId, BTreeSet<u64>)>>,
}

impl Book {
    /// Notes that `owner` wants the route or no longer does, and says what is to be done.
    pub(super) fn change(
        &mut self,
        key: Key,
        tenant: TenantId,
        owner: u64,
        install: bool,
    ) -> Option<Step> {
        match install {
            true => self.install(key, tenant, owner),
            false => self.remove(key, tenant, owner),
        }
    }

    fn install(&mut self, key: Key, tenant: TenantId, owner: u64) -> Option<Step> {
        let holders = self.holders.entry(key).or_default();
        if let Some((_, owners)) = holders.iter_mut().find(|(t, _)| *t == tenant) {
            owners.insert(owner);
            return None;
        }
        holders.push((tenant, BTreeSet::from([owner])));
        Some(if holders.len() == 1 {
            Step::Install(tenant)
        } else {
            Step::Refused
        })
    }

    fn remove(&mut self, key: Key, tenant: TenantId, owner: u64) -> Option<Step> {
        let holders = self.holders.get_mut(&key)?;
        let at = holders.iter().position(|(t, _)| *t == tenant)?;
        let owners = &mut holders[at].1;
        if !owners.remove(&owner) || !owners.is_empty() {
            return None;
        }
        holders.remove(at);
        match holders.first() {
            None => {
                self.holders.remove(&key);
                Some(Step::Remove(tenant))
            }
            Some((next, _)) => (at == 0).then_some(Step::Install(*next)),
        }
    }

    /// The routes of a namespace that lead to this tenant's interface.
    pub(super) fn of(&self, namespace: usize, tenant: TenantId) -> impl Iterator<Item = IpNet> {
        let leads = move |holders: &[(TenantId, _)]| holders.first().map(|h| h.0) == Some(tenant);
        let of_namespace = self
            .holders
            .iter()
            .filter(move |(key, _)| key.0 == namespace);
        of_namespace
            .filter(move |(_, holders)| leads(holders))
            .map(|((_, net), _)| *net)
    }

    /// Number of routes.
    pub(super) fn len(&self) -> usize {
        self.holders.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const A: TenantId = TenantId(0);
    const B: TenantId = TenantId(1);

    fn key(namespace: usize) -> Key {
        (namespace, "10.1.0.0/24".parse().unwrap())
    }

    #[test]
    fn a_route_goes_with_its_last_owner() {
        let mut book = Book::default();
        assert_eq!(book.change(key(0), A, 1, true), Some(Step::Install(A)));
        assert_eq!(
            book.change(key(0), A, 2, true),
            None,
            "the successor of a rekey"
        );
        assert_eq!(book.change(key(0), A, 2, true), None, "twice is once");
        assert_eq!(book.change(key(0), A, 1, false), None);
        assert_eq!(
            book.change(key(0), A, 1, false),
            None,
            "not an owner any more"
        );
        assert_eq!(book.change(key(0), A, 2, false), Some(Step::Remove(A)));
        assert_eq!(book.len(), 0);
        assert_eq!(book.change(key(0), A, 2, false), None);
    }

    #[test]
    fn the_first_tenant_of_a_namespace_keeps_the_destination() {
        let mut book = Book::default();
        assert_eq!(book.change(key(0), A, 1, true), Some(Step::Install(A)));
        assert_eq!(book.change(key(0), B, 2, true), Some(Step::Refused));
        assert_eq!(
            book.change(key(1), B, 3, true),
            Some(Step::Install(B)),
            "elsewhere"
        );
        assert_eq!(
            book.change(key(0), A, 1, false),
            Some(Step::Install(B)),
            "its turn"
        );
        assert_eq!(book.change(key(0), B, 2, false), Some(Step::Remove(B)));
        assert_eq!(book.len(), 1);
    }
}
