//! What shards tell somebody who looks on, without ever waiting for him.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use tokio::sync::mpsc;

/// What is on its way to who looks on; more is lost, and counted.
const BACKLOG: usize = 2048;

/// The shards' end: somebody who looks on.
pub(crate) struct Onlooker<T> {
    to: mpsc::Sender<(SystemTime, T)>,
    lost: Arc<AtomicU64>,
}

impl<T> Clone for Onlooker<T> {
    fn clone(&self) -> Self {
        Self {
            to: self.to.clone(),
            lost: Arc::clone(&self.lost),
        }
    }
}

/// The end of who looks on. When it is dropped, nothing is told any more.
pub struct Watched<T> {
    from: mpsc::Receiver<(SystemTime, T)>,
    lost: Arc<AtomicU64>,
}

pub(crate) fn channel<T>() -> (Onlooker<T>, Watched<T>) {
    let (to, from) = mpsc::channel(BACKLOG);
    let lost = Arc::new(AtomicU64::new(0));
    let told = Onlooker {
        to,
        lost: Arc::clone(&lost),
    };
    (told, Watched { from, lost })
}

impl<T> Onlooker<T> {
    /// Says no when nobody looks on any more.
    pub(crate) fn tell(&self, what: T) -> bool {
        use mpsc::error::TrySendError::{Closed, Full};
        match self.to.try_send((SystemTime::now(), what)) {
            Ok(()) => true,
            Err(Full(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(Closed(_)) => false,
        }
    }

    /// Whether somebody looks on.
    pub(crate) fn is_heard(&self) -> bool {
        !self.to.is_closed()
    }
}

impl<T> Watched<T> {
    /// The next, and when it was; `None` when every shard has ended it.
    pub async fn next(&mut self) -> Option<(SystemTime, T)> {
        self.from.recv().await
    }

    /// The next, if it is there already.
    pub fn ready(&mut self) -> Option<(SystemTime, T)> {
        self.from.try_recv().ok()
    }

    /// What was lost since the last call, for it was not read fast enough.
    pub fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_is_not_read_is_counted_and_nobody_waits() {
        let (told, mut watched) = channel();
        (0..BACKLOG + 3).for_each(|n| assert!(told.tell(n)));
        assert_eq!(watched.next().await.unwrap().1, 0);
        assert_eq!((watched.take_lost(), watched.take_lost()), (3, 0));
        drop(watched);
        assert!(!told.is_heard() && !told.tell(0));
    }
}
