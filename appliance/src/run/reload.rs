//! Applying another configuration while tunnels run.

use super::load_file;
use anyhow::bail;
use hawser_engine::EngineHandle;
use hawser_shard::io::Reply;
use std::path::PathBuf;
use tokio::sync::Mutex;

/// Knows where the configuration that runs came from.
#[derive(Debug)]
pub(crate) struct Reloader {
    file: Mutex<PathBuf>,
}

impl Reloader {
    /// What runs was read from `file`.
    pub(crate) fn new(file: PathBuf) -> Self {
        Self {
            file: Mutex::new(file),
        }
    }

    /// Reads the file again, or another one that replaces it from now on, and applies it; gives
    /// its revision and notes. One that is not in order changes nothing.
    pub(crate) async fn reload(
        &self,
        engine: &EngineHandle,
        other: Option<PathBuf>,
    ) -> anyhow::Result<(u64, Vec<String>)> {
        // One at a time: the lock on the name is held to the end.
        let mut file = self.file.lock().await;
        let source = other.unwrap_or_else(|| file.clone());
        let (policy, notes) = load_file(&source)?;
        for (shard, reply) in engine.apply(policy).await? {
            if let Reply::Failed(why) = reply {
                bail!("shard {} did not take it: {why}", shard.0);
            }
        }
        *file = source;
        notes.log();
        Ok((engine.policy().revision, notes.lines()))
    }
}
