//! Many sends to many peers in one system call, each of them a datagram or a GSO train.
//!
//! quinn-udp sends to one peer a call. So this is its own, with the same control messages: segment size, source address, ECN field.

use arrayvec::ArrayVec;
use quinn_udp::EcnCodepoint;
use socket2::{SockAddr, Socket};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

/// Sends in one call.
pub(crate) const SENDS: usize = 32;
/// Octets of control messages: segment size, source address (the larger of both families) and ECN field, 24 + 40 + 24.
const CONTROL: usize = 96;

/// Octets for one peer: a datagram, or with `segment` a train of such.
pub(crate) struct Send<'a> {
    pub(crate) to: SocketAddr,
    /// Our address, where the socket is bound to a wildcard.
    pub(crate) source: Option<IpAddr>,
    pub(crate) ecn: Option<EcnCodepoint>,
    pub(crate) octets: &'a [u8],
    pub(crate) segment: Option<u16>,
}

/// Room for control messages, aligned as `cmsghdr` is.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Sends at most [`SENDS`] of them without waiting. Returns how many were taken, at least one.
///
/// # Errors
/// What the kernel says of the first; none was sent.
#[allow(unsafe_code)]
pub(crate) fn send(socket: &Socket, sends: &[Send<'_>]) -> io::Result<usize> {
    let sends = &sends[..sends.len().min(SENDS)];
    // Only as much is filled in as there are sends: mostly one or two trains.
    let addresses: ArrayVec<SockAddr, SENDS> = sends.iter().map(|send| send.to.into()).collect();
    let mut parts: ArrayVec<libc::iovec, SENDS> = (sends.iter())
        .map(|send| libc::iovec {
            iov_base: send.octets.as_ptr().cast_mut().cast(),
            iov_len: send.octets.len(),
        })
        .collect();
    let mut controls: ArrayVec<Control, SENDS> =
        (sends.iter()).map(|_| Control([0; CONTROL])).collect();
    let mut messages: ArrayVec<libc::mmsghdr, SENDS> = ArrayVec::new();
    let rooms = parts.iter_mut().zip(&mut controls);
    for ((send, address), (part, control)) in sends.iter().zip(&addresses).zip(rooms) {
        // SAFETY: zeros are a valid `mmsghdr`: null pointers with lengths of zero.
        let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
        let header = &mut message.msg_hdr;
        header.msg_name = address.as_ptr().cast_mut().cast();
        header.msg_namelen = address.len();
        header.msg_iov = part;
        header.msg_iovlen = 1;
        header.msg_control = std::ptr::from_mut(control).cast();
        header.msg_controllen = CONTROL;
        header.msg_controllen = write_control(header, send);
        messages.push(message);
    }
    // SAFETY: the first `sends.len()` headers are filled in; all that they point to (addresses, parts, controls and the callers' octets) lives
    // until the call returns, and the kernel writes only `msg_len` and what it reads it does not keep.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            sends.len() as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Writes the control messages of a send; returns their octets.
fn write_control(header: &mut libc::msghdr, send: &Send<'_>) -> usize {
    let mut used = 0;
    if let Some(segment) = send.segment {
        used += push(header, used, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
    }
    let ecn = send.ecn.map_or(0, |ecn| ecn as libc::c_int);
    if send.to.is_ipv4() {
        used += push(header, used, libc::IPPROTO_IP, libc::IP_TOS, ecn);
    } else {
        used += push(header, used, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, ecn);
    }
    match send.source {
        Some(IpAddr::V4(source)) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from_ne_bytes(source.octets()),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            used += push(header, used, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        Some(IpAddr::V6(source)) => {
            let info = libc::in6_pktinfo {
                ipi6_ifindex: 0,
                ipi6_addr: libc::in6_addr {
                    s6_addr: source.octets(),
                },
            };
            used += push(header, used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
        }
        None => {}
    }
    used
}

/// Appends a control message behind the `used` octets of the header's buffer. Returns its octets, padding included.
#[allow(unsafe_code)]
fn push<T>(
    header: &mut libc::msghdr,
    used: usize,
    level: libc::c_int,
    kind: libc::c_int,
    value: T,
) -> usize {
    let size = size_of::<T>() as libc::c_uint;
    // SAFETY: pure arithmetic.
    let (space, len) = unsafe { (libc::CMSG_SPACE(size), libc::CMSG_LEN(size)) };
    assert!(
        used + space as usize <= CONTROL,
        "room for every control message"
    );
    // SAFETY: `msg_control` points to `CONTROL` octets, aligned for a `cmsghdr`, of which `space` from `used` on are inside (just checked), and
    // `used` is a sum of CMSG_SPACEs and so keeps the alignment. The value is written unaligned.
    unsafe {
        let at = header
            .msg_control
            .cast::<u8>()
            .add(used)
            .cast::<libc::cmsghdr>();
        (*at).cmsg_level = level;
        (*at).cmsg_type = kind;
        (*at).cmsg_len = len as usize;
        libc::CMSG_DATA(at).cast::<T>().write_unaligned(value);
    }
    space as usize
}
