//! The outer addresses and ports of a peer.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// Where a peer is reached: our address and port, its address and port, and how ESP travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Path {
    /// Our outer address and port.
    pub local: SocketAddr,
    /// The peer's outer address and port, as seen from here (after its NAT).
    pub remote: SocketAddr,
    /// Whether IKE carries the non-ESP marker and ESP is UDP-encapsulated (RFC 3948).
    pub encapsulated: bool,
}

impl Path {
    /// The remote endpoint as the case writes it: `120.208.142.17/8192`.
    pub fn remote_label(&self) -> String {
        format!("{}/{}", self.remote.ip(), self.remote.port())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{} - {}/{}",
            self.local.ip(),
            self.local.port(),
            self.remote.ip(),
            self.remote.port()
        )
    }
}
