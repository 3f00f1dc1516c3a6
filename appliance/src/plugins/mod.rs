//! Plugins of a gateway: those that ship, and where their files are.

mod options;
mod shipped;
mod source;

pub(crate) use options::options;
pub(crate) use shipped::is_shipped;
pub(crate) use source::source;
