//! Compiled components on disk, believed only where this gateway made them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;

use crate::fault::LoadError;

const KEY: &str = "key";
/// Octets of code that are kept: some ten interpreters of Python, or hundreds of plugins in Rust.
const ROOM: u64 = 512 << 20;

/// A folder of `.cwasm` files and the key that authenticates them.
///
/// The folder has mode 0700 and belongs to this user; the key is made on first use, has mode 0600
/// and never leaves the folder. A file is the code, sealed with AES-256-GCM, and the nonce; its name
/// (hash of the component, fingerprint of the engine) is sealed with it, so files cannot change
/// places.
/// What was not used for longest is removed where there is more than [`Cache::room`] says.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    key: RandomizedNonceKey,
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
        let key = RandomizedNonceKey::new(&AES_256_GCM, &secret)
            .map_err(|_| at(io::Error::other("the key is none")))?;
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
        let mut file = File::open(&path).ok()?;
        let mut sealed = Vec::new();
        let read = file.read_to_end(&mut sealed);
        if read.is_ok()
            && let Ok(code) = self.unseal(&name, sealed)
        {
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
        let sealed = self.seal(&name, code);
        file.write_all(&sealed.map_err(|_| io::Error::other("it cannot be sealed"))?)?;
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

    fn seal(&self, name: &str, code: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let mut sealed = code.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(name), &mut sealed)?;
        sealed.extend_from_slice(nonce.as_ref());
        Ok(sealed)
    }

    fn unseal(&self, name: &str, mut sealed: Vec<u8>) -> Result<Vec<u8>, Unspecified> {
        let at = sealed.len().checked_sub(NONCE_LEN).ok_or(Unspecified)?;
        let nonce = Nonce::try_assume_unique_for_key(&sealed[at..])?;
        sealed.truncate(at);
        let octets = self
            .key
            .open_in_place(nonce, Aad::from(name), &mut sealed)?
            .len();
        sealed.truncate(octets);
        Ok(sealed)
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
