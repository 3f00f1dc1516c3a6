//! Who asks, as the kernel tells it of who connected.

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

/// The process at the other end of the admin socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    /// Its effective user ID when it connected.
    pub(super) uid: u32,
    /// Its process ID.
    pub(super) pid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Asker {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let credentials = stream.io().peer_cred().ok();
        let pid = credentials.and_then(|c| c.pid());
        Self {
            // Who cannot be named is nobody.
            uid: credentials.map_or(u32::MAX, |c| c.uid()),
            pid: pid.and_then(|pid| u32::try_from(pid).ok()),
        }
    }
}
