//! For CPUs of other kinds: there are no lanes.

use super::Message;
use crate::hash::Hash;

/// Never made.
pub(crate) enum LaneKey {}

impl LaneKey {
    pub(crate) fn new(_: Hash, _: &[u8]) -> Option<Self> {
        None
    }

    pub(crate) fn worth(&self, _: usize) -> usize {
        match *self {}
    }

    pub(crate) fn sign(&self, _: &mut [Message<'_>]) {
        match *self {}
    }
}
