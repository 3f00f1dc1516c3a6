//! Clamping the TCP Maximum Segment Size to what the tunnel carries.

use crate::checksum::{set_word, updated, word};
use crate::packet::{Fragment, IPV4_HEADER, IPV6_HEADER, PacketInfo, protocol};

/// Octets of a TCP header without options; also where the options begin.
const TCP_HEADER: usize = 20;
const SYN: u8 = 2;
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;

/// Lowers the MSS option (RFC 9293 section 3.7.1) of a TCP segment with SYN so that full segments make inner packets of at most
/// `mtu` octets: to `mtu` - 40 for IPv4, `mtu` - 60 for IPv6. The checksum is adjusted, a wrong one stays wrong. Never raises the
/// option and never adds one. Returns whether the packet was changed; any other packet stays as it is.
pub fn clamp(packet: &mut [u8], mtu: u16) -> bool {
    let Some(info) = PacketInfo::parse(packet) else {
        return false;
    };
    if info.protocol != protocol::TCP || info.fragment == Fragment::Later {
        return false;
    }
    let ip_header = if info.source.is_ipv4() {
        IPV4_HEADER
    } else {
        IPV6_HEADER
    };
    let limit = usize::from(mtu).saturating_sub(ip_header + TCP_HEADER) as u16;
    let Some(segment) = packet.get_mut(info.header_len..info.total_len) else {
        return false;
    };
    limit > 0 && clamp_segment(segment, limit)
}

fn clamp_segment(segment: &mut [u8], limit: u16) -> bool {
    let Some(value_at) = find_mss(segment) else {
        return false;
    };
    let (Some(checksum), Some(mss)) = (word(segment, 16), word(segment, value_at)) else {
        return false;
    };
    if mss <= limit {
        return false;
    }
    // At an odd offset the value lies across two words of the sum: its octets count swapped.
    let aligned = |value: u16| {
        if value_at % 2 == 0 {
            value
        } else {
            value.swap_bytes()
        }
    };
    set_word(segment, value_at, limit);
    set_word(segment, 16, updated(checksum, aligned(mss), aligned(limit)))
}

/// Where the value of the MSS option lies in a segment with SYN.
fn find_mss(segment: &[u8]) -> Option<usize> {
    let header = segment.first_chunk::<TCP_HEADER>()?;
    if header[13] & SYN == 0 {
        return None;
    }
    let options_end = usize::from(header[12] >> 4) * 4;
    let options = segment.get(..options_end)?;
    let mut at = TCP_HEADER;
    loop {
        match *options.get(at)? {
            END_OF_OPTIONS => return None,
            NO_OPERATION => at += 1,
            kind => {
                let length = usize::from(*options.get(at + 1)?);
                if kind == MAXIMUM_SEGMENT_SIZE && length == 4 && at + 4 <= options_end {
                    return Some(at + 2);
                }
                if length < 2 {
                    return None;
                }
                at += length;
            }
        }
    }
}
