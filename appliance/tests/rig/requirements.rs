//! What a machine must have for the rig; `cargo xtask test` installs it on Debian.

use std::fs::OpenOptions;
use std::path::PathBuf;

/// Programs, each with the Debian package that brings it.
const PROGRAMS: &[(&str, &str)] = &[
    ("charon-systemd", "charon-systemd"),
    ("swanctl", "strongswan-swanctl"),
    ("iked", "openiked"),
    ("ip", "iproute2"),
    ("sysctl", "procps"),
    ("ping", "iputils-ping"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("tcpdump", "tcpdump"),
    ("tshark", "tshark"),
    ("iperf3", "iperf3"),
    ("promtool", "prometheus"),
];

/// strongSwan's plugins for AES-GCM and the ECP groups, which Debian packages apart.
const PLUGINS: &[&str] = &[
    "/usr/lib/ipsec/plugins/libstrongswan-openssl.so",
    "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so",
];

/// Everything that is missing here, in words; empty when the rig can run.
pub fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    if !rustix::process::geteuid().is_root() {
        missing.push("root".to_owned());
    }
    if let Err(error) = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
    {
        missing.push(format!("a TUN device (/dev/net/tun: {error})"));
    }
    let absent = PROGRAMS.iter().filter(|(program, _)| !on_path(program));
    missing
        .extend(absent.map(|(program, package)| format!("{program} (Debian package {package})")));
    let absent = PLUGINS.iter().filter(|path| !PathBuf::from(path).exists());
    missing.extend(absent.map(|path| {
        format!("{path} (Debian packages libstrongswan-standard-plugins, libcharon-extra-plugins)")
    }));
    missing
}

/// In CI a missing thing is a failure.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(debian)
        .any(|dir| dir.join(program).exists())
}
