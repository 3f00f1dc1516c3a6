//! ICMP echo over IPv4 (RFC 792), as much as a ping needs.

use std::net::Ipv4Addr;

const IP_HEADER: usize = 20;
const ICMP_HEADER: usize = 8;
/// Octets of data that ping(8) sends.
pub(crate) const DATA: usize = 56;
const ICMP: u8 = 1;
const REQUEST: u8 = 8;
const REPLY: u8 = 0;

/// An echo request with an even number of octets of data: IPv4 header, ICMP header, data.
pub(crate) fn request(
    from: Ipv4Addr,
    to: Ipv4Addr,
    id: u16,
    sequence: u16,
    data: usize,
) -> Vec<u8> {
    let length = IP_HEADER + ICMP_HEADER + data;
    let mut packet = vec![0; length];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
    packet[4..6].copy_from_slice(&sequence.to_be_bytes());
    packet[8] = 64;
    packet[9] = ICMP;
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.octets());
    let sum = checksum(&packet[..IP_HEADER]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let icmp = &mut packet[IP_HEADER..];
    icmp[0] = REQUEST;
    icmp[4..6].copy_from_slice(&id.to_be_bytes());
    icmp[6..8].copy_from_slice(&sequence.to_be_bytes());
    (0..data).for_each(|i| icmp[ICMP_HEADER + i] = i as u8);
    let sum = checksum(icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The sequence number of an echo reply to `id`, if the packet is one and arrived whole.
pub(crate) fn reply(packet: &[u8], to: Ipv4Addr, id: u16) -> Option<u16> {
    let icmp = packet
        .get(IP_HEADER..)
        .filter(|icmp| icmp.len() >= ICMP_HEADER)?;
    let is_reply = packet[0] == 0x45
        && packet[9] == ICMP
        && packet[16..20] == to.octets()
        && icmp[0] == REPLY
        && icmp[4..6] == id.to_be_bytes()
        && checksum(icmp) == 0;
    is_reply.then(|| u16::from_be_bytes([icmp[6], icmp[7]]))
}

/// The Internet checksum (RFC 1071) of an even number of octets.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.as_chunks::<2>().0;
    let sum: u32 = words
        .iter()
        .map(|w| u32::from(u16::from_be_bytes(*w)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_echo_of_a_request_is_its_reply() {
        let (branch, server) = (
            Ipv4Addr::new(172, 16, 19, 1),
            Ipv4Addr::new(192, 168, 100, 1),
        );
        let mut packet = request(branch, server, 19, 700, DATA);
        assert_eq!(checksum(&packet[..IP_HEADER]), 0);
        assert_eq!(reply(&packet, branch, 19), None);
        assert!(hawser_esp::echo::reply(&mut packet));
        assert_eq!(reply(&packet, branch, 19), Some(700));
        assert_eq!(reply(&packet, branch, 20), None);
        packet[IP_HEADER + ICMP_HEADER] ^= 1;
        assert_eq!(reply(&packet, branch, 19), None);
    }
}
