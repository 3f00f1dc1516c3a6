//! Applying another configuration while tunnels run.

use super::foresee::foresee;
use super::{Configuration, Foreseen, load_file};
use crate::plugins::Configured;
use anyhow::bail;
use hawser_config::{Difference, Outline};
use hawser_engine::EngineHandle;
use hawser_shard::io::Reply;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tokio::sync::Mutex;

/// Knows the configuration that runs and where it came from.
#[derive(Debug)]
pub(crate) struct Reloader {
    running: Mutex<Running>,
}

#[derive(Debug)]
struct Running {
    file: PathBuf,
    outline: Outline,
    plugins: Configured,
}

impl Reloader {
    /// What runs was read from `file`, sets `outline` and has loaded `plugins`.
    pub(crate) fn new(file: PathBuf, outline: Outline, plugins: Configured) -> Self {
        Self {
            running: Mutex::new(Running {
                file,
                outline,
                plugins,
            }),
        }
    }

    /// What applying the file again, or another one, would change, and what that does to the peers that are up.
    pub(crate) async fn differences(
        &self,
        engine: &EngineHandle,
        other: Option<PathBuf>,
    ) -> anyhow::Result<(Vec<Difference>, Vec<Foreseen>)> {
        let running = self.running.lock().await;
        let next = load_file(other.as_ref().unwrap_or(&running.file))?;
        let differences = running.outline.differences(&next.outline);
        let foreseen = foresee(engine, next.policy).await;
        Ok((differences, foreseen))
    }

    /// What runs, key by key, without secrets.
    pub(crate) async fn outline(&self) -> BTreeMap<String, String> {
        self.running.lock().await.outline.lines()
    }

    /// Reads the file again, or another one that replaces it from now on, and applies it; gives
    /// its revision and notes. One that is not in order changes nothing.
    pub(crate) async fn reload(
        &self,
        engine: &EngineHandle,
        other: Option<PathBuf>,
    ) -> anyhow::Result<(u64, Vec<String>)> {
        // One at a time: the lock is held to the end.
        let mut running = self.running.lock().await;
        let file = other.unwrap_or_else(|| running.file.clone());
        let Configuration {
            policy,
            notes,
            outline,
            plugins,
            name,
        } = load_file(&file)?;
        engine.may_apply(&policy)?;
        let registry = engine.plugins();
        // It may compile, which takes its time.
        let gone = registry.as_ref().map(|registry| {
            let follow = || running.plugins.follow(registry, plugins, &name);
            tokio::task::block_in_place(follow)
        });
        let gone = gone.transpose()?;
        for (shard, reply) in engine.apply(policy).await? {
            if let Reply::Failed(why) = reply {
                bail!("shard {} did not take it: {why}", shard.0);
            }
        }
        if let (Some(gone), Some(registry)) = (gone, registry) {
            gone.unload(&registry);
        }
        (running.file, running.outline) = (file, outline);
        notes.log();
        Ok((engine.policy().revision, notes.lines()))
    }
}
