//! The socket options that no safe wrapper knows.

use libc::{c_int, c_void, sock_filter, socklen_t};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Attaches a program that chooses a socket of the reuseport group.
pub(crate) fn attach_reuseport_program(fd: impl AsFd, program: &[sock_filter]) -> io::Result<()> {
    attach(fd, libc::SO_ATTACH_REUSEPORT_CBPF, program)
}

/// Attaches a program that says which packets the socket takes.
pub(crate) fn attach_filter(fd: impl AsFd, program: &[sock_filter]) -> io::Result<()> {
    attach(fd, libc::SO_ATTACH_FILTER, program)
}

fn attach(fd: impl AsFd, option: c_int, program: &[sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: program.len() as u16,
        // The kernel reads it only.
        filter: program.as_ptr().cast_mut(),
    };
    set(fd, libc::SOL_SOCKET, option, &program)
}

/// Lets IPv6 datagrams that are larger than the path be fragmented by us (`IPV6_DONTFRAG` off).
pub(crate) fn allow_v6_fragments(fd: impl AsFd) -> io::Result<()> {
    set(fd, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, &0 as &c_int)
}

/// Takes the receive timestamps away again that quinn-udp asks for (`SO_TIMESTAMPNS` off).
pub(crate) fn without_timestamps(fd: impl AsFd) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &0 as &c_int)
}

#[allow(unsafe_code)]
fn set<T>(fd: impl AsFd, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    let (pointer, len) = (
        std::ptr::from_ref(value).cast::<c_void>(),
        size_of::<T>() as socklen_t,
    );
    // SAFETY: `pointer` is valid for reads of `len` octets during the call, and a `sock_fprog`
    // points to a live slice of the length it says. The kernel copies both and keeps no pointer.
    let result = unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), level, option, pointer, len) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
