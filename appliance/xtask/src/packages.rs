//! What the rig and the plugins need from Debian.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::step::step;

/// The foreign peers, what the rig builds its network of, what checks metrics and dashboards, and
/// what compiles plugins to WebAssembly.
const PACKAGES: &[&str] = &[
    "charon-systemd",
    "clang-22",
    "conntrack",
    "ethtool",
    "iperf3",
    "iproute2",
    "iputils-ping",
    "libcharon-extauth-plugins",
    "libcharon-extra-plugins",
    "libclang-rt-22-dev-wasm32",
    "libstrongswan-extra-plugins",
    "libstrongswan-standard-plugins",
    "lld-22",
    "nftables",
    "openiked",
    "procps",
    "prometheus",
    "rust-web-llvm",
    "rust-web-src",
    "rustc-web",
    "strongswan-swanctl",
    "tcpdump",
    "tshark",
    "wasi-libc",
];

/// Installs what is missing. Without root or apt it only says so: the rig's scenarios then are ignored.
pub(crate) fn install() -> Result<()> {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/bin/apt-get").exists() {
        eprintln!(
            "xtask: not installed, and not root on Debian to change that: {}",
            missing.join(" ")
        );
        return Ok(());
    }
    step(
        "package lists",
        Command::new("apt-get").args(["update", "-q"]),
    )?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    install
        .args(["install", "-q", "-y", "--no-install-recommends"])
        .args(&missing);
    step("packages", &mut install)
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .output();
    query.is_ok_and(|output| output.stdout == b"installed")
}
