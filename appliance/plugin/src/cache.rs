//! Compiled components on disk, believed only where this gateway made them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::hmac;
use aws_lc_rs::rand;

use crate::fault::LoadError;

const KEY: &str = "key";
const TAG: usize = 32;
/// Octets of code that are kept: some ten interpreters of Python, or hundreds of plugins in Rust.
const ROOM: u64 = 512 << 20;

/// A folder of `.cwasm` files and the key that authenticates them.
///
/// The folder has mode 0700 and belongs to this user; the key is made on first use, has mode 0600
/// and never leaves the folder. A file is an HMAC-SHA256 and the code; the HMAC covers the file's
/// name too (hash of the component, fingerprint of the engine), so files cannot change places.
/// What was not used for longest is removed where there is more than [`Cache::room`] says.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    key: hmac::Key,
    room: u64,
}

impl Cache {
    /// Opens the folder, and makes it and its key where they are missing.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, LoadError> {
        let dir = dir.into();
        let at = |error| LoadError::Io(dir.display().to_string(), error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(at)?;
        private(&dir).map_err(at)?;
        let secret = key(&dir).map_err(at)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        Ok(Self {
            dir,
            key,
            room: ROOM,
        })
    }

    /// Keeps at most this many octets in place of 512 MiB, but always what was compiled last.
    #[must_use]
    pub fn room(mut self, octets: u64) -> Self {
        self.room = octets;
        self
    }

    /// The code, if it is there and authentic; what is not authentic is removed.
    pub(crate) fn get(&self, sha256: &str, fingerprint: &str) -> Option<Vec<u8>> {
        let name = name(sha256, fingerprint);
        let path = self.dir.join(&name);
        let mut tag = [0; TAG];
        let mut code = Vec::new();
        let mut file = File::open(&path).ok()?;
        let read = file
            .read_exact(&mut tag)
            .and_then(|()| file.read_to_end(&mut code));
        if read.is_ok() && self.verify(&name, &code, &tag) {
            // Its age counts from its last use; where that cannot be written it goes a little early.
            let _ = file.set_modified(SystemTime::now());
            return Some(code);
        }
        // Where it cannot be removed, `put` replaces it.
        let _ = fs::remove_file(&path);
        None
    }

    /// Keeps the code: written aside and renamed, so that a reader sees all or nothing. Then makes
    /// room, also of what writers that were killed left behind.
    pub(crate) fn put(&self, sha256: &str, fingerprint: &str, code: &[u8]) -> io::Result<()> {
        let name = name(sha256, fingerprint);
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(self.tag(&name, code).as_ref())?;
        file.write_all(code)?;
        let path = self.dir.join(name);
        file.persist(&path).map_err(|e| e.error)?;
        self.prune(&path)
    }

    /// Removes what was used longest ago until the rest, `newest` among it, fits.
    fn prune(&self, newest: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            // Another process may prune too.
            let Ok(meta) = fs::symlink_metadata(&path) else {
                continue;
            };
            if !path.ends_with(KEY) {
                files.push((path != newest, meta.modified()?, meta.len(), path));
            }
        }
        files.sort_by_key(|(older, used, ..)| (*older, std::cmp::Reverse(*used)));
        let mut kept = 0;
        for (older, _, octets, path) in files {
            kept += octets;
            if older && kept > self.room {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn tag(&self, name: &str, code: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(name.as_bytes());
        context.update(&[0]);
        context.update(code);
        context.sign()
    }

    fn verify(&self, name: &str, code: &[u8], tag: &[u8]) -> bool {
        let made = self.tag(name, code);
        aws_lc_rs::constant_time::verify_slices_are_equal(made.as_ref(), tag).is_ok()
    }
}

fn name(sha256: &str, fingerprint: &str) -> String {
    format!("{sha256}-{fingerprint}.cwasm")
}

/// Nobody else may write here: whoever could plant a key could plant code.
fn private(dir: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(dir)?;
    let owner = rustix::process::geteuid().as_raw();
    if !meta.is_dir() || meta.uid() != owner || meta.mode() & 0o077 != 0 {
        return Err(io::Error::other(
            "must be a folder of this user with mode 0700",
        ));
    }
    Ok(())
}

fn key(dir: &Path) -> io::Result<[u8; 32]> {
    let path = dir.join(KEY);
    let mut secret = [0; 32];
    if !path.exists() {
        rand::fill(&mut secret).map_err(|_| io::Error::other("no randomness"))?;
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(&secret)?;
        // Another process may have been quicker: then its key is the key.
        if let Err(error) = file.persist_noclobber(&path)
            && error.error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error.error);
        }
    }
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)?;
    let meta = file.metadata()?;
    if meta.mode() & 0o077 != 0 || meta.len() != 32 {
        return Err(io::Error::other(
            "the key must be 32 octets with mode 0600; remove it to make another",
        ));
    }
    file.read_exact(&mut secret)?;
    Ok(secret)
}
