//! What the demo needs of the machine.

use anyhow::bail;
use std::fs::OpenOptions;
use std::path::Path;

/// Programs, each with the Debian package that brings it.
const PROGRAMS: [(&str, &str); 5] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("ping", "iputils-ping"),
    ("charon-systemd", "charon-systemd"),
    ("swanctl", "strongswan-swanctl"),
];
/// Where Debian keeps strongSwan's plugins.
const PLUGINS: &str = "/usr/lib/ipsec/plugins";
/// ESP in charon's own process, so that the kernel needs none.
const LIBIPSEC: (&str, &str) = (
    "libstrongswan-kernel-libipsec.so",
    "libcharon-extra-plugins",
);

/// An error names everything that is missing, and how to get it.
pub(super) fn check() -> anyhow::Result<()> {
    let root = rustix::process::geteuid().is_root();
    let tun = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun");
    let plugins = Path::new(PLUGINS);
    let lists = |file: &str| {
        let is_there = |dir: &str| Path::new(dir).join(file).exists();
        super::command::search_path().split(':').any(is_there)
            || plugins.join(file).exists()
            // Another distribution keeps plugins elsewhere.
            || (file == LIBIPSEC.0 && !plugins.exists())
    };
    let missing = missing(root, tun.is_ok(), lists);
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "`demo --real` needs more than is here; `hawser demo` does without:\n  {}",
        missing.join("\n  ")
    )
}

fn missing(root: bool, tun: bool, is_there: impl Fn(&str) -> bool) -> Vec<String> {
    let mut missing = Vec::new();
    if !root {
        missing.push("root, for network namespaces: run it with `sudo`".to_owned());
    }
    if !tun {
        missing.push("/dev/net/tun: `modprobe tun`, or give it to the container".to_owned());
    }
    let absent = |(file, _): &&(&str, &str)| !is_there(file);
    let words = |(file, package): &(&str, &str)| format!("{file}: `apt install {package}`");
    let files = PROGRAMS.iter().chain([&LIBIPSEC]);
    missing.extend(files.filter(absent).map(words));
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        assert_eq!(missing(true, true, |_| true), Vec::<String>::new());
        let missing = missing(false, false, |file| file == "ip" || file == "ping");
        assert_eq!(missing.len(), 6, "{missing:?}");
        assert!(missing[0].contains("sudo") && missing[1].contains("tun"));
        assert_eq!(missing[2], "nft: `apt install nftables`");
        assert!(missing[5].ends_with("`apt install libcharon-extra-plugins`"));
    }
}
