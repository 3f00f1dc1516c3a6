//! NAT detection (RFC 7296 2.23).

use crate::message::Message;
use crate::payload::{Notify, Payload};
use crate::registry::NotifyType;
use hawser_flight::Path;
use sha1::{Digest, Sha1};
use std::net::{IpAddr, SocketAddr};

/// Who is behind a NAT.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NatState {
    /// The peer is.
    pub peer: bool,
    /// We are.
    pub local: bool,
    /// Nobody need be: we ask for UDP encapsulation because we cannot take native ESP.
    pub forced: bool,
}

impl NatState {
    /// Whether ESP must be UDP-encapsulated.
    pub fn any(self) -> bool {
        self.peer || self.local || self.forced
    }

    /// What the notifies of a received IKE_SA_INIT say. Without any, the peer knows no NAT
    /// traversal, and none is assumed.
    pub fn detect(message: &Message, path: &Path, forced: bool) -> Self {
        let (spi_i, spi_r) = (message.header.spi_i, message.header.spi_r);
        let differs = |kind: NotifyType, address: SocketAddr| {
            let mut hashes = message.notifies().filter(|n| n.kind == kind).peekable();
            let expected = hash(spi_i, spi_r, address);
            hashes.peek().is_some() && !hashes.any(|n| n.data == expected)
        };
        Self {
            peer: differs(NotifyType::NatDetectionSourceIp, path.remote),
            local: differs(NotifyType::NatDetectionDestinationIp, path.local),
            forced,
        }
    }
}

/// SHA-1(SPIi | SPIr | address | port).
fn hash(spi_i: u64, spi_r: u64, address: SocketAddr) -> Vec<u8> {
    let mut sha = Sha1::new();
    sha.update(spi_i.to_be_bytes());
    sha.update(spi_r.to_be_bytes());
    match address.ip() {
        IpAddr::V4(a) => sha.update(a.octets()),
        IpAddr::V6(a) => sha.update(a.octets()),
    }
    sha.update(address.port().to_be_bytes());
    sha.finalize().to_vec()
}

/// The two notifies for an IKE_SA_INIT that we send. With `force`, our source looks translated, so
/// that the peer encapsulates ESP in UDP although no NAT is there (we cannot take native ESP).
pub fn notifies(spi_i: u64, spi_r: u64, path: &Path, force: bool) -> [Payload; 2] {
    let source = if force {
        SocketAddr::new(path.local.ip(), 0)
    } else {
        path.local
    };
    let notify = |kind, address| Payload::Notify(Notify::status(kind, hash(spi_i, spi_r, address)));
    [
        notify(NotifyType::NatDetectionSourceIp, source),
        notify(NotifyType::NatDetectionDestinationIp, path.remote),
    ]
}
