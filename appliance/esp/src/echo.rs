//! Answering pings in place, for an inner network that exists only as an address.

use crate::checksum::{set_word, updated, word};
use crate::packet::{PacketInfo, protocol};
use std::net::IpAddr;

const HOP_LIMIT: u8 = 64;
/// Echo request and echo reply as words of type and code (RFC 792, RFC 4443 section 4).
const REQUEST_V4: u16 = 8 << 8;
const REPLY_V4: u16 = 0;
const REQUEST_V6: u16 = 128 << 8;
const REPLY_V6: u16 = 129 << 8;

/// Turns an echo request to a single host into its reply: addresses swapped, type changed, hop limit 64, checksums adjusted (a
/// wrong one stays wrong). Returns whether it was one; any other packet, fragments included, stays as it is.
pub fn reply(packet: &mut [u8]) -> bool {
    let Some(info) = PacketInfo::parse(packet) else {
        return false;
    };
    let (request, answer) = match (info.protocol, info.destination) {
        (protocol::ICMP, IpAddr::V4(_)) => (REQUEST_V4, REPLY_V4),
        (protocol::ICMPV6, IpAddr::V6(_)) => (REQUEST_V6, REPLY_V6),
        _ => return false,
    };
    let broadcast = matches!(info.destination, IpAddr::V4(address) if address.is_broadcast());
    let to_group = broadcast || info.destination.is_multicast();
    if info.source_port != Some(request) || info.is_fragment() || to_group {
        return false;
    }
    let checksum_at = info.header_len + 2;
    let Some(checksum) = word(packet, checksum_at) else {
        return false;
    };
    set_word(packet, info.header_len, answer);
    set_word(packet, checksum_at, updated(checksum, request, answer));
    turn_around(packet, info.destination.is_ipv4());
    true
}

/// Swaps the addresses, which changes no checksum, and sets the hop limit, which changes that of IPv4.
fn turn_around(packet: &mut [u8], v4: bool) {
    let (source, len, hop_limit) = if v4 { (12, 4, 8) } else { (8, 16, 7) };
    if let Some(addresses) = packet.get_mut(source..source + 2 * len) {
        let (source, destination) = addresses.split_at_mut(len);
        source.swap_with_slice(destination);
    }
    let old = word(packet, 8).unwrap_or(0);
    if let Some(place) = packet.get_mut(hop_limit) {
        *place = HOP_LIMIT;
    }
    if let (true, Some(new), Some(checksum)) = (v4, word(packet, 8), word(packet, 10)) {
        set_word(packet, 10, updated(checksum, old, new));
    }
}
