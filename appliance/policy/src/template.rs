//! What the peers of one kind share.

use crate::identity::Identity;
use crate::pad::Secret;
use crate::proposal::{EspProposal, IkeProposal};
use crate::selector::TrafficSelector;
use crate::settings::Retransmission;
use crate::tenant::TenantId;
use crate::upkeep::Upkeep;
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Index of a template in [`crate::Policy::templates`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize)]
pub struct TemplateId(pub u16);

/// When DPD probes (the case's reference of `ikev2 dpd`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DpdMode {
    /// Only when an ESP packet is sent and nothing came from the peer for the interval.
    OnDemand,
    /// Every interval.
    Periodic,
}

/// Dead peer detection, as the case has it. Absent: off, which is the default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct DpdSettings {
    /// On demand or periodic.
    pub mode: DpdMode,
    /// 10 to 3600 s.
    pub interval: Duration,
    /// Retransmission interval of a probe: 2 to 60 s, less than `interval`; default 5 s.
    pub retry: Duration,
    /// Retransmissions before the peer is given up: 1 to 10, default 2.
    pub retries: u8,
}

/// When an SA is renewed and when it ends.
///
/// The hard limit ends it; renewal by us is due earlier by `margin`, jittered. `None`: no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Lifetimes {
    /// Hard limit by age.
    pub time: Option<Duration>,
    /// Hard limit by bytes in either direction; for Child SAs alone.
    pub bytes: Option<u64>,
    /// How much earlier than the hard time limit our own rekey may begin.
    pub margin: Duration,
}

impl Lifetimes {
    /// The default margin: a tenth of the lifetime, at most 9 minutes (strongSwan's habit).
    pub fn with_default_margin(time: Option<Duration>, bytes: Option<u64>) -> Self {
        let margin = time.map_or(Duration::ZERO, |t| (t / 10).min(Duration::from_secs(540)));
        Self {
            time,
            bytes,
            margin,
        }
    }
}

/// What Child SAs of a template may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildTemplate {
    /// Name, for configuration and display.
    pub name: String,
    /// Accepted proposals, the best first.
    pub proposals: Vec<EspProposal>,
    /// Selectors of our side; what a peer asks for is narrowed to these.
    pub local: Vec<TrafficSelector>,
    /// Selectors of the peer's side; what a peer asks for is narrowed to these.
    pub remote: Vec<TrafficSelector>,
    /// Lifetimes of a Child SA.
    pub lifetimes: Lifetimes,
    /// Anti-replay window in packets: 0 (off) or 64 to 65536, default 4096.
    pub replay_window: u32,
}

/// That we begin the IKE SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initiate {
    /// The peer's address and port.
    pub remote: SocketAddr,
    /// The identity it must prove.
    pub remote_identity: Identity,
    /// The pre-shared key.
    pub secret: Secret,
}

/// What the peers of one kind share: profile, policy template and transform sets in Comware's words.
#[derive(Clone, Debug)]
pub struct PeerTemplate {
    /// Index in the policy.
    pub id: TemplateId,
    /// Name in the configuration.
    pub name: Arc<str>,
    /// The tenant that its tunnels belong to.
    pub tenant: TenantId,
    /// The identity we show; `None`: our outer address.
    pub local_identity: Option<Identity>,
    /// Proposals acceptable for this template, the best first; empty: whatever the IKE policy
    /// of the address let through.
    pub ike_proposals: Vec<IkeProposal>,
    /// Lifetimes of the IKE SA.
    pub ike_lifetimes: Lifetimes,
    /// The Child SAs it may have. The first that fits serves a request.
    pub children: Vec<ChildTemplate>,
    /// DPD; `None`: off.
    pub dpd: Option<DpdSettings>,
    /// NAT keepalives (RFC 3948 4) when we are behind a NAT: 5 to 3600 s; `None`: off.
    pub nat_keepalive: Option<Duration>,
    /// Retransmission of requests other than DPD probes.
    pub retransmission: Retransmission,
    /// How its tunnels are kept up.
    pub upkeep: Upkeep,
    /// Consent to install a default route, or one over outer endpoints or headquarters' networks.
    pub allow_any_route: bool,
    /// Fragment our IKE messages above this size of the IP packet (RFC 7383), 576 to 1280 octets.
    pub fragment_size: u16,
    /// Begin the IKE SA ourselves.
    pub initiate: Option<Initiate>,
}
