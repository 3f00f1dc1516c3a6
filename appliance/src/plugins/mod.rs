//! Plugins of a gateway: those that ship, those that the configuration wants, those of a watched directory.

mod begin;
mod configured;
mod options;
mod shipped;
mod source;
mod wanted;
mod watch;

pub(crate) use begin::{Begun, begin};
pub(crate) use configured::Configured;
pub(crate) use options::options;
pub(crate) use shipped::is_shipped;
pub(crate) use source::source;
pub(crate) use wanted::{Wanted, check};
pub(crate) use watch::Watch;
