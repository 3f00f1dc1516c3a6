//! TUN interfaces with one queue a shard. They are not persistent: when the last queue is closed,
//! also by a crash, the interface and its routes are gone.
//!
//! Where the kernel has it, packets come and go as super-packets behind a virtio header
//! (`hawser_esp::offload`); what it does not have is tried for and left out.

use crate::error::StartError;
use crate::netns;
use hawser_policy::Tenant;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::ioctl::{IntegerSetter, Opcode, Setter, ioctl};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

const TUNSETIFF: Opcode = libc::TUNSETIFF as Opcode;
const TUNSETOFFLOAD: Opcode = libc::TUNSETOFFLOAD as Opcode;

/// Checksums and TCP super-packets, also with CWR.
const TCP: usize =
    (libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN) as usize;
/// UDP super-packets, Linux 6.2.
const UDP: usize = (libc::TUN_F_USO4 | libc::TUN_F_USO6) as usize;

/// A queue of an inner device.
pub(crate) struct Queue {
    pub(crate) fd: OwnedFd,
    pub(crate) offload: Offload,
    /// How often the device was made before.
    pub(crate) generation: u32,
}

/// What a queue takes and hands over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Offload {
    /// IP packets, nothing in front.
    None,
    /// Packets and TCP super-packets behind a virtio header.
    Tcp,
    /// UDP super-packets, too.
    TcpUdp,
}

/// `struct ifreq` as TUNSETIFF takes it: name and flags, padded to the size of the union.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: i16,
    rest: [u8; 22],
}

/// Makes the interface of a tenant, in its namespace: one queue for each shard.
///
/// Without `offload` one packet goes at a time.
pub(crate) fn open_queues(
    tenant: &Tenant,
    shards: u8,
    offload: bool,
) -> Result<Vec<Queue>, StartError> {
    let name = tenant.interface.as_str();
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains(['/', '%', '\0']) {
        return Err(StartError::Policy(format!(
            "{name:?} is no name of an interface"
        )));
    }
    let open = || {
        let queue = |shard| queue(name, shard == 0, offload);
        (0..shards).map(queue).collect()
    };
    netns::run_in(tenant.namespace.as_deref(), open)?
}

fn queue(interface: &str, first: bool, offload: bool) -> Result<Queue, StartError> {
    let failed = |errno: Errno| match errno {
        Errno::PERM | Errno::ACCESS => StartError::TunNotPermitted {
            interface: interface.to_owned(),
        },
        Errno::BUSY | Errno::INVAL | Errno::EXIST if first => StartError::TunInUse {
            interface: interface.to_owned(),
        },
        other => StartError::Tun {
            interface: interface.to_owned(),
            source: other.into(),
        },
    };
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = match open("/dev/net/tun", flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::NXIO | Errno::NODEV) => return Err(StartError::NoTunDevice),
        other => other.map_err(failed)?,
    };
    // Without super-packets a header is of no use: they are asked for before it is known what there is.
    attach(&fd, interface, first, offload).map_err(failed)?;
    let offload = match offload {
        false => Offload::None,
        true if set_offload(&fd, TCP | UDP).is_ok() => Offload::TcpUdp,
        true => {
            set_offload(&fd, TCP).map_err(failed)?;
            Offload::Tcp
        }
    };
    let generation = 0;
    Ok(Queue {
        fd,
        offload,
        generation,
    })
}

#[allow(unsafe_code)]
fn set_offload(fd: &OwnedFd, flags: usize) -> rustix::io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its flags as the argument itself, no pointer.
    unsafe { ioctl(fd, IntegerSetter::<TUNSETOFFLOAD>::new_usize(flags)) }
}

#[allow(unsafe_code)]
fn attach(fd: &OwnedFd, interface: &str, first: bool, offload: bool) -> rustix::io::Result<()> {
    // The first makes the interface. Without EXCL it would join one of the same name and share
    // the packets of another hawser.
    let exclusive = if first { libc::IFF_TUN_EXCL } else { 0 };
    let header = if offload { libc::IFF_VNET_HDR } else { 0 };
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_MULTI_QUEUE | header | exclusive;
    let mut request = InterfaceRequest {
        name: [0; libc::IFNAMSIZ],
        flags: flags as i16,
        rest: [0; 22],
    };
    request.name[..interface.len()].copy_from_slice(interface.as_bytes());
    // SAFETY: TUNSETIFF takes a pointer to a `struct ifreq`, whose layout and size (40 octets)
    // `InterfaceRequest` has; the kernel writes no more than that back and keeps no pointer.
    unsafe { ioctl(fd, Setter::<TUNSETIFF, InterfaceRequest>::new(request)) }
}

/// Makes a caller's descriptor fit for the loop.
pub(crate) fn adopt(fd: OwnedFd) -> io::Result<Queue> {
    rustix::io::ioctl_fionbio(fd.as_fd(), true)?;
    let offload = Offload::None;
    let generation = 0;
    Ok(Queue {
        fd,
        offload,
        generation,
    })
}

const _: () = assert!(size_of::<InterfaceRequest>() == 40);
