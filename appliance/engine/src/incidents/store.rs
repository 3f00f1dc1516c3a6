//! The file of incidents: redb, one writer, any number of readers.
//!
//! Values are JSON, deflated: what another version wrote stays readable.

use super::burst::{MassEvent, TOGETHER};
use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};
use hawser_flight::verdict::{Finding, NodeHealth, Verdict};
use hawser_flight::{CloseCause, Recording};
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

/// Drops kept of one peer.
const OF_A_PEER: usize = 32;
/// How long a drop is kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// A value that is larger when inflated is none of ours.
const LARGEST: u64 = 64 << 20;

/// (peer, time) -> [`Incident`].
const INCIDENTS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("incidents");
/// (time, peer; empty: a mass event) -> [`Summary`].
const TIMES: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("times");
/// peer -> [`PeerName`].
const PEERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("peers");

/// Why the file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// redb says no.
    #[error("{0}")]
    File(#[from] redb::Error),
    /// The directory cannot be made, or a value not unpacked.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A value is not what was written.
    #[error("{0}")]
    Value(#[from] serde_json::Error),
}

/// A peer as it is remembered: over restarts, and apart from others of the same identity.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PeerName {
    /// Tenant.
    pub tenant: String,
    /// Template.
    pub template: String,
    /// Authenticated identity.
    pub identity: String,
    /// Outer endpoint at its last drop, `120.208.142.17/8192`.
    pub endpoint: String,
    /// The branch's selectors.
    pub networks: Vec<String>,
    /// When it dropped last, in milliseconds since 1970.
    pub last_ms: u64,
}

impl PeerName {
    /// What tells it from others: tenant, identity and selectors.
    pub fn key(&self) -> String {
        format!(
            "{}\n{}\n{}",
            self.tenant,
            self.identity,
            self.networks.join(" ")
        )
    }
}

/// One drop with everything that was recorded of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Incident {
    /// Who.
    pub peer: PeerName,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What ended its last Child SA.
    pub cause: Option<CloseCause>,
    /// Why.
    pub finding: Finding,
    /// How many dropped within seconds.
    pub together: u32,
    /// How the node did.
    pub health: NodeHealth,
    /// What was recorded, times since 1970.
    pub recording: Recording,
}

/// A line of `hawser drops`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who.
    pub peer: PeerName,
    /// What ended its last Child SA.
    pub cause: Option<CloseCause>,
    /// Why.
    pub verdict: Verdict,
}

/// What a time in the file stands for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Drop(Summary),
    Mass(MassEvent),
}

/// What is written at once.
#[derive(Default)]
pub(super) struct Writing {
    pub(super) drops: Vec<Incident>,
    /// Each with how many of its drops an earlier writing of it knew.
    pub(super) masses: Vec<(MassEvent, usize)>,
    /// Drops that are part of a mass event now: peer and time.
    pub(super) replaced: Vec<(String, u64)>,
}

/// The open file.
pub(super) struct Store(Database);

impl Store {
    pub(super) fn open(file: &Path) -> Result<Self, Error> {
        if let Some(directory) = file.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let database = Database::create(file).map_err(redb::Error::from)?;
        let store = Self(database);
        // The tables are there from now on: a reader never misses one.
        store.write(&Writing::default())?;
        Ok(store)
    }

    /// Writes, and lets go of what is too old or too many.
    pub(super) fn write(&self, writing: &Writing) -> Result<(), Error> {
        let write = self.0.begin_write().map_err(redb::Error::from)?;
        for incident in &writing.drops {
            put(&write, incident)?;
        }
        for (mass, known) in &writing.masses {
            put_mass(&write, mass, *known)?;
        }
        for (peer, at_ms) in &writing.replaced {
            take(&write, peer, *at_ms)?;
        }
        let oldest = super::unix_ms().saturating_sub(KEPT.as_millis() as u64);
        forget_before(&write, oldest)?;
        write.commit().map_err(redb::Error::from)?;
        Ok(())
    }

    pub(super) fn peers(&self) -> Result<Vec<PeerName>, Error> {
        let read = self.0.begin_read().map_err(redb::Error::from)?;
        let peers = read.open_table(PEERS).map_err(redb::Error::from)?;
        let mut all = Vec::new();
        for entry in peers.iter().map_err(redb::Error::from)? {
            let (_, value) = entry.map_err(redb::Error::from)?;
            all.push(unpack(value.value())?);
        }
        Ok(all)
    }

    pub(super) fn last(&self, peer: &str, until_ms: u64) -> Result<Option<Incident>, Error> {
        let read = self.0.begin_read().map_err(redb::Error::from)?;
        let incidents = read.open_table(INCIDENTS).map_err(redb::Error::from)?;
        let range = (peer, 0)..=(peer, until_ms);
        let mut found = incidents.range(range).map_err(redb::Error::from)?;
        match found.next_back() {
            Some(entry) => Ok(Some(unpack(entry.map_err(redb::Error::from)?.1.value())?)),
            None => Ok(None),
        }
    }

    pub(super) fn of(&self, peer: &str) -> Result<Vec<Incident>, Error> {
        let read = self.0.begin_read().map_err(redb::Error::from)?;
        let incidents = read.open_table(INCIDENTS).map_err(redb::Error::from)?;
        let range = (peer, 0)..=(peer, u64::MAX);
        let mut all = Vec::new();
        for entry in incidents.range(range).map_err(redb::Error::from)?.rev() {
            all.push(unpack(entry.map_err(redb::Error::from)?.1.value())?);
        }
        Ok(all)
    }

    pub(super) fn mass_event(&self, peer: &str, at_ms: u64) -> Result<Option<MassEvent>, Error> {
        let from = at_ms.saturating_sub(3_600_000);
        // Shards tell drops in no common order: the event may be named by a later one.
        let until = at_ms.saturating_add(TOGETHER.as_millis() as u64);
        for line in self.lines(from, until)? {
            let Line::Mass(mass) = line else {
                continue;
            };
            let is_it = |d: &super::Dropped| d.at_ms == at_ms && d.peer.key() == peer;
            if mass.dropped.iter().any(is_it) {
                return Ok(Some(mass));
            }
        }
        Ok(None)
    }

    pub(super) fn since(&self, from_ms: u64) -> Result<Vec<Summary>, Error> {
        let mut all = Vec::new();
        for line in self.lines(from_ms, u64::MAX)? {
            match line {
                Line::Drop(summary) => all.push(summary),
                Line::Mass(mass) => all.extend(mass.dropped.into_iter().map(|d| Summary {
                    at_ms: d.at_ms,
                    peer: d.peer,
                    cause: d.cause,
                    verdict: Verdict::MassEvent,
                })),
            }
        }
        Ok(all)
    }

    fn lines(&self, from_ms: u64, until_ms: u64) -> Result<Vec<Line>, Error> {
        let read = self.0.begin_read().map_err(redb::Error::from)?;
        let times = read.open_table(TIMES).map_err(redb::Error::from)?;
        let range = (from_ms, "")..(until_ms.saturating_add(1), "");
        let mut all = Vec::new();
        for entry in times.range(range).map_err(redb::Error::from)? {
            all.push(unpack(entry.map_err(redb::Error::from)?.1.value())?);
        }
        Ok(all)
    }
}

fn put(write: &WriteTransaction, incident: &Incident) -> Result<(), Error> {
    let (key, at_ms) = (incident.peer.key(), incident.at_ms);
    let summary = Line::Drop(Summary {
        at_ms,
        peer: incident.peer.clone(),
        cause: incident.cause,
        verdict: incident.finding.verdict,
    });
    let mut incidents = write.open_table(INCIDENTS).map_err(redb::Error::from)?;
    let mut times = write.open_table(TIMES).map_err(redb::Error::from)?;
    let mut put = |value: &[u8]| incidents.insert((key.as_str(), at_ms), value).map(drop);
    put(&pack(incident)?).map_err(redb::Error::from)?;
    let packed = pack(&summary)?;
    times
        .insert((at_ms, key.as_str()), packed.as_slice())
        .map_err(redb::Error::from)?;
    let mut kept = Vec::new();
    let range = (key.as_str(), 0)..=(key.as_str(), u64::MAX);
    for entry in incidents.range(range).map_err(redb::Error::from)? {
        kept.push(entry.map_err(redb::Error::from)?.0.value().1);
    }
    for at_ms in kept.iter().take(kept.len().saturating_sub(OF_A_PEER)) {
        incidents
            .remove((key.as_str(), *at_ms))
            .map_err(redb::Error::from)?;
    }
    put_peer(write, &incident.peer)
}

fn put_peer(write: &WriteTransaction, peer: &PeerName) -> Result<(), Error> {
    let mut peers = write.open_table(PEERS).map_err(redb::Error::from)?;
    let packed = pack(peer)?;
    peers
        .insert(peer.key().as_str(), packed.as_slice())
        .map_err(redb::Error::from)?;
    Ok(())
}

fn take(write: &WriteTransaction, peer: &str, at_ms: u64) -> Result<(), Error> {
    let mut incidents = write.open_table(INCIDENTS).map_err(redb::Error::from)?;
    let mut times = write.open_table(TIMES).map_err(redb::Error::from)?;
    incidents.remove((peer, at_ms)).map_err(redb::Error::from)?;
    times.remove((at_ms, peer)).map_err(redb::Error::from)?;
    Ok(())
}

fn put_mass(write: &WriteTransaction, mass: &MassEvent, known: usize) -> Result<(), Error> {
    let packed = pack(&Line::Mass(mass.clone()))?;
    let mut times = write.open_table(TIMES).map_err(redb::Error::from)?;
    times
        .insert((mass.at_ms, ""), packed.as_slice())
        .map_err(redb::Error::from)?;
    mass.dropped
        .iter()
        .skip(known)
        .try_for_each(|d| put_peer(write, &d.peer))
}

fn forget_before(write: &WriteTransaction, oldest_ms: u64) -> Result<(), Error> {
    let mut incidents = write.open_table(INCIDENTS).map_err(redb::Error::from)?;
    let mut times = write.open_table(TIMES).map_err(redb::Error::from)?;
    let mut peers = write.open_table(PEERS).map_err(redb::Error::from)?;
    let mut old = times.range(..(oldest_ms, "")).map_err(redb::Error::from)?;
    if old.next().is_none() {
        return Ok(());
    }
    drop(old);
    times
        .retain_in(..(oldest_ms, ""), |_, _| false)
        .map_err(redb::Error::from)?;
    incidents
        .retain(|(_, at_ms), _| at_ms >= oldest_ms)
        .map_err(redb::Error::from)?;
    peers
        .retain(|_, value| unpack::<PeerName>(value).is_ok_and(|peer| peer.last_ms >= oldest_ms))
        .map_err(redb::Error::from)?;
    Ok(())
}

fn pack<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let json = serde_json::to_vec(value)?;
    let mut packed = Vec::with_capacity(json.len() / 4);
    DeflateEncoder::new(json.as_slice(), Compression::fast()).read_to_end(&mut packed)?;
    Ok(packed)
}

fn unpack<T: DeserializeOwned>(packed: &[u8]) -> Result<T, Error> {
    let mut json = Vec::new();
    DeflateDecoder::new(packed)
        .take(LARGEST)
        .read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Dropped;
    use super::*;
    use hawser_flight::verdict::{Situation, judge};
    use hawser_flight::{Entry, Event};

    fn incident(network: &str, at_ms: u64) -> Incident {
        let down = Event::PeerDown {
            cause: CloseCause::Admin,
        };
        let recording = Recording {
            entries: vec![Entry { at_ms, event: down }],
            ..Recording::default()
        };
        let situation = Situation::last_drop("test", &recording.entries, at_ms).unwrap();
        let finding = judge(&situation);
        Incident {
            peer: peer(network, at_ms),
            at_ms,
            cause: Some(CloseCause::Admin),
            finding,
            together: 1,
            health: NodeHealth::default(),
            recording,
        }
    }

    fn write(store: &Store, drops: &[Incident]) {
        let drops = drops.to_vec();
        let writing = Writing {
            drops,
            ..Writing::default()
        };
        store.write(&writing).unwrap();
    }

    fn peer(network: &str, last_ms: u64) -> PeerName {
        PeerName {
            tenant: "default".into(),
            template: "1".into(),
            identity: "test".into(),
            endpoint: "120.208.142.17/8192".into(),
            networks: vec![network.into()],
            last_ms,
        }
    }

    #[test]
    fn what_was_written_is_read_after_a_restart_and_peers_of_one_name_are_apart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/incidents.redb");
        let now = super::super::unix_ms();
        let (a, b) = (
            incident("172.16.1.0/24", now),
            incident("172.16.2.0/24", now + 5),
        );
        let store = Store::open(&file).unwrap();
        write(&store, &[a.clone(), b.clone()]);
        drop(store);
        let store = Store::open(&file).unwrap();
        assert_eq!(store.peers().unwrap(), [a.peer.clone(), b.peer.clone()]);
        assert_eq!(store.last(&a.peer.key(), u64::MAX).unwrap().unwrap(), a);
        assert_eq!(store.last(&a.peer.key(), now - 1).unwrap(), None);
        assert_eq!(store.since(now + 1).unwrap().len(), 1);
    }

    #[test]
    fn a_peer_keeps_its_last_drops_and_a_month_is_enough() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("i.redb")).unwrap();
        let now = super::super::unix_ms();
        for n in 0..40 {
            write(&store, &[incident("172.16.1.0/24", now + n)]);
        }
        let key = peer("172.16.1.0/24", 0).key();
        let kept = store.of(&key).unwrap();
        assert_eq!(kept.len(), OF_A_PEER);
        assert_eq!(kept[0].at_ms, now + 39);
        // One from long ago is gone with the next that is written.
        let old = incident("172.16.9.0/24", now - 31 * 24 * 3_600_000);
        write(&store, std::slice::from_ref(&old));
        write(&store, &[]);
        assert!(store.of(&old.peer.key()).unwrap().is_empty());
        assert_eq!(store.peers().unwrap().len(), 1);
    }

    #[test]
    fn ten_thousand_that_drop_together_are_one_record_and_each_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("i.redb")).unwrap();
        let now = super::super::unix_ms();
        let dropped = |n: u64| Dropped {
            peer: peer(&format!("10.{}.{}.0/24", n / 256, n % 256), now + n),
            at_ms: now + n,
            cause: Some(CloseCause::DpdTimeout),
        };
        let mass = MassEvent {
            at_ms: now,
            dropped: (0..10_000).map(dropped).collect(),
            health: NodeHealth::default(),
        };
        // One of them was written before it was known to be one of many.
        let early = incident("10.0.0.0/24", now);
        write(&store, std::slice::from_ref(&early));
        let writing = Writing {
            masses: vec![(mass.clone(), 0)],
            replaced: vec![(early.peer.key(), now)],
            ..Writing::default()
        };
        store.write(&writing).unwrap();
        assert!(store.of(&early.peer.key()).unwrap().is_empty());
        assert_eq!(store.lines(0, u64::MAX).unwrap().len(), 1);
        assert_eq!(store.since(0).unwrap().len(), 10_000);
        let one = &mass.dropped[7777];
        let found = store.mass_event(&one.peer.key(), one.at_ms).unwrap();
        assert_eq!(found.unwrap().dropped.len(), 10_000);
        assert_eq!(store.peers().unwrap().len(), 10_000);
    }
}
