//! TUN interfaces with one queue a shard. They are not persistent: when the last queue is closed,
//! also by a crash, the interface and its routes are gone.

use crate::error::StartError;
use crate::netns;
use hawser_policy::Tenant;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, ioctl};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

const TUNSETIFF: Opcode = libc::TUNSETIFF as Opcode;

/// `struct ifreq` as TUNSETIFF takes it: name and flags, padded to the size of the union.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: i16,
    rest: [u8; 22],
}

/// Makes the interface of a tenant, in its namespace: one queue for each shard.
pub(crate) fn open_queues(tenant: &Tenant, shards: u8) -> Result<Vec<OwnedFd>, StartError> {
    let name = tenant.interface.as_str();
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains(['/', '%', '\0']) {
        return Err(StartError::Policy(format!(
            "{name:?} is no name of an interface"
        )));
    }
    let open = || (0..shards).map(|shard| queue(name, shard == 0)).collect();
    netns::run_in(tenant.namespace.as_deref(), open)?
}

fn queue(interface: &str, first: bool) -> Result<OwnedFd, StartError> {
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
    attach(&fd, interface, first).map_err(failed)?;
    Ok(fd)
}

#[allow(unsafe_code)]
fn attach(fd: &OwnedFd, interface: &str, first: bool) -> rustix::io::Result<()> {
    // The first makes the interface. Without EXCL it would join one of the same name and share
    // the packets of another hawser.
    let exclusive = if first { libc::IFF_TUN_EXCL } else { 0 };
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_MULTI_QUEUE | exclusive;
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
pub(crate) fn adopt(fd: OwnedFd) -> io::Result<OwnedFd> {
    rustix::io::ioctl_fionbio(fd.as_fd(), true)?;
    Ok(fd)
}

const _: () = assert!(size_of::<InterfaceRequest>() == 40);
