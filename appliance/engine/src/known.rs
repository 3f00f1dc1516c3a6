//! The devices that are up, in a file: what the next run knows of them. No keys are in it.
//!
//! What the directory is told is noted here too. Shards never wait: a thread writes once a second what is new.

use crate::incidents::unix_ms;
use hawser_flight::Path;
use hawser_policy::{Identity, Policy, TrafficSelector};
use hawser_shard::io::{DeviceId, DirectoryRequest};
use hawser_shard::restore::Remembered;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// How often the file is written.
const EVERY: Duration = Duration::from_secs(1);
/// A device that went down so shortly before the end is called back as well.
const JUST_LOST: Duration = Duration::from_secs(120);

/// (tenant, identity, selectors) as JSON -> [`Record`] as JSON.
const DEVICES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("devices");

/// What tells a device from others over restarts.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Key {
    tenant: String,
    identity: Identity,
    selectors: Vec<TrafficSelector>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Record {
    path: Path,
    /// Inbound SPIs of its Child SAs.
    spis: Vec<u32>,
    up: bool,
    /// Since when, in milliseconds since 1970.
    since_ms: u64,
}

/// The devices that are known. Clones speak of the same ones.
#[derive(Clone)]
pub(crate) struct Known(Arc<Inner>);

struct Inner {
    file: Option<Database>,
    tenants: Vec<String>,
    closed: AtomicBool,
    news: Mutex<News>,
}

/// What is not written yet.
#[derive(Default)]
struct News {
    keys: HashMap<DeviceId, Arc<Key>>,
    /// Who was the last to say that it has them.
    holders: HashMap<Arc<Key>, DeviceId>,
    /// `None`: it is to be forgotten.
    changed: HashMap<Arc<Key>, Option<Record>>,
}

impl Known {
    /// Opens the file and reads what the last run knew. Where it cannot be used, a note says so.
    pub(crate) fn open(
        file: Option<&std::path::Path>,
        policy: &Policy,
        notes: &mut Vec<String>,
    ) -> (Self, Vec<Remembered>) {
        let tenants: Vec<_> = policy.tenants.iter().map(|t| t.name.to_string()).collect();
        let opened = file.map(|file| {
            read(file, &tenants).map_err(|error| {
                notes.push(format!(
                    "devices are not known after a restart: {}: {error}",
                    file.display()
                ));
            })
        });
        let (file, devices) = match opened {
            Some(Ok((file, devices))) => (Some(file), devices),
            _ => (None, Vec::new()),
        };
        let known = Self(Arc::new(Inner {
            file,
            tenants,
            closed: AtomicBool::new(false),
            news: Mutex::default(),
        }));
        (known, devices)
    }

    /// Starts the thread that writes; it ends when nobody knows anything any more.
    pub(crate) fn start(&self) -> std::io::Result<()> {
        let inner = Arc::downgrade(&self.0);
        std::thread::Builder::new()
            .name("hawser-known".into())
            .spawn(move || keep(&inner))?;
        Ok(())
    }

    /// What the directory is told. With `restored` it is what came out of the file, and no news.
    pub(crate) fn note(&self, request: &DirectoryRequest, restored: bool) {
        let DirectoryRequest::Claim {
            device,
            tenant,
            identity,
            path,
            selectors,
            alive,
            spis,
            ..
        } = request
        else {
            return;
        };
        let Some(tenant) = self.0.tenants.get(usize::from(tenant.0)) else {
            return;
        };
        if self.0.file.is_none() || self.0.closed.load(Ordering::Relaxed) {
            return;
        }
        let key = Arc::new(Key {
            tenant: tenant.clone(),
            identity: identity.clone(),
            selectors: selectors.clone(),
        });
        let record = Record {
            path: *path,
            spis: spis.clone(),
            up: *alive,
            since_ms: unix_ms(),
        };
        self.0.news().note(*device, key, record, restored);
    }

    /// From now on devices only go because the gateway does: that is no news. What is noted is written.
    pub(crate) fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        self.0.write();
    }
}

impl News {
    fn note(&mut self, device: DeviceId, key: Arc<Key>, record: Record, restored: bool) {
        let before = self.keys.insert(device, Arc::clone(&key));
        if let Some(before) = before.filter(|before| *before != key)
            && self.holders.get(&before) == Some(&device)
        {
            self.holders.remove(&before);
            self.changed.insert(before, None);
        }
        if key.selectors.is_empty() {
            self.keys.remove(&device);
            return;
        }
        let held_by_another = self
            .holders
            .get(&key)
            .is_some_and(|holder| *holder != device);
        if record.up || !held_by_another {
            self.holders.insert(Arc::clone(&key), device);
            if !restored {
                self.changed.insert(key, Some(record));
            }
        }
    }
}

impl Inner {
    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) {
        let changed = std::mem::take(&mut self.news().changed);
        if let Some(file) = self.file.as_ref().filter(|_| !changed.is_empty())
            && let Err(error) = put(file, &changed)
        {
            tracing::error!("the file of devices cannot be written: {error}");
        }
    }
}

fn keep(inner: &Weak<Inner>) {
    loop {
        std::thread::sleep(EVERY);
        let Some(inner) = inner.upgrade() else {
            return;
        };
        inner.write();
    }
}

/// Why the file cannot be read or written.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    File(#[from] redb::Error),
    #[error("{0}")]
    Directory(#[from] std::io::Error),
    #[error("{0}")]
    Value(#[from] serde_json::Error),
}

/// The file, and the devices in it that were up when it was last written, or shortly before; others go.
fn read(file: &std::path::Path, tenants: &[String]) -> Result<(Database, Vec<Remembered>), Error> {
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let database = Database::create(file).map_err(redb::Error::from)?;
    let write = database.begin_write().map_err(redb::Error::from)?;
    drop(write.open_table(DEVICES).map_err(redb::Error::from)?);
    write.commit().map_err(redb::Error::from)?;
    let mut known = Vec::new();
    let read = database.begin_read().map_err(redb::Error::from)?;
    let devices = read.open_table(DEVICES).map_err(redb::Error::from)?;
    for entry in devices.iter().map_err(redb::Error::from)? {
        let (key, record) = entry.map_err(redb::Error::from)?;
        let (key, record) = (key.value(), record.value());
        known.push((
            serde_json::from_str::<Key>(key)?,
            serde_json::from_slice::<Record>(record)?,
        ));
    }
    drop(devices);
    // The clock may have been set meanwhile: what counts is the last that was written.
    let last = known
        .iter()
        .map(|(_, r)| r.since_ms)
        .max()
        .unwrap_or_default();
    let just = |r: &Record| Duration::from_millis(last.saturating_sub(r.since_ms)) < JUST_LOST;
    let (known, old): (Vec<_>, Vec<_>) = known.into_iter().partition(|(_, r)| r.up || just(r));
    let old = old.into_iter().map(|(key, _)| (Arc::new(key), None));
    put(&database, &old.collect())?;
    let device = |(key, record): (Key, Record)| {
        let tenant = tenants.iter().position(|name| *name == key.tenant)?;
        Some(Remembered {
            tenant: hawser_policy::TenantId(u16::try_from(tenant).ok()?),
            identity: key.identity,
            path: record.path,
            selectors: key.selectors,
            spis: record.spis,
        })
    };
    Ok((database, known.into_iter().filter_map(device).collect()))
}

fn put(file: &Database, changed: &HashMap<Arc<Key>, Option<Record>>) -> Result<(), Error> {
    let write = file.begin_write().map_err(redb::Error::from)?;
    {
        let mut devices = write.open_table(DEVICES).map_err(redb::Error::from)?;
        for (key, record) in changed {
            let key = serde_json::to_string(&**key)?;
            match record {
                Some(record) => {
                    let value = serde_json::to_vec(record)?;
                    devices
                        .insert(key.as_str(), value.as_slice())
                        .map_err(redb::Error::from)?;
                }
                None => drop(devices.remove(key.as_str()).map_err(redb::Error::from)?),
            }
        }
    }
    write.commit().map_err(redb::Error::from)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing;
    use hawser_policy::TenantId;
    use hawser_shard::io::ShardId;

    fn claim(device: u64, port: u16, lan: &str, alive: bool) -> DirectoryRequest {
        let selectors = lan.split_whitespace().map(TrafficSelector::parse);
        DirectoryRequest::Claim {
            device: DeviceId(device),
            shard: ShardId(0),
            tenant: TenantId(0),
            identity: Identity::parse("test").unwrap(),
            path: Path {
                local: "192.0.2.1:4500".parse().unwrap(),
                remote: ([198, 51, 100, 7], port).into(),
                encapsulated: true,
            },
            selectors: selectors.map(Option::unwrap).collect(),
            alive,
            spis: vec![port.into()],
        }
    }

    fn open(file: &std::path::Path) -> (Known, Vec<(u16, String)>) {
        let mut notes = Vec::new();
        let (known, devices) = Known::open(Some(file), &testing::policy(1), &mut notes);
        assert_eq!(notes, [""; 0]);
        let of = |d: &Remembered| {
            assert_eq!(d.spis, [u32::from(d.path.remote.port())]);
            (d.path.remote.port(), d.selectors[0].to_string())
        };
        let mut devices: Vec<_> = devices.iter().map(of).collect();
        devices.sort();
        (known, devices)
    }

    #[test]
    fn the_next_run_knows_who_was_up_and_where() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/devices.redb");
        let (known, before) = open(&file);
        assert!(before.is_empty());
        known.note(&claim(1, 1001, "172.16.1.0/24", true), false);
        known.note(&claim(2, 1002, "172.16.2.0/24", true), false);
        known.0.write();
        // It moves, another has other selectors now, and a third goes down and is forgotten.
        known.note(&claim(1, 2001, "172.16.1.0/24", true), false);
        known.note(&claim(2, 1002, "172.16.22.0/24", true), false);
        known.note(&claim(3, 1003, "172.16.3.0/24", true), false);
        known.note(&claim(3, 1003, "", false), false);
        known.close();
        // All of them end with the gateway.
        known.note(&claim(1, 2001, "172.16.1.0/24", false), false);
        drop(known);
        let (known, devices) = open(&file);
        let expected = [
            (1002, "172.16.22.0/24".to_owned()),
            (2001, "172.16.1.0/24".to_owned()),
        ];
        assert_eq!(devices, expected);
        // Before they are back the gateway ends again.
        known.note(&claim(7, 2001, "172.16.1.0/24", false), true);
        known.close();
        drop(known);
        assert_eq!(open(&file).1, expected);
    }

    #[test]
    fn one_that_has_long_been_down_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("devices.redb");
        let (known, _) = open(&file);
        known.note(&claim(1, 1, "172.16.1.0/24", false), false);
        known.note(&claim(2, 2, "172.16.2.0/24", false), false);
        for record in known.0.news().changed.values_mut().flatten() {
            record.since_ms -= u64::from(record.path.remote.port() == 1) * 1_000_000;
        }
        known.close();
        drop(known);
        assert_eq!(open(&file).1, [(2, "172.16.2.0/24".to_owned())]);
    }
}
