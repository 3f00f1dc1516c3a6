//! Telling systemd how far we are (sd_notify(3)), where it asks.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends `state` to `NOTIFY_SOCKET`; without one nothing happens.
pub(super) fn send(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let sent = address(path.as_bytes())
        .and_then(|to| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to));
    if let Err(error) = sent {
        tracing::warn!("systemd was not told `{state}`: {error}");
    }
}

/// A path, or with `@` in front an abstract name.
fn address(path: &[u8]) -> io::Result<SocketAddr> {
    match path {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
    }
}
