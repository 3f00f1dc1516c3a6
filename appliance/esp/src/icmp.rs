//! ICMP errors towards the inside: the packet is too big for the tunnel.

use crate::checksum::{Sum, set_word};
use crate::packet::{Fragment, IPV4_HEADER, IPV6_HEADER, PacketInfo, protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of the ICMP header, with the MTU.
const ICMP_HEADER: usize = 8;
/// Octets of the whole error at most (RFC 1812 section 4.3.2.3).
const MAX_ERROR_V4: usize = 576;
/// Octets of the whole error at most, and the least MTU of IPv6 (RFC 4443 section 3.2, RFC 8200 section 5).
const MIN_MTU_V6: u16 = 1280;
/// Internetwork control, as RFC 1812 section 4.3.2.5 recommends for errors.
const INTERNETWORK_CONTROL: u8 = 0xc0;
const HOP_LIMIT: u8 = 64;

const DESTINATION_UNREACHABLE: u8 = 3;
const FRAGMENTATION_NEEDED: u8 = 4;
const SOURCE_QUENCH: u8 = 4;
const REDIRECT: u8 = 5;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;
const PACKET_TOO_BIG_V6: u8 = 2;
const FIRST_INFORMATIONAL_V6: u8 = 128;
const REDIRECT_V6: u8 = 137;

/// The whole IP packet that tells the source of `packet` that at most `mtu` octets pass: "fragmentation needed" (RFC 1191 section
/// 4) or "packet too big" (RFC 4443 section 3.2). `from` is our address on the inside. The caller limits the rate.
///
/// `None` where no error may be sent (RFC 1122 section 3.2.2, RFC 4443 section 2.4): about an ICMP error, a fragment other than
/// the first, IPv4 without DF, to or from multicast and other addresses of no single host; also if `packet` is no IP
/// packet, `from` is of the other family, or the packet does fit. IPv6 hears of no less than 1280 octets, so what is not larger
/// must be sealed all the same.
#[must_use]
pub fn too_big(packet: &[u8], mtu: u16, from: IpAddr) -> Option<Vec<u8>> {
    let info = PacketInfo::parse(packet)?;
    if info.fragment == Fragment::Later || !info.dont_fragment || is_icmp_error(&info) {
        return None;
    }
    let packet = packet.get(..info.total_len)?;
    match (from, info.source, info.destination) {
        (IpAddr::V4(from), IpAddr::V4(source), IpAddr::V4(destination)) => {
            let hosts = is_host_v4(source) && is_host_v4(destination);
            (hosts && packet.len() > mtu.into()).then(|| too_big_v4(packet, mtu, from, source))
        }
        (IpAddr::V6(from), IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mtu = mtu.max(MIN_MTU_V6);
            let hosts = is_host_v6(source) && is_host_v6(destination);
            (hosts && packet.len() > mtu.into()).then(|| too_big_v6(packet, mtu, from, source))
        }
        _ => None,
    }
}

/// A message too short to show its type counts as an error.
fn is_icmp_error(info: &PacketInfo) -> bool {
    let kind = info
        .source_port
        .map(|type_and_code| (type_and_code >> 8) as u8);
    match info.protocol {
        protocol::ICMP => matches!(
            kind,
            None | Some(
                DESTINATION_UNREACHABLE
                    | SOURCE_QUENCH
                    | REDIRECT
                    | TIME_EXCEEDED
                    | PARAMETER_PROBLEM
            )
        ),
        protocol::ICMPV6 => {
            kind.is_none_or(|kind| kind < FIRST_INFORMATIONAL_V6 || kind == REDIRECT_V6)
        }
        _ => false,
    }
}

/// Not 0.0.0.0/8, loopback, multicast, reserved or broadcast.
fn is_host_v4(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first != 127 && first < 224
}

fn is_host_v6(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
}

fn too_big_v4(packet: &[u8], mtu: u16, from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let quoted = &packet[..packet.len().min(MAX_ERROR_V4 - IPV4_HEADER - ICMP_HEADER)];
    let total_len = (IPV4_HEADER + ICMP_HEADER + quoted.len()) as u16;
    let mut error = Vec::with_capacity(total_len.into());
    error.extend_from_slice(&[0x45, INTERNETWORK_CONTROL]);
    error.extend_from_slice(&total_len.to_be_bytes());
    // No identification, so that DF must be set (RFC 6864 section 4.1).
    error.extend_from_slice(&[0, 0, 0x40, 0, HOP_LIMIT, protocol::ICMP, 0, 0]);
    error.extend_from_slice(&from.octets());
    error.extend_from_slice(&to.octets());
    let checksum = Sum::default().add(&error).finish();
    set_word(&mut error, 10, checksum);
    error.extend_from_slice(&[DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED, 0, 0, 0, 0]);
    error.extend_from_slice(&mtu.to_be_bytes());
    error.extend_from_slice(quoted);
    let checksum = Sum::default().add(&error[IPV4_HEADER..]).finish();
    set_word(&mut error, IPV4_HEADER + 2, checksum);
    error
}

fn too_big_v6(packet: &[u8], mtu: u16, from: Ipv6Addr, to: Ipv6Addr) -> Vec<u8> {
    let most = usize::from(MIN_MTU_V6) - IPV6_HEADER - ICMP_HEADER;
    let quoted = &packet[..packet.len().min(most)];
    let payload_len = (ICMP_HEADER + quoted.len()) as u16;
    let mut error = Vec::with_capacity(IPV6_HEADER + usize::from(payload_len));
    error.extend_from_slice(&[0x60, 0, 0, 0]);
    error.extend_from_slice(&payload_len.to_be_bytes());
    error.extend_from_slice(&[protocol::ICMPV6, HOP_LIMIT]);
    error.extend_from_slice(&from.octets());
    error.extend_from_slice(&to.octets());
    error.extend_from_slice(&[PACKET_TOO_BIG_V6, 0, 0, 0]);
    error.extend_from_slice(&u32::from(mtu).to_be_bytes());
    error.extend_from_slice(quoted);
    let checksum = Sum::default()
        .add_pseudo_v6(from, to, payload_len.into(), protocol::ICMPV6)
        .add(&error[IPV6_HEADER..])
        .finish();
    set_word(&mut error, IPV6_HEADER + 2, checksum);
    error
}
