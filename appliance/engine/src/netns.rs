//! Work in the network namespace of a tenant.

use crate::error::StartError;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// Runs `work` on a thread of its own in the namespace (`ip netns` knows it by this name), or here
/// where there is none. Sockets and interfaces made by it stay in that namespace.
pub(crate) fn run_in<T: Send>(
    name: Option<&str>,
    work: impl FnOnce() -> T + Send,
) -> Result<T, StartError> {
    let Some(name) = name else { return Ok(work()) };
    let failed = |source| StartError::Namespace {
        name: name.to_owned(),
        source,
    };
    if name.contains('/') {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    let file = File::open(format!("/run/netns/{name}")).map_err(failed)?;
    let enter_and_work = || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(work())
    };
    let result = std::thread::scope(|scope| scope.spawn(enter_and_work).join());
    let panicked = || io::Error::other("the thread in the namespace panicked");
    result
        .map_err(|_| failed(panicked()))?
        .map_err(|e: rustix::io::Errno| failed(e.into()))
}
