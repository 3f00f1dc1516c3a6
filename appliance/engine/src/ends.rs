//! Which shards have ended, and how.

use hawser_shard::io::ShardId;
use std::sync::Arc;
use tokio::sync::watch;

/// Why a shard ended that should not have.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("shard {} ended: {reason}", .shard.0)]
pub struct ShardFailure {
    /// Which.
    pub shard: ShardId,
    /// In words.
    pub reason: String,
}

/// How a shard ended.
type End = Option<Result<(), String>>;

/// Which shards have ended, and how.
#[derive(Clone)]
pub(crate) struct Ends(Arc<watch::Sender<Vec<End>>>);

impl Ends {
    pub(crate) fn new(shards: usize) -> Self {
        Self(Arc::new(watch::Sender::new(vec![None; shards])))
    }

    pub(crate) fn report(&self, shard: ShardId, end: Result<(), String>) {
        if let Err(reason) = &end {
            tracing::error!(shard = shard.0, reason, "a shard ended");
        }
        self.0
            .send_modify(|ends| ends[usize::from(shard.0)] = Some(end));
    }

    pub(crate) fn has_ended(&self, shard: ShardId) -> bool {
        self.0
            .borrow()
            .get(usize::from(shard.0))
            .is_none_or(Option::is_some)
    }

    pub(crate) fn any_ended(&self) -> bool {
        self.0.borrow().iter().any(Option::is_some)
    }

    pub(crate) async fn all(&self, shards: &[ShardId]) {
        let ended = |ends: &Vec<End>| {
            shards
                .iter()
                .all(|s| ends.get(usize::from(s.0)).is_none_or(Option::is_some))
        };
        // An error would say that the sender is gone, which is here.
        let _ = self.0.subscribe().wait_for(ended).await;
    }

    pub(crate) async fn joined(&self) -> Result<(), ShardFailure> {
        let failure = |ends: &Vec<End>| {
            (0..=u8::MAX).zip(ends).find_map(|(id, end)| match end {
                Some(Err(reason)) => Some(ShardFailure {
                    shard: ShardId(id),
                    reason: reason.clone(),
                }),
                _ => None,
            })
        };
        let done = |ends: &Vec<End>| failure(ends).is_some() || ends.iter().all(Option::is_some);
        let _ = self.0.subscribe().wait_for(done).await;
        failure(&self.0.borrow()).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn join_tells_failures_from_ends() {
        let ends = Ends::new(2);
        ends.report(ShardId(0), Ok(()));
        assert!(
            timeout(Duration::from_millis(20), ends.joined())
                .await
                .is_err()
        );
        ends.report(ShardId(1), Ok(()));
        assert_eq!(ends.joined().await, Ok(()));
        let ends = Ends::new(2);
        ends.report(ShardId(1), Err("why".into()));
        assert_eq!(
            ends.joined().await.map_err(|e| e.to_string()),
            Err("shard 1 ended: why".into())
        );
    }
}
