//! Applying another configuration while tunnels run.

use super::load_file;
use hawser_engine::EngineHandle;
use hawser_policy::Policy;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Mutex;

/// Knows the configuration that runs and where it came from.
#[derive(Debug)]
pub(crate) struct Reloader {
    file: Mutex<PathBuf>,
    running: RwLock<Arc<Policy>>,
}

impl Reloader {
    /// `policy` runs and was read from `file`.
    pub(crate) fn new(file: PathBuf, policy: Arc<Policy>) -> Self {
        Self { file: Mutex::new(file), running: RwLock::new(policy) }
    }

    /// The configuration that runs.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.running.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again, or another one that replaces it from now on, and applies it; gives
    /// its revision and notes. Whatever goes wrong, the running configuration stays.
    pub(crate) async fn reload(
        &self,
        engine: &EngineHandle,
        other: Option<PathBuf>,
    ) -> anyhow::Result<(u64, Vec<String>)> {
        // One at a time: the lock on the name is held to the end.
        let mut file = self.file.lock().await;
        let source = other.unwrap_or_else(|| file.clone());
        let (mut policy, notes) = load_file(&source)?;
        policy.revision = self.policy().revision + 1;
        let policy = Arc::new(policy);
        engine.apply(Arc::clone(&policy)).await?;
        *file = source;
        let revision = policy.revision;
        *self.running.write().unwrap_or_else(PoisonError::into_inner) = policy;
        for note in &notes {
            tracing::warn!(target: "hawser::config", "{note}");
        }
        Ok((revision, notes))
    }
}
