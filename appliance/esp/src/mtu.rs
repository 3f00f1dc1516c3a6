//! How much of an inner packet a path carries.

use crate::outbound::{ESP_HEADER, ESP_TRAILER};
use crate::packet::{IPV4_HEADER, IPV6_HEADER};
use hawser_crypto::{Encr, Integ};

/// Octets of a UDP header.
const UDP_HEADER: usize = 8;

/// What surrounds an inner packet on the path: outer IP header (without options), UDP header (RFC 3948), ESP (RFC 4303).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Encapsulation {
    /// Whether the outer header is IPv6.
    pub outer_v6: bool,
    /// Whether ESP is in UDP.
    pub udp: bool,
    /// Encryption.
    pub encr: Encr,
    /// Integrity; `None` with an AEAD.
    pub integ: Option<Integ>,
}

impl Encapsulation {
    /// Octets of the outer packet, from the outer IP header on, for an inner packet of `inner_len` octets.
    #[must_use]
    pub fn outer_len(&self, inner_len: usize) -> usize {
        self.fixed_len() + (inner_len + ESP_TRAILER).next_multiple_of(self.encr.esp_align())
    }

    /// Octets of the largest inner packet whose outer packet does not exceed `path_mtu` octets; 0 if there is none.
    #[must_use]
    pub fn max_inner(&self, path_mtu: usize) -> usize {
        let room = path_mtu.saturating_sub(self.fixed_len());
        let text = room - room % self.encr.esp_align();
        text.saturating_sub(ESP_TRAILER)
    }

    /// Octets that do not depend on the inner packet.
    fn fixed_len(&self) -> usize {
        let ip = if self.outer_v6 {
            IPV6_HEADER
        } else {
            IPV4_HEADER
        };
        let udp = if self.udp { UDP_HEADER } else { 0 };
        let icv = self.integ.map_or(self.encr.aead_icv_len(), Integ::icv_len);
        ip + udp + ESP_HEADER + self.encr.iv_len() + icv
    }
}
