//! What a plugin said to the host in this test.

use crate::host::Level;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What [`crate::host`] was told.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Host {
    /// Lines of the log.
    pub lines: Vec<(Level, String)>,
    /// Counters by name.
    pub counters: BTreeMap<String, u64>,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

pub(crate) fn record(how: impl FnOnce(&mut Host)) {
    HOST.with_borrow_mut(how);
}

/// What the host was told in this thread since the last call.
pub fn take() -> Host {
    HOST.take()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    #[test]
    fn what_a_plugin_says_is_kept_for_its_test() {
        host::log(Level::Warn, "odd");
        host::count("probes", 2);
        host::count("probes", 1);
        let said = take();
        assert_eq!(said.lines, [(Level::Warn, "odd".to_owned())]);
        assert_eq!(said.counters["probes"], 3);
        assert_eq!(take(), Host::default());
    }
}
