//! Plain counters of a shard, scraped from outside; nothing on the packet path looks a label up.

use hawser_flight::{CloseCause, DropReason, HandshakeFailure, MessageError};

/// An array with one counter for each value of a reason enum.
macro_rules! counted {
    ($name:ident, $reason:ty) => {
        /// One counter for each value of the reason.
        #[derive(Clone, Debug)]
        pub struct $name([u64; <$reason>::ALL.len()]);

        impl Default for $name {
            fn default() -> Self {
                Self([0; <$reason>::ALL.len()])
            }
        }

        impl $name {
            /// Counts one.
            pub fn count(&mut self, reason: $reason) {
                self.0[reason as usize] += 1;
            }

            /// Counts `n`.
            pub fn add(&mut self, reason: $reason, n: u64) {
                self.0[reason as usize] += n;
            }

            /// Every reason with its count.
            pub fn iter(&self) -> impl Iterator<Item = ($reason, u64)> + '_ {
                <$reason>::ALL.iter().map(|r| (*r, self.0[*r as usize]))
            }
        }
    };
}

counted!(Drops, DropReason);
counted!(MessageErrors, MessageError);
counted!(Failures, HandshakeFailure);
counted!(Closes, CloseCause);

/// Everything a shard counts. All but the gauges only grow.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Gauge: peers by (tenant, template, status), as label indices into the policy.
    pub peers: Vec<PeerCount>,
    /// Gauge: half-open IKE SAs.
    pub half_open: u64,
    /// Gauge: established IKE SAs.
    pub ike_sas: u64,
    /// Gauge: Child SA pairs.
    pub child_sas: u64,
    /// Handshakes that ended in an IKE SA, as responder and as initiator.
    pub handshakes: u64,
    /// Handshakes and Child SAs that failed, by reason.
    pub failures: Failures,
    /// IKE datagrams refused, by reason.
    pub message_errors: MessageErrors,
    /// Devices that went down, by reason.
    pub tunnels_down: Closes,
    /// IKE datagrams received.
    pub ike_received: u64,
    /// IKE datagrams sent.
    pub ike_sent: u64,
    /// Requests retransmitted.
    pub retransmits: u64,
    /// Cookies demanded.
    pub cookies: u64,
    /// IKE SAs rekeyed.
    pub ike_rekeys: u64,
    /// Child SAs rekeyed.
    pub child_rekeys: u64,
    /// Liveness probes sent.
    pub probes_sent: u64,
    /// Liveness probes answered.
    pub probes_answered: u64,
    /// Liveness probes given up.
    pub probes_failed: u64,
    /// Questions to plugins that nobody decided.
    pub hooks_undecided: u64,
    /// Devices that a DPD plugin gave up and a sign of life saved meanwhile.
    pub hooks_overtaken: u64,
    /// Peers' endpoints that moved.
    pub endpoint_moves: u64,
    /// SAs negotiated with a weak algorithm.
    pub weak_suites: u64,
    /// ESP packets received and accepted.
    pub esp_packets_in: u64,
    /// Their bytes.
    pub esp_bytes_in: u64,
    /// ESP packets sent.
    pub esp_packets_out: u64,
    /// Their bytes.
    pub esp_bytes_out: u64,
    /// Packets handed to other shards.
    pub handed_off: u64,
    /// Packets dropped, by reason.
    pub drops: Drops,
}

/// How many peers of a template have a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCount {
    /// Tenant name.
    pub tenant: std::sync::Arc<str>,
    /// Template name.
    pub template: std::sync::Arc<str>,
    /// By evidence.
    pub status: crate::view::PeerStatus,
    /// How many.
    pub count: u64,
}
