//! Why the engine does not start, and what to do about it.

use std::io;
use std::net::SocketAddr;

/// Why the engine did not start. Each says what is missing and how to get it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The policy cannot be run.
    #[error("the configuration cannot be run: {0}")]
    Policy(String),
    /// Another program has the port.
    #[error(
        "UDP port {} on {} is in use by another program (`ss -ulpn 'sport = :{}'` shows which; \
         another IPsec daemon, such as charon or pluto, has to be stopped)",
        .0.port(), .0.ip(), .0.port()
    )]
    PortInUse(SocketAddr),
    /// A port below 1024 without the right to it.
    #[error(
        "UDP port {} on {} needs CAP_NET_BIND_SERVICE: run as root, or \
         `setcap cap_net_bind_service,cap_net_admin,cap_net_raw+ep` on the hawser binary",
        .0.port(), .0.ip()
    )]
    PortNotPermitted(SocketAddr),
    /// The address is not one of this machine's.
    #[error("{} is not an address of this machine (`ip address` lists those it has)", .0.ip())]
    NoSuchAddress(SocketAddr),
    /// The socket failed otherwise.
    #[error("UDP socket on {address}: {source}")]
    Socket {
        /// Where it was to be bound.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// No TUN device.
    #[error(
        "/dev/net/tun is missing: load the module with `modprobe tun`; in a container pass \
         `--device /dev/net/tun`"
    )]
    NoTunDevice,
    /// Not allowed to make a TUN interface.
    #[error(
        "TUN interface {interface} needs CAP_NET_ADMIN: run as root, or \
         `setcap cap_net_admin,cap_net_bind_service,cap_net_raw+ep` on the hawser binary \
         (in a container `--cap-add NET_ADMIN`)"
    )]
    TunNotPermitted {
        /// Name of the interface.
        interface: String,
    },
    /// The interface exists.
    #[error(
        "interface {interface} exists already and is not ours (`ip link show {interface}`): is \
         another hawser running?"
    )]
    TunInUse {
        /// Name of the interface.
        interface: String,
    },
    /// The TUN interface failed otherwise.
    #[error("TUN interface {interface}: {source}")]
    Tun {
        /// Name of the interface.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The network namespace of a tenant.
    #[error(
        "network namespace {name}: {source} (`ip netns add {name}` makes it; entering it needs \
         CAP_SYS_ADMIN)"
    )]
    Namespace {
        /// Its name.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// An interface or its rule could not be set up.
    #[error("network setup of {what}: {reason}")]
    Netlink {
        /// What was being set up.
        what: String,
        /// What the kernel said.
        reason: String,
    },
    /// The metrics listener.
    #[error("metrics listener on {address}: {reason}")]
    Metrics {
        /// Where it was to be bound.
        address: SocketAddr,
        /// Why not.
        reason: String,
    },
    /// The host of plugins.
    #[error("plugins cannot run here: {0}")]
    Plugins(hawser_plugin::LoadError),
    /// A plugin that must decide from the first packet on.
    #[error("{0}")]
    Plugin(String),
    /// No threads, descriptors or memory.
    #[error("the system has no room: {0} (`ulimit -n` and `ulimit -u` show the limits)")]
    System(#[from] io::Error),
}

/// Why a policy was not applied; the running one is untouched.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ApplyError {
    /// A change that needs a restart.
    #[error("a change of {0} needs a restart; nothing was applied")]
    NeedsRestart(&'static str),
    /// The engine has ended.
    #[error("the engine is shutting down")]
    Ended,
}
