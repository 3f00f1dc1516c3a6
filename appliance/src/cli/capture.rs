//! `hawser capture PEER`.

use super::client::{Call, ask, follow, read};
use super::peer::Target;
use super::{Health, Remote};
use crate::admin::api::{Done, KeyLine};
use crate::capture::wireshark::Table;
use anyhow::{Context as _, bail};
use clap::Args;
use jiff::SignedDuration;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{IsTerminal as _, Write, stdout};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

/// What a directory of keys tells Wireshark besides the keys.
const PREFERENCES: &str = "esp.enable_encryption_decode: TRUE\n";

/// One peer's outer packets, IKE and ESP, as pcapng.
#[derive(Debug, Args)]
pub(super) struct Capture {
    #[command(flatten)]
    target: Target,
    /// For how long: 30s, 10m, 2h.
    #[arg(long = "for", value_name = "TIME", default_value = "10m")]
    period: SignedDuration,
    /// Write here, in place of the standard output; the file must not be there yet.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// It ends when the file has so many MiB.
    #[arg(long, value_name = "MIB", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    size: u64,
    /// Rekey the peer's SAs and write their new keys into this new directory, which Wireshark reads
    /// with WIRESHARK_CONFIG_DIR=DIR; needs `[observability] capture_keys = true`, an hour at most.
    #[arg(long, value_name = "DIR", requires = "output")]
    keys: Option<PathBuf>,
}

impl Capture {
    pub(super) fn perform(&self) -> anyhow::Result<Health> {
        let mut out: Box<dyn Write> = match &self.output {
            Some(path) => Box::new(create(path)?),
            None if stdout().is_terminal() => bail!("-o FILE, or a pipe, takes the packets"),
            None => Box::new(stdout()),
        };
        let done = self.capture(&mut out);
        if let (Err(_), Some(path)) = (&done, &self.output) {
            remove_empty(path);
        }
        done.map(|()| Health::Healthy)
    }

    fn capture(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let follows = self.keys.is_some();
        if let Some(directory) = &self.keys {
            self.follow_keys(directory)?;
        }
        let (seconds, octets) = (self.seconds(), (self.size << 20).to_string());
        let packets = Call::get("/v1/peer/capture")
            .with("peer", &self.target.peer)
            .with("seconds", &seconds)
            .with("octets", &octets);
        let mut begun = false;
        read(&self.target.remote, &packets, |octets| {
            if follows && !std::mem::replace(&mut begun, true) {
                self.rekey();
            }
            out.write_all(octets)?;
            Ok(out.flush()?)
        })
    }

    /// Keys go into their files until this process ends; returns when they are listened for.
    fn follow_keys(&self, directory: &Path) -> anyhow::Result<()> {
        let mut files = KeyFiles::create(directory)?;
        let (remote, peer) = (self.target.remote.clone(), self.target.peer.clone());
        let seconds = self.seconds();
        let (told, begun) = mpsc::channel();
        thread::spawn(move || {
            let call = Call::get("/v1/peer/capture/keys")
                .with("peer", &peer)
                .with("seconds", &seconds);
            let ended = follow(&remote, &call, |line| {
                let line = serde_json::from_str(line)?;
                if matches!(line, KeyLine::Begun { .. }) {
                    let _ = told.send(Ok(()));
                }
                files.write(&line)
            });
            // Nobody listens any more where it began well.
            let _ = told.send(ended);
        });
        begun.recv().context("the gateway tells no keys")?
    }

    /// What is there already cannot be read: new SAs can. A peer that is down makes some when it comes.
    fn rekey(&self) {
        let (remote, peer) = (self.target.remote.clone(), self.target.peer.clone());
        thread::spawn(move || {
            let call = Call::post("/v1/peer/rekey").with("peer", &peer);
            let quiet = Remote {
                json: false,
                ..remote
            };
            if let Err(error) = ask::<Done>(&quiet, &call) {
                eprintln!("only what is made anew can be read: {error:#}");
            }
        });
    }

    fn seconds(&self) -> String {
        self.period.as_secs().max(1).to_string()
    }
}

/// A directory that Wireshark takes for its configuration.
struct KeyFiles {
    ike: File,
    esp: File,
}

impl KeyFiles {
    fn create(directory: &Path) -> anyhow::Result<Self> {
        let made = DirBuilder::new().mode(0o700).create(directory);
        made.with_context(|| format!("cannot make {}", directory.display()))?;
        let table = |name| create(&directory.join(name));
        table("preferences")?.write_all(PREFERENCES.as_bytes())?;
        Ok(Self {
            ike: table("ikev2_decryption_table")?,
            esp: table("esp_sa")?,
        })
    }

    fn write(&mut self, told: &KeyLine) -> anyhow::Result<()> {
        match told {
            KeyLine::Begun { .. } => {}
            KeyLine::Line { table, line } => {
                let file = match table {
                    Table::Ikev2DecryptionTable => &mut self.ike,
                    Table::EspSa => &mut self.esp,
                };
                file.write_all(line.as_bytes())?;
            }
            KeyLine::Unknown {} => {
                eprintln!("an SA has algorithms that Wireshark does not decipher");
            }
        }
        Ok(())
    }
}

/// A new file that nobody else may read.
pub(super) fn create(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    opened.with_context(|| format!("cannot write {}", path.display()))
}

/// Nothing came: the peer is not known, or no gateway runs.
pub(super) fn remove_empty(path: &Path) {
    if std::fs::metadata(path).is_ok_and(|m| m.len() == 0) {
        let _ = std::fs::remove_file(path);
    }
}
