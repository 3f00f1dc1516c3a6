//! The plugins that ship are in the binary: loading one by its name needs no file.

macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../plugins/dist/", $name, ".wasm")))),+]
    };
}

const SHIPPED: &[(&str, &[u8])] = shipped![
    "authorize-allow-list",
    "authorize-quarantine",
    "dpd-adaptive",
    "dpd-case",
    "log-comware",
    "log-json",
    "log-strongswan",
    "log-syslog",
];

/// The component of this name.
pub(super) fn component(name: &str) -> Option<&'static [u8]> {
    let found = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
    found.map(|(_, bytes)| *bytes)
}

/// Whether a plugin of this name is in the binary.
pub(crate) fn is_shipped(name: &str) -> bool {
    component(name).is_some()
}

/// Their names, for who misspells one.
pub(super) fn names() -> String {
    let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}
