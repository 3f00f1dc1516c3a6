//! The documents of version 1 of the API, as the command prints and reads them.
//!
//! A reader ignores what it does not know: adding a field keeps the version.

use crate::capture::wireshark::Table;
use crate::run::Foreseen;
use hawser_config::Difference;
use hawser_flight::verdict::Finding;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Version of every document here.
pub(crate) const VERSION: u8 = 1;

/// A peer in a line. Configured ones that were never seen have no device.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PeerRow {
    /// Number of the device in this run.
    pub(crate) device: Option<u64>,
    /// The shard that owns it.
    pub(crate) shard: Option<u8>,
    /// Tenant.
    pub(crate) tenant: String,
    /// Template.
    pub(crate) template: String,
    /// Authenticated identity, or the configured one.
    pub(crate) identity: String,
    /// Outer endpoint, `120.208.142.17/8192`; empty where it was never seen.
    pub(crate) endpoint: String,
    /// `up`, `degraded`, `connecting`, `down`.
    pub(crate) status: String,
    /// Seconds in this status; absent where it was never seen.
    pub(crate) since_s: Option<u64>,
    /// The branch's selectors.
    pub(crate) networks: Vec<String>,
    /// ESP bytes from the peer.
    pub(crate) bytes_in: u64,
    /// ESP bytes to the peer.
    pub(crate) bytes_out: u64,
    /// Why it is down.
    pub(crate) down_cause: Option<String>,
}

/// Peers by status.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Evidence of life.
    pub(crate) up: usize,
    /// A probe is unanswered.
    pub(crate) degraded: usize,
    /// A handshake is under way.
    pub(crate) connecting: usize,
    /// No SA.
    pub(crate) down: usize,
}

/// `hawser status`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct StatusReport {
    /// [`VERSION`].
    pub(crate) version: u8,
    /// Every peer of those asked for is up.
    pub(crate) healthy: bool,
    /// Revision of the configuration, from 1.
    pub(crate) revision: u64,
    /// Established IKE SAs.
    pub(crate) ike_sas: usize,
    /// Child SA pairs.
    pub(crate) child_sas: usize,
    /// Half-open IKE SAs.
    pub(crate) half_open: usize,
    /// Peers by status, those not listed included.
    pub(crate) counts: Counts,
    /// The peers asked for.
    pub(crate) peers: Vec<PeerRow>,
}

/// What the running gateway has of the kernel's offloads, over all shards: for `hawser doctor`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Offloads {
    /// [`VERSION`].
    pub(crate) version: u8,
    /// Outer sockets on which datagrams can leave in trains (UDP GSO).
    pub(crate) trains: u64,
    /// Those of them whose way out refuses trains at the moment.
    pub(crate) trains_refused: u64,
    /// Queues of inner devices with super-packets of TCP and UDP, of TCP alone, and without.
    pub(crate) inner: [u64; 3],
    /// Queues whose device is gone and not made again yet.
    pub(crate) inner_gone: u64,
    /// What the gateway said at its start that it does without.
    pub(crate) notes: Vec<String>,
}

/// An outer path.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PathRow {
    /// Our address and port.
    pub(crate) local: String,
    /// The peer's.
    pub(crate) remote: String,
    /// UDP-encapsulated.
    pub(crate) encapsulated: bool,
}

/// One Child SA pair, as the client reads it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ChildSaRow {
    /// Name in the template.
    pub(crate) name: String,
    /// Our SPI.
    pub(crate) spi_in: String,
    /// The peer's SPI.
    pub(crate) spi_out: String,
    /// Suite.
    pub(crate) suite: String,
    /// Our selectors.
    pub(crate) local: Vec<String>,
    /// The peer's selectors.
    pub(crate) remote: Vec<String>,
    /// Whether we send on it.
    pub(crate) outbound_active: bool,
    /// Age.
    pub(crate) age_s: u64,
    /// Until the hard limit.
    pub(crate) expires_in_s: Option<u64>,
    /// Packets received.
    pub(crate) packets_in: u64,
    /// Bytes received.
    pub(crate) bytes_in: u64,
    /// Packets sent.
    pub(crate) packets_out: u64,
    /// Bytes sent.
    pub(crate) bytes_out: u64,
    /// Since the last packet came.
    pub(crate) idle_in_s: Option<u64>,
}

/// One IKE SA, as the client reads it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct IkeSaRow {
    /// Initiator's SPI.
    pub(crate) spi_i: String,
    /// Responder's SPI.
    pub(crate) spi_r: String,
    /// Our role.
    pub(crate) role: String,
    /// State.
    pub(crate) state: String,
    /// Suite.
    pub(crate) suite: String,
    /// Outer path.
    pub(crate) path: PathRow,
    /// The peer is behind a NAT.
    pub(crate) peer_behind_nat: bool,
    /// We are behind a NAT.
    pub(crate) local_behind_nat: bool,
    /// Age.
    pub(crate) age_s: u64,
    /// Until the hard limit.
    pub(crate) expires_in_s: Option<u64>,
    /// Until we rekey it.
    #[serde(default)]
    pub(crate) rekeys_in_s: Option<u64>,
    /// When the peer is expected to renew it: from, until.
    #[serde(default)]
    pub(crate) peer_renews_in_s: Option<[u64; 2]>,
    /// Since the last message came.
    pub(crate) idle_in_s: u64,
    /// Child SAs.
    pub(crate) children: Vec<ChildSaRow>,
}

/// A peer with its SAs, as the client reads it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PeerDetail {
    /// The line of `status`.
    #[serde(flatten)]
    pub(crate) line: PeerRow,
    /// Its IKE SAs.
    #[serde(default)]
    pub(crate) ike_sas: Vec<IkeSaRow>,
}

/// `hawser show`, as the client reads it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PeerReport {
    /// The peer.
    pub(crate) peer: PeerDetail,
}

/// `hawser reset`, `rekey`, `ping`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    /// [`VERSION`].
    pub(crate) version: u8,
    /// The peer that was meant, as it calls itself, and where it is.
    pub(crate) peer: String,
    /// Of a ping that was answered.
    #[serde(default)]
    pub(crate) rtt_us: Option<u32>,
}

/// `hawser config apply`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Applied {
    /// [`VERSION`].
    pub(crate) version: u8,
    /// Its revision.
    pub(crate) revision: u64,
    /// What the reader of the configuration has to say.
    pub(crate) notes: Vec<String>,
}

/// `hawser config diff`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Differences {
    /// [`VERSION`].
    pub(crate) version: u8,
    /// In the order of keys.
    pub(crate) differences: Vec<Difference>,
    /// What happens to peers that are up, one after the other.
    pub(crate) peers: Vec<Foreseen>,
}

/// A plugin where it decides.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PluginRow {
    /// `dpd-policy`, `peer-authorization` or `log-format`.
    pub(crate) hook: String,
    /// Where: everywhere, a tenant, a template.
    pub(crate) place: String,
    /// Its own name.
    pub(crate) name: String,
    /// Its own version.
    pub(crate) version: String,
    /// What it says about itself.
    pub(crate) summary: String,
    /// The generation that decides.
    pub(crate) generation: u64,
    /// What a rollback would bring back.
    pub(crate) previous: Option<String>,
    /// Why the fallback decides in its place.
    pub(crate) disabled: Option<String>,
    /// The version of `hawser:plugin` that it was built against.
    pub(crate) package_version: String,
    /// Of its file.
    pub(crate) sha256: String,
    /// Calls; a call may be a batch.
    pub(crate) calls: u64,
    /// Decisions, verdicts or formatted events.
    pub(crate) answers: u64,
    /// The same by outcome.
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Faults by code.
    pub(crate) faults: BTreeMap<String, u64>,
    /// Time in all calls.
    pub(crate) busy_us: u64,
    /// The longest call.
    pub(crate) longest_us: u64,
    /// Instances made.
    pub(crate) instances: u64,
    /// The most memory that an instance had, in octets.
    pub(crate) memory: u64,
    /// Its own counters.
    pub(crate) counters: BTreeMap<String, u64>,
}

/// `hawser plugin list`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PluginReport {
    /// [`VERSION`].
    pub(crate) version: u8,
    /// By hook, then in the order in which they were loaded.
    pub(crate) plugins: Vec<PluginRow>,
}

/// `hawser plugin load` and `rollback`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PluginDone {
    /// [`VERSION`].
    pub(crate) version: u8,
    /// What decides now: name, version and generation.
    pub(crate) plugin: String,
    /// Hook and scope.
    pub(crate) place: String,
}

/// One line of `hawser events`: a record of `flight` with its time and a sentence.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct EventRow {
    /// RFC 3339, UTC.
    pub(crate) time: String,
    /// The event in words.
    pub(crate) text: String,
}

/// A line of a timeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TimelineRow {
    /// RFC 3339, UTC.
    pub(crate) time: String,
    /// The same in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// What happened, in words.
    pub(crate) text: String,
}

/// A drop in a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DropRow {
    /// RFC 3339, UTC.
    pub(crate) time: String,
    /// Why.
    pub(crate) verdict: String,
    /// What ended its last Child SA.
    pub(crate) cause: Option<String>,
}

/// `hawser explain`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Explanation {
    /// [`VERSION`].
    pub(crate) version: u8,
    /// Who, and how it is now.
    pub(crate) peer: PeerRow,
    /// When it dropped; absent where no drop is known.
    pub(crate) dropped: Option<String>,
    /// Why; of a peer that has not dropped, what ails it.
    pub(crate) finding: Option<Finding>,
    /// What happened around it.
    pub(crate) timeline: Vec<TimelineRow>,
    /// Recorded lines before these.
    pub(crate) left_out: usize,
    /// What was recorded and is overwritten.
    pub(crate) gaps: Option<String>,
    /// Drops before that one, the latest first.
    pub(crate) earlier: Vec<DropRow>,
    /// Drops are kept in a file.
    pub(crate) kept: bool,
}

/// Drops that have something in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DropCount {
    /// What: a verdict, a tenant, or an identity with its networks.
    pub(crate) name: String,
    /// How many.
    pub(crate) drops: usize,
    /// Of how many peers.
    pub(crate) peers: usize,
    /// By verdict.
    pub(crate) verdicts: BTreeMap<String, usize>,
    /// The last one, RFC 3339.
    pub(crate) last: String,
    /// Where that one was.
    pub(crate) last_endpoint: String,
}

/// `hawser drops`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Drops {
    /// [`VERSION`].
    pub(crate) version: u8,
    /// RFC 3339.
    pub(crate) since: String,
    /// How many in all.
    pub(crate) total: usize,
    /// The most frequent first.
    pub(crate) counts: Vec<DropCount>,
    /// Drops in this run that came too fast to be kept.
    pub(crate) lost: u64,
}

/// A line of `GET /v1/peer/capture/keys`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum KeyLine {
    /// From now on the keys of new SAs are told.
    Begun {
        /// [`VERSION`].
        version: u8,
    },
    /// The keys of an SA, as a line of a table of Wireshark.
    Line {
        /// Which table.
        table: Table,
        /// With its end.
        line: String,
    },
    /// An SA has algorithms that Wireshark does not decipher.
    Unknown {},
}

/// Why something was not done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// [`VERSION`].
    pub(crate) version: u8,
    /// In words.
    pub(crate) error: String,
    /// Where PEER was ambiguous: who may have been meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) candidates: Vec<PeerRow>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)?;
        for peer in &self.candidates {
            let networks = peer.networks.join(" ");
            write!(
                f,
                "\n  {}  {}  {}  {}  {networks}",
                peer.status, peer.identity, peer.tenant, peer.endpoint
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_document_says_its_version() {
        let status = StatusReport {
            version: VERSION,
            ..StatusReport::default()
        };
        let done = Done {
            version: VERSION,
            peer: "test".into(),
            rtt_us: None,
        };
        let problem = Problem {
            version: VERSION,
            error: "no".into(),
            candidates: Vec::new(),
        };
        let applied = Applied {
            version: VERSION,
            revision: 2,
            notes: Vec::new(),
        };
        for value in [
            serde_json::to_value(status).unwrap(),
            serde_json::to_value(done).unwrap(),
            serde_json::to_value(problem).unwrap(),
            serde_json::to_value(applied).unwrap(),
        ] {
            assert_eq!(value["version"], 1, "{value}");
        }
    }
}
