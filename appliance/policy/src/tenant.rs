//! Tenants (Comware: VPN instances).

use ipnet::IpNet;
use serde::Serialize;
use std::sync::Arc;

/// Index of a tenant in [`crate::Policy::tenants`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize)]
pub struct TenantId(pub u16);

/// Peers whose inner networks belong together, apart from every other tenant's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Index in the policy.
    pub id: TenantId,
    /// Name in the configuration; the tenant of everything without a VPN instance is `default`.
    pub name: Arc<str>,
    /// Name of the TUN interface, at most 15 octets.
    pub interface: String,
    /// MTU of the TUN interface: 576 to 9000 octets, default 1400.
    pub mtu: u16,
    /// Addresses of the TUN interface.
    pub addresses: Vec<IpNet>,
    /// Network namespace of the TUN interface by name (as `ip netns` has it); `None`: our own.
    pub namespace: Option<String>,
    /// Headquarters' own networks, which no tunnel may claim.
    pub protected: Vec<IpNet>,
}
