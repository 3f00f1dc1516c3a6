//! What operators see of a shard's peers. Serialized as the admin API's JSON (version 1).

use crate::io::{DeviceId, ShardId};
use hawser_flight::{CloseCause, Path, Role};
use serde::Serialize;
use std::sync::Arc;

/// Whether a device is up, by evidence.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerStatus {
    /// It has a Child SA, no request of ours is unanswered, and authenticated traffic or an
    /// answered probe came within the last quarter of an hour.
    Up,
    /// It has SAs, but a probe is unanswered or nothing proves it alive.
    Degraded,
    /// A handshake of ours is under way.
    Connecting,
    /// No SA.
    Down,
}

/// One line of `hawser status`.
#[derive(Clone, Debug, Serialize)]
pub struct PeerLine {
    /// The device.
    pub device: DeviceId,
    /// Its shard.
    pub shard: ShardId,
    /// Tenant name.
    pub tenant: Arc<str>,
    /// Template name.
    pub template: Arc<str>,
    /// Authenticated identity.
    pub identity: Arc<str>,
    /// Outer endpoint as the case writes it: `120.208.142.17/8192`.
    pub endpoint: String,
    /// By evidence.
    pub status: PeerStatus,
    /// Seconds since it came up (or went down).
    pub since_s: u64,
    /// The branch's selectors, of all its Child SAs.
    pub networks: Vec<String>,
    /// ESP bytes received from the peer, over all its Child SAs.
    pub bytes_in: u64,
    /// ESP bytes sent to the peer.
    pub bytes_out: u64,
    /// Why it is down, where it is.
    pub down_cause: Option<CloseCause>,
}

/// `hawser status`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StatusView {
    /// Peers that match.
    pub peers: Vec<PeerLine>,
    /// Half-open IKE SAs.
    pub half_open: usize,
    /// Established IKE SAs.
    pub ike_sas: usize,
    /// Child SA pairs.
    pub child_sas: usize,
}

/// One Child SA pair.
#[derive(Clone, Debug, Serialize)]
pub struct ChildSaView {
    /// Name of the Child SA in its template.
    pub name: String,
    /// Our SPI, in hexadecimal.
    pub spi_in: String,
    /// The peer's SPI, in hexadecimal.
    pub spi_out: String,
    /// Suite in strongSwan's keywords.
    pub suite: String,
    /// Our side's selectors.
    pub local: Vec<String>,
    /// The peer's side's selectors.
    pub remote: Vec<String>,
    /// Whether we send on it.
    pub outbound_active: bool,
    /// Age in seconds.
    pub age_s: u64,
    /// Seconds until the hard limit.
    pub expires_in_s: Option<u64>,
    /// Packets and bytes received.
    pub packets_in: u64,
    /// Bytes received (ESP packets).
    pub bytes_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Bytes sent (ESP packets).
    pub bytes_out: u64,
    /// Seconds since the last authenticated packet came.
    pub idle_in_s: Option<u64>,
}

/// One IKE SA.
#[derive(Clone, Debug, Serialize)]
pub struct IkeSaView {
    /// Initiator's SPI, in hexadecimal.
    pub spi_i: String,
    /// Responder's SPI, in hexadecimal.
    pub spi_r: String,
    /// Our role in the IKE SA.
    pub role: Role,
    /// State in a word: `established`, `deleting`, `rekeyed`.
    pub state: String,
    /// Suite in strongSwan's keywords.
    pub suite: String,
    /// Outer path.
    pub path: Path,
    /// The peer is behind a NAT.
    pub peer_behind_nat: bool,
    /// We are behind a NAT.
    pub local_behind_nat: bool,
    /// Age in seconds.
    pub age_s: u64,
    /// Seconds until the hard limit.
    pub expires_in_s: Option<u64>,
    /// Seconds until we rekey it, unless the peer is faster.
    pub rekeys_in_s: Option<u64>,
    /// Between how many seconds from now the peer is expected to renew it, by what it did before.
    pub peer_renews_in_s: Option<[u64; 2]>,
    /// Seconds since the last authenticated IKE message came.
    pub idle_in_s: u64,
    /// Its Child SAs.
    pub children: Vec<ChildSaView>,
}

/// `hawser show PEER`.
#[derive(Clone, Debug, Serialize)]
pub struct PeerView {
    /// The line of `status`.
    #[serde(flatten)]
    pub line: PeerLine,
    /// Its IKE SAs.
    pub ike_sas: Vec<IkeSaView>,
    /// What authorization plugins said about it, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(String, String)>,
}
