//! How many sockets this process may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Of a branch: its NAT's socket.
const PER_BRANCH: u64 = 1;
const SPARE: u64 = 256;

/// Raises the limit of open files for so many branches, as far as the system lets us.
pub(crate) fn raise_for(branches: u64) -> anyhow::Result<()> {
    let wanted = branches * PER_BRANCH + SPARE;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let new = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum.map(|maximum| maximum.max(wanted)),
    };
    setrlimit(Resource::Nofile, new).map_err(|error| {
        anyhow::anyhow!(
            "{branches} branches need {wanted} open files, which the system denies: {error}"
        )
    })
}
