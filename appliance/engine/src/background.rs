//! The tokio runtime of the engine's own.

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// The runtime of what is not a packet. Dropping it never waits, so that it may be dropped in an
/// asynchronous context of somebody else's.
pub(crate) struct Background(Option<Runtime>);

impl Background {
    pub(crate) fn new(runtime: Runtime) -> Self {
        Self(Some(runtime))
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        self.0.as_ref().map(|runtime| runtime.spawn(work))
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.0.as_ref().map(|runtime| runtime.block_on(work))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
